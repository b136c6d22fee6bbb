"""The programs that connect a link: nbdfuse, with a program that serves what it shows; and their failures.

nbdfuse starts the program itself, and ends with it. It connects to an NBD server without one, but can't use
TLS with a pre-shared key or a private CA; then nbdkit's nbd plugin connects for it. nbdkit's ssh and curl
plugins serve files of other computers, and qemu-nbd images in a format. All of them read only.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never
from urllib.parse import quote

import attrs

from fanoutfs.remote.address import ExportAddress, SocketAddress
from fanoutfs.remote.file_address import ImageAddress, LinkAddress, SshAddress, WebAddress
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.system.programs import install, require_programs

FILE = "image"
"""The name of the file that nbdfuse shows."""

NBDKIT = ("nbdkit", "-s", "--exit-with-parent", "--readonly")


def require_link_programs(address: LinkAddress) -> None:
    """Raise UnusableError if a program that this link needs is not installed."""
    match address:
        case ImageAddress():
            require_programs("nbdfuse", "qemu-nbd")
        case SshAddress() | WebAddress():
            require_programs("nbdfuse", "nbdkit")
        case ExportAddress() | SocketAddress():
            require_programs("nbdfuse", "nbdinfo")


def nbdfuse_command(address: LinkAddress, keys: RemoteKeys, point: Path, certificates: Path) -> list[str]:
    """Return the command that shows what an address leads to as ``point / FILE``.

    ``certificates``: a folder with ca-cert.pem. Raises UnusableError for an invalid file of keys.
    """
    # A server may serve one client at a time, even one that announces several connections (multi-conn).
    argv = ["nbdfuse", "--readonly", "--connections", "1", str(point / FILE)]
    match address:
        case ExportAddress(tls=False) | SocketAddress():
            return [*argv, address.text]
        case ExportAddress():
            return [*argv, "--command", *NBDKIT, "nbd", *_tls_parameters(address, keys, certificates)]
        case SshAddress():
            place = [f"host={address.host}", f"path={address.path}"]
            place += [] if address.user is None else [f"user={address.user}"]
            place += [] if address.port is None else [f"port={address.port}"]
            return [*argv, "--command", *NBDKIT, "ssh", *place]
        case WebAddress():
            # A redirection may not lead to where a password of this computer or a file is sent.
            schemes = "https" if address.scheme == "https" else "http,https"
            place = [f"url={address.text}", f"protocols={schemes}", "user-agent=fanoutfs"]
            place += [] if keys.tls_ca is None else [f"cainfo={keys.tls_ca}"]
            since = address.unmodified_since
            place += [] if since is None else [f"header=If-Unmodified-Since: {since}"]
            return [*argv, "--command", *NBDKIT, "curl", *place]
        case ImageAddress():
            return [*argv, *_qemu_nbd(address)]
        case _:
            assert_never(address)


def _tls_parameters(address: ExportAddress, keys: RemoteKeys, certificates: Path) -> list[str]:
    place = [f"hostname={address.host}", f"port={address.port}", f"export={address.export}", "tls=require"]
    if keys.tls_psk is not None:
        return [*place, f"tls-psk={keys.tls_psk}", f"tls-username={address.user or keys.psk_user()}"]
    # Without a folder libnbd 1.14 accepts any certificate.
    proof = [f"tls-certificates={certificates}", "tls-verify=true"]
    return [*place, *proof, *([] if address.user is None else [f"tls-username={address.user}"])]


def nbdinfo_command(
    address: ExportAddress | SocketAddress, keys: RemoteKeys, certificates: Path
) -> list[str]:
    """Return the command that reads the description of an export; arguments as for ``nbdfuse_command``."""
    query = ""
    if isinstance(address, ExportAddress) and address.tls:
        if keys.tls_psk is not None:
            address = attrs.evolve(address, user=address.user or keys.psk_user())
            query = f"?tls-psk-file={quote(str(keys.tls_psk))}"
        else:
            query = f"?tls-certificates={quote(str(certificates))}"
    return ["nbdinfo", "--json", "--no-content", address.text + query]


def map_command(address: LinkAddress, keys: RemoteKeys, certificates: Path) -> list[str] | None:
    """Return the command that lists the holes of a source; None: there is no way to know them.

    Arguments as for ``nbdfuse_command``. The list comes over a second connection, or from a second program.
    """
    match address:
        case ExportAddress() | SocketAddress():
            return ["nbdinfo", "--map", "--json", nbdinfo_command(address, keys, certificates)[-1]]
        case ImageAddress():
            return ["nbdinfo", "--map", "--json", "--", *_qemu_nbd(address)]
        case _:
            return None


def _qemu_nbd(address: ImageAddress) -> list[str]:
    # Without a format QEMU would look for one, and so believe what a guest has written to its disk.
    read = ["--read-only", f"--format={address.driver}", *(["--cache=none"] * address.direct)]
    return ["[", "qemu-nbd", *read, address.path, "]"]


_OWN_MESSAGE = re.compile(r"(?:nbdkit: (?:\w+(?:\[\d+\])?: )*error: |qemu-nbd: )(.*)")
"""What a program says for itself, before nbdfuse says that it has ended."""

_OF_LIBNBD = re.compile(r"nbd_connect_\w+: (.*)")

_OF_CURL = re.compile(
    r"^problem doing \w+ request to fetch size of URL \[.*?\]: (HTTP response code said error: )?"
)


def failure_reason(lines: Sequence[str]) -> str:
    """Return why a program could not connect: its message, without its name and libnbd's."""
    own = [found[1] for line in lines if (found := _OWN_MESSAGE.match(line))]
    causes = [found[1] for line in (*own, *lines) if (found := _OF_LIBNBD.search(line))]
    first = own[:1] if own and _OF_LIBNBD.search(own[0]) is None else causes
    why = next(iter([*first, *reversed(lines)]), "nbdfuse has ended without a message")
    return _OF_CURL.sub("", why)


ADVICE = {
    "no export named": "list the server's exports with nbdinfo --list",
    "requires TLS": "write nbds://, with --tls-psk FILE if the server has keys",
    "refused TLS": "the server does not encrypt; write nbd://",
    "certificate verification": "use a name that is in its certificate, and name its CA's with --tls-ca FILE",
    "gnutls_handshake": "the server may want a key (--tls-psk FILE), a different key, or a certificate",
    "getaddrinfo": "check the host's name",
    "Connection refused": "check the address, and whether the server runs",
    "server disconnected": "the server may serve one client at a time and be in use",
    "authentication methods failed": "log in with ssh first: a key must be in its agent or in ~/.ssh, "
    "because no password is asked for here",
    "error: 404": "check the address",
    "does not support 'range'": "read it once: curl -L URL | fanoutfs copy - TARGET",
    "could not get length": "if it is the right one, read it once: curl -L URL | fanoutfs copy - TARGET",
    "cannot open plugin": "install this plugin of nbdkit: "
    + install("nbdkit's curl plugin", "nbdkit's ssh plugin"),
    'shared "write" lock': "a virtual machine uses it: stop that first, or copy a snapshot",
}
"""What to do, for a part of a program's message."""


def with_advice(why: str) -> str:
    """Return a reason with what to do about it, if that is known."""
    return next((f"{why}; {advice}" for part, advice in ADVICE.items() if part in why), why)
