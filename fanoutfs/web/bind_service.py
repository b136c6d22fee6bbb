"""Binds the address of ``--listen`` and reads token and certificate, before the mount.

So whatever is wrong with them is an error of the command, with nothing mounted.
"""

import os
import socket
import ssl

import attrs

from fanoutfs.host_port import format_host_port
from fanoutfs.settings import ServiceSettings
from fanoutfs.system.credentials import read_certificate, read_token
from fanoutfs.system.listen import listen
from fanoutfs.web.access import LOOPBACK, Access

SEND_BUFFER = 256 * 1024
"""Bytes that the kernel buffers for a client that does not read; its default is megabytes."""


@attrs.define(eq=False)
class BoundService:
    """A service that listens but does not answer yet."""

    socket: socket.socket
    access: Access
    tls: ssl.SSLContext | None
    url: str
    """The address to open in a browser, without the token."""

    def fileno(self) -> int:
        """Return the listening descriptor."""
        return self.socket.fileno()

    def close(self) -> None:
        """Stop listening, in this process."""
        self.socket.close()


def open_service(settings: ServiceSettings) -> BoundService:
    """Listen; raises UnusableError when the address, the token file or the certificate can't be used."""
    token = None if settings.token_file is None else read_token(settings.token_file)
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = read_certificate(settings.tls_cert, settings.tls_key)
        tls.set_alpn_protocols(["http/1.1"])
    listening, address = listen("--listen", settings.host, settings.port, send_buffer=SEND_BUFFER)
    everywhere = address in ("0.0.0.0", "::")  # noqa: S104 (it is compared)
    access = Access(
        names=_names(settings.host, address, loopback=settings.loopback),
        port=settings.port,
        everywhere=everywhere,
        token=token,
        secure=tls is not None,
    )
    host = os.uname().nodename if everywhere else settings.host
    url = f"{'http' if tls is None else 'https'}://{format_host_port(host, settings.port)}/"
    return BoundService(listening, access, tls, url)


def _names(host: str, address: str, *, loopback: bool) -> frozenset[str]:
    """Return the names by which clients at that address may call this computer."""
    names = {*LOOPBACK, host.lower().removesuffix("."), address.lower()}
    if not loopback:
        node = os.uname().nodename.lower()
        names |= {node, node.partition(".")[0]}
    return frozenset(names - {"0.0.0.0", "::", ""})  # noqa: S104 (it is taken out)
