"""The HTTP client for the service of a producer on another computer.

Each error is one line that says what to do. After ``NoAnswerError`` a caller may try again, if it has had an
answer before. No proxy, netrc or other setting of the environment is used, and redirections are not followed,
so that a token is sent only to the address that the user gave.

No connection is kept between requests: the process may fork and become a daemon in between, which closes the
connection's descriptor.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import httpx

from fanoutfs.errors import NoAnswerError, NotAServiceError, UnusableError, UsageError, reason
from fanoutfs.remote.address import ServiceAddress
from fanoutfs.status.document import StatusDocument
from fanoutfs.status.parse import parse_json
from fanoutfs.system.credentials import read_token

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
"""The longest wait for the first piece of an answer, and for each further one."""

WHOLE_SECONDS = 120.0
"""The longest time for a whole answer that is not a stream; a document of megabytes may cross a slow link."""

LONGEST = 64 * 1024 * 1024
"""Bytes of a status document; with 4,096 readers it has one or two MiB."""

TIMEOUT = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)

_NAME_ERRORS = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_BUSY = (
    httpx.codes.TOO_MANY_REQUESTS,
    httpx.codes.BAD_GATEWAY,
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.GATEWAY_TIMEOUT,
)


@attrs.define(eq=False)
class ServiceClient:
    """One service, and the credentials for it."""

    address: ServiceAddress
    token: str | None = attrs.field(default=None, repr=False)
    token_file: Path | None = None
    """The file from which the token was read."""
    tls: ssl.SSLContext = attrs.field(factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    """The CAs to trust; only used with https."""

    @classmethod
    def of(cls, address: ServiceAddress, token_file: Path | None = None, tls_ca: Path | None = None) -> Self:
        """Read the files that the options name; nothing is requested yet.

        Raises UsageError for an invalid host, and UnusableError for files that can't be used. A CA's
        certificate is only for https.
        """
        try:
            # As httpx and the resolver will parse it.
            httpx.URL(address.url("status")).host.encode("idna")
        except (UnicodeError, httpx.InvalidURL) as error:
            raise UsageError(f"{address.text} has an invalid host name: {error}") from error
        token = None if token_file is None else read_token(token_file)
        if not address.tls:
            return cls(address, token, token_file)
        try:
            tls = ssl.create_default_context(cafile=tls_ca)
        except OSError as error:
            raise UnusableError(
                f"the CA's certificate {tls_ca} can't be used: {reason(error)}; it must be in PEM format"
            ) from error
        return cls(address, token, token_file, tls)

    def settings(self) -> dict[str, Any]:
        """Return the arguments of an httpx client for this service."""
        headers = {"user-agent": "fanoutfs", "accept-encoding": "identity"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        return {"headers": headers, "verify": self.tls, "trust_env": False, "timeout": TIMEOUT}

    def status(self) -> StatusDocument:
        """Request the status document; blocks for at most WHOLE_SECONDS.

        Raises UnusableError; NoAnswerError if a later request may succeed.
        """
        url, until = self.address.url("status"), time.monotonic() + WHOLE_SECONDS
        body = bytearray()
        try:
            with httpx.Client(**self.settings()) as client, client.stream("GET", url) as response:
                self.raise_for_status(response)
                for piece in response.iter_raw():
                    body += piece
                    if len(body) > LONGEST:
                        raise self.not_fanoutfs_error(f"sends more than {LONGEST} bytes")
                    if time.monotonic() > until:
                        raise NoAnswerError(
                            f"{self.address.text} is too slow: no whole answer in {WHOLE_SECONDS:g} seconds"
                        )
        except httpx.HTTPError as error:
            raise self.to_error(error) from error
        try:
            return parse_json(bytes(body))
        except ValueError as error:
            raise self.not_fanoutfs_error("sends no status document") from error

    # Errors, for every kind of request

    def raise_for_status(self, response: httpx.Response) -> None:
        """Raise UnusableError for an unsuccessful response; NoAnswerError if a later one may succeed."""
        code, text = response.status_code, self.address.text
        if code == httpx.codes.OK:
            return
        if code == httpx.codes.UNAUTHORIZED and self.token_file is None:
            raise UnusableError(f"{text} requires a token; name its file with --token-file FILE")
        if code == httpx.codes.UNAUTHORIZED:
            raise UnusableError(
                f"{text} does not accept the token in {self.token_file}; copy the token file of its mount"
            )
        if code == httpx.codes.MISDIRECTED_REQUEST:
            raise UnusableError(
                f"{text} does not answer to the name {self.address.host}; use a name or an address that its "
                "mount's --listen names"
            )
        if code == httpx.codes.NOT_IMPLEMENTED:
            raise UnusableError(
                f"{text} has an image of too many blocks for digests; mount it there with a larger --block"
            )
        if code in _BUSY:
            raise NoAnswerError(f"{text} is not available at the moment (HTTP {code}); try again")
        if response.has_redirect_location:
            place = response.headers["location"]
            raise NotAServiceError(f"{text} redirects to {place!r}; if you trust that, use its address")
        raise self.not_fanoutfs_error(f"answers with HTTP {code}")

    def not_fanoutfs_error(self, what: str) -> NotAServiceError:
        """Return the error for a server that is not a fanoutfs service."""
        advice = "so it is not a fanoutfs service; use the address of a mount's --listen"
        return NotAServiceError(f"{self.address.text} {what}, {advice}")

    def to_error(self, error: httpx.HTTPError) -> UnusableError:
        """Return the error for an error of httpx."""
        text = self.address.text
        if isinstance(error, httpx.ReadTimeout) or _is_of_handshake(error):
            return NoAnswerError(
                f"{text} accepts the connection, but does not answer; "
                "see on that computer whether its daemon is stopped or hangs (fanoutfs status)"
            )
        if isinstance(error, httpx.TimeoutException):
            return NoAnswerError(
                f"{text} does not answer; check the address, whether a firewall is between, and whether "
                "that computer or its daemon hangs"
            )
        for cause in _causes(error):
            match cause:
                case ssl.SSLError():
                    return self._to_tls_error(cause)
                case socket.gaierror():
                    message = (
                        f"the host name {self.address.host} can't be resolved: {reason(cause)}; check it"
                    )
                case ConnectionRefusedError():
                    message = (
                        f"no service listens at {text}; is the source mounted there, with this --listen?"
                    )
                case OSError() if cause.errno is not None:
                    message = f"{text} can't be reached: {reason(cause)}"
                case _:
                    continue
            return NoAnswerError(message)
        hint = "" if self.address.tls else "; does it require https://?"
        return NoAnswerError(f"{text} closed the connection: {str(error).rstrip('.').lower()}{hint}")

    def _to_tls_error(self, error: ssl.SSLError) -> UnusableError:
        text = self.address.text
        if not isinstance(error, ssl.SSLCertVerificationError):
            return UnusableError(f"{text} can't be reached over TLS: {reason(error)}; does it use http://?")
        why = error.verify_message.rstrip(".")
        if error.verify_code in _NAME_ERRORS:
            return UnusableError(
                f"the certificate of {text} is another computer's: {why}; use a name that is in it"
            )
        return UnusableError(
            f"the certificate of {text} can't be trusted: {why}; "
            "name the certificate of its CA (--tls-ca FILE)"
        )


def _is_of_handshake(error: httpx.HTTPError) -> bool:
    """Return whether a connection was accepted, but TLS did not begin in time: httpx has no kind for that."""
    return isinstance(error, httpx.ConnectTimeout) and "handshake" in str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return an exception and its causes, the first cause last."""
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
