"""The service of a producer on another computer, asked over HTTP: what it is, and why it does not answer.

Whatever goes wrong is one line that says what to do. ``AwayError`` is what may pass by itself; whoever was answered
before may try again. No proxy, no netrc and nothing else of the environment is used; redirections are not followed, so that
a token goes only where the user said.
"""

import json
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import httpx

from fanoutfs.errors import AwayError, UnusableError, UsageError, reason
from fanoutfs.service.opening import read_token
from fanoutfs.upstream.address import ServiceAddress

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
"""From one piece of an answer to the next; the first included."""

WHOLE_SECONDS = 20.0
"""For all of an answer that has an end."""

LONGEST = 64 * 1024 * 1024
"""Bytes of a status document; one with 100,000 readers has half of that."""

TIMEOUT = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)

_NAME_ERRORS = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

Document = dict[str, Any]

_NUMBER = (int, float)
_NEEDED: dict[str, Any] = {
    "pid": int,
    "head": int,
    "source": {"path": str, "identity": str, "size": int, "bytes_read": int, "errors": int},
    "ring": {"block_size": int, "slots": int, "resident": int, "arcs": list},
    "readers": list,
}
_NEEDED_OF_READERS: dict[str, Any] = {
    "id": int,
    "kind": str,
    "pid": int,
    "command": str,
    "start": (int, type(None)),
    "position": int,
    "left": int,
    "delivered": int,
    "live": bool,
    "sequential": bool,
    "waiting": (str, int, type(None)),
    "sweep_in": (*_NUMBER, type(None)),
}


@attrs.define(eq=False)
class RemoteService:
    """One service, and what it takes to be let in."""

    address: ServiceAddress
    token: str | None = attrs.field(default=None, repr=False)
    token_file: Path | None = None
    """Where the token is from."""
    tls: ssl.SSLContext = attrs.field(factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    """Whom it may be proved by; without https that is nobody."""
    _client: httpx.Client | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, address: ServiceAddress, token_file: Path | None = None, tls_ca: Path | None = None) -> Self:
        """Read what the options name; nothing is asked yet.

        Raises UsageError, and UnusableError for files that can't be used.
        """
        if tls_ca is not None and not address.tls:
            raise UsageError(
                f"--tls-ca is for https, and {address.text} is not; write https://, or leave it away"
            )
        token = None if token_file is None else read_token(token_file)
        if not address.tls:
            return cls(address, token, token_file)
        try:
            tls = ssl.create_default_context(cafile=tls_ca)
        except OSError as error:
            raise UnusableError(
                f"--tls-ca {tls_ca} can't be used: {reason(error)}; give the CA's certificate as PEM"
            ) from error
        return cls(address, token, token_file, tls)

    def settings(self) -> dict[str, Any]:
        """Give what an httpx client needs to ask this service."""
        headers = {"user-agent": "fanoutfs", "accept-encoding": "identity"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        return {"headers": headers, "verify": self.tls, "trust_env": False, "timeout": TIMEOUT}

    def status(self) -> Document:
        """Ask for the status document; blocks for WHOLE_SECONDS at most.

        Raises UnusableError; AwayError is one that may pass.
        """
        if self._client is None:
            self._client = httpx.Client(**self.settings())
        url, until = self.address.url("status"), time.monotonic() + WHOLE_SECONDS
        body = bytearray()
        try:
            with self._client.stream("GET", url) as response:
                self.judge(response)
                for piece in response.iter_raw():
                    body += piece
                    if len(body) > LONGEST:
                        raise self.nonsense(f"sends more than {LONGEST} bytes")
                    if time.monotonic() > until:
                        raise AwayError(
                            f"{self.address.text} is too slow: no whole answer in {WHOLE_SECONDS:g} seconds"
                        )
        except httpx.HTTPError as error:
            raise self.explain(error) from error
        return self._document(bytes(body))

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # What it says, and why it says nothing; for whoever asks it

    def judge(self, response: httpx.Response) -> None:
        """Return if an answer is what was asked for; else raise what its code means."""
        code, text = response.status_code, self.address.text
        if code == httpx.codes.OK:
            return
        if code == httpx.codes.UNAUTHORIZED and self.token_file is None:
            raise UnusableError(f"{text} wants a token; name the file that it is in by --token-file FILE")
        if code == httpx.codes.UNAUTHORIZED:
            raise UnusableError(
                f"{text} has another token than the one in {self.token_file}; get the one of its mount"
            )
        if code == httpx.codes.MISDIRECTED_REQUEST:
            raise UnusableError(
                f"the computer at {text} is not called {self.address.host} there; ask by the name or the address "
                "that its mount's --listen names, or that it calls itself by"
            )
        if code == httpx.codes.NOT_IMPLEMENTED:
            raise UnusableError(f"{text} can't do this: {_said(response)}")
        if code in (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT):
            raise AwayError(f"{text} has no answer for now (HTTP {code}); try again")
        raise self.nonsense(f"answers with HTTP {code}")

    def nonsense(self, what: str) -> UnusableError:
        """Give the error for who is something else, or behaves like that."""
        return UnusableError(
            f"{self.address.text} {what}, there is no fanoutfs; give the address of a mount's --listen"
        )

    def explain(self, error: httpx.HTTPError) -> UnusableError:
        """Give the error for one of httpx's."""
        text, host = self.address.text, self.address.host
        if isinstance(error, httpx.TimeoutException):
            return AwayError(f"{text} does not answer; check the address, and whether a firewall is between")
        for cause in _causes(error):
            match cause:
                case ssl.SSLCertVerificationError() if cause.verify_code in _NAME_ERRORS:
                    return UnusableError(
                        f"the certificate of {text} is another computer's: {cause.verify_message.rstrip('.')}; "
                        "ask by a name that is in it"
                    )
                case ssl.SSLCertVerificationError():
                    return UnusableError(
                        f"the certificate of {text} can't be trusted: {cause.verify_message.rstrip('.')}; "
                        "name its CA's certificate by --tls-ca FILE"
                    )
                case ssl.SSLError():
                    return UnusableError(
                        f"{text} speaks no TLS as we do: {cause.reason or cause}; is it http://?"
                    )
                case socket.gaierror():
                    return AwayError(f"the name {host} is not known here: {reason(cause)}; check it")
                case ConnectionRefusedError():
                    return AwayError(f"nobody listens at {text}; is it mounted, with this --listen?")
                case OSError() if cause.errno is not None:
                    return AwayError(f"{text} can't be reached: {reason(cause)}")
        scheme = "" if self.address.tls else "; does it want https://?"
        return AwayError(f"{text} breaks the connection off: {error}{scheme}")

    def _document(self, body: bytes) -> Document:
        try:
            document = json.loads(body)
            _check(document, _NEEDED)
            for reader in document["readers"]:
                _check(reader, _NEEDED_OF_READERS)
            size, block = document["source"]["size"], document["ring"]["block_size"]
            if size <= 0 or block <= 0:
                raise ValueError("sizes")
            for begin, end in document["ring"]["arcs"]:
                if not 0 <= begin <= end <= size:
                    raise ValueError("arcs")
        except (ValueError, TypeError, RecursionError) as error:
            raise self.nonsense("gives no status document") from error
        return document


def _check(found: object, needed: dict[str, Any]) -> None:
    """Raise ValueError unless all is there, and of its type."""
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004 (as json.loads says it of what is no JSON)
    for key, kind in needed.items():
        value = found.get(key)
        if isinstance(kind, dict):
            _check(value, kind)
        elif key not in found or not isinstance(value, kind):
            raise ValueError(key)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give what an exception came of, the first cause last."""
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        at = pending.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        of: Sequence[BaseException] = at.exceptions if isinstance(at, BaseExceptionGroup) else ()
        pending += [*of, *(cause for cause in (at.__context__, at.__cause__) if cause is not None)]


def _said(response: httpx.Response) -> str:
    """Give the first line of a short text."""
    text = b""
    for piece in response.iter_raw():
        text += piece
        if len(text) > 200:
            break
    return text.decode(errors="replace").splitlines()[0]
