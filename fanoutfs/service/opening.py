"""Before the mount: the address is taken, the token and the certificate are read.

All that can be wrong with them is an error of the command, with nothing mounted.
"""

import os
import socket
import ssl
import stat
from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.service.access import LOOPBACK, Access
from fanoutfs.settings import ServiceSettings

BACKLOG = 128

SEND_BUFFER = 256 * 1024
"""Bytes that the kernel keeps for a client that does not take them; by itself it would be megabytes."""

SHORTEST_TOKEN = 16
LONGEST_TOKEN = 1024


@attrs.define(eq=False)
class Opened:
    """A service that is listening, and does not answer yet."""

    socket: socket.socket
    access: Access
    tls: ssl.SSLContext | None
    url: str

    def fileno(self) -> int:
        """Give the listening descriptor."""
        return self.socket.fileno()

    def close(self) -> None:
        """Stop listening, in this process."""
        self.socket.close()


def open_service(settings: ServiceSettings) -> Opened:
    """Listen; raises UnusableError when the address, the token file or the certificate can't be used."""
    token = None if settings.token_file is None else read_token(settings.token_file)
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = _read_certificate(settings.tls_cert, settings.tls_key)
    listening, address = _listen(settings.host, settings.port)
    access = Access(
        names=_names(settings.host, address, loopback=settings.loopback),
        port=settings.port,
        everywhere=address in ("0.0.0.0", "::"),  # noqa: S104 (it is compared)
        token=token,
        secure=tls is not None,
    )
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'http' if tls is None else 'https'}://{host}:{settings.port}/"
    return Opened(listening, access, tls, url)


def read_token(path: Path) -> str:
    """Read the token from its file; raises UnusableError when others could, too, or it is no token."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            text = os.read(descriptor, LONGEST_TOKEN + 2) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnusableError(f"the token file {path} can't be read: {reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError(f"the token file {path} is no file; write the token into one")
    if status.st_uid not in (0, os.getuid()):
        raise UnusableError(f"the token file {path} is another user's; make one of your own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UnusableError(f"the token file {path} can be read by others; close it with: chmod 600 {path}")
    token = text.strip()
    if not all(0x21 <= letter <= 0x7E for letter in token):  # noqa: PLR2004 (ASCII's letters)
        raise UnusableError(f"the token file {path} holds more than one line of ASCII letters without spaces")
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
        raise UnusableError(
            f"the token in {path} has {len(token)} letters, it needs {SHORTEST_TOKEN} to {LONGEST_TOKEN}; "
            f"make one with: openssl rand -hex 32 > {path}"
        )
    return token.decode()


def _read_certificate(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password of ours OpenSSL would ask for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise UnusableError(
            f"--tls-cert {cert} with --tls-key {key} can't be used: {why}; give a PEM certificate and its "
            "key without a passphrase"
        ) from error
    return context


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    """Listen on the first address of a name; gives it, too."""
    # Of localhost's two addresses the one that everybody tries.
    name = "127.0.0.1" if host == "localhost" else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UnusableError(
            f"--listen {host}:{port}: {reason(error)}; name an address of this computer"
        ) from error
    family, _, _, _, address = found[0]
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Those that it accepts have it from here.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UnusableError(
            f"--listen {host}:{port} can't be: {reason(error)}; name a free port, and an address of ours"
        ) from error
    return listening, str(address[0])


def _names(host: str, address: str, *, loopback: bool) -> frozenset[str]:
    """Give what this computer may be called by those who reach it there."""
    names = {*LOOPBACK, host.lower().removesuffix("."), address.lower()}
    if not loopback:
        node = os.uname().nodename.lower()
        names |= {node, node.partition(".")[0]}
    return frozenset(names - {"0.0.0.0", "::", ""})  # noqa: S104 (it is taken out)
