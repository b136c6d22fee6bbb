"""Addresses of files that are read over a link: text in, parts or UsageError out. No I/O.

``ssh://[USER@]HOST[:PORT]/PATH`` names a file on a computer that one can log in to; ``/~/`` is the home
folder there. ``http://HOST[:PORT]/PATH[?QUERY]`` and ``https://...`` name a file of a web server. An image in
a format lies here, and QEMU serves it.
"""

import re
from typing import Self
from urllib.parse import quote

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.host_port import format_host_port
from fanoutfs.remote.address import (
    PORTS,
    ExportAddress,
    ServiceAddress,
    SocketAddress,
    address_place,
    short_identity,
    unescaped,
    url_parts,
    user_name,
)

_WITH_QUERY = re.compile(r"\w+://[^/?#]*/[^?#]+\?")
"""A query is a file's: services have none."""


@attrs.frozen
class SshAddress:
    """The address of a file on a computer that one can log in to."""

    host: str
    """A name, an address without brackets, or what the user's configuration of ssh knows; in lower case."""
    path: str
    """Absolute, or relative to the home folder there."""
    user: str | None = None
    port: int | None = None
    """None: what the configuration of ssh says, or 22."""
    raw: bool = False
    """Whether it is read as it lies, whatever it holds."""

    @property
    def text(self) -> str:
        """The address as text, in its canonical form."""
        user = "" if self.user is None else quote(self.user, safe="") + "@"
        path = self.path if self.path.startswith("/") else f"/~/{self.path}"
        return f"ssh://{user}{format_host_port(self.host, self.port)}{quote(path)}"

    @property
    def identity(self) -> str:
        """The identity of this source, usable as a file name."""
        return short_identity("ssh-raw" if self.raw else "ssh", self.text)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an address; raises UsageError."""
        _, user, host, port, path = url_parts(url, ("ssh",))
        name = user_name(url, user)
        if name is not None and (name.startswith("-") or ":" in name):
            raise UsageError(f"{url!r} has an invalid user name; a password can't be part of an address")
        file = unescaped(url, path.removeprefix("/~/"))
        if file in ("", "/"):
            raise UsageError(f"{url!r} names no file; write ssh://HOST/PATH")
        return cls(host, file, name, port)


@attrs.frozen
class WebAddress:
    """The address of a file of a web server."""

    scheme: str
    """http or https."""
    host: str
    """A name or an address, without brackets, in lower case."""
    port: int
    path: str
    """From the slash on, with the query, as it is sent."""
    raw: bool = False
    """Whether it is read as it lies, whatever it holds."""
    unmodified_since: str | None = None
    """What each request demands, so that a file that has been replaced is not mixed with it: an HTTP date."""

    @property
    def text(self) -> str:
        """The address as text, in its canonical form."""
        return f"{self.scheme}://{address_place(self.scheme, self.host, self.port)}{self.path}"

    @property
    def identity(self) -> str:
        """The identity of this source, usable as a file name."""
        return short_identity("web-raw" if self.raw else "web", self.text)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an address; raises UsageError."""
        scheme, user, host, port, path = url_parts(url, ("http", "https"), query=True)
        if user is not None:
            raise UsageError(f"{url!r} names a user; files are read without login")
        if not path.startswith("/") or path.startswith("/?"):
            raise UsageError(f"{url!r} names no file; write {scheme}://HOST/PATH")
        if not path.isascii() or not path.isprintable() or " " in path:
            raise UsageError(f"{url!r} has characters in its path that must be escaped, such as %20")
        return cls(scheme, host, port or PORTS[scheme], path)

    @classmethod
    def of(cls, address: ServiceAddress) -> Self:
        """Return the file with the same address as a service with a path."""
        return cls(address.scheme, address.host, address.port, address.path)


@attrs.frozen
class ImageAddress:
    """An image in a format, which QEMU serves."""

    path: str
    """Absolute."""
    driver: str
    """What QEMU calls the format."""
    direct: bool = False
    """Whether the file is read past the page cache, as one is that is read over a link itself."""

    @property
    def text(self) -> str:
        """Its path."""
        return self.path

    @property
    def identity(self) -> str:
        """The identity of a link to it; the source has that of its file."""
        return short_identity("served", f"{self.driver}:{self.path}")


LinkAddress = ExportAddress | SocketAddress | SshAddress | WebAddress | ImageAddress
"""What a link can lead to."""


def parse(url: str) -> ServiceAddress | ExportAddress | SocketAddress | SshAddress | WebAddress:
    """Parse an argument for which ``is_url`` is true; raises UsageError.

    An address of a service that has a path may also be that of a file: only asking shows which.
    """
    scheme = url.partition("://")[0].lower()
    match scheme:
        case "nbd" | "nbds":
            return ExportAddress.parse(url)
        case "nbd+unix":
            return SocketAddress.parse(url)
        case "ssh":
            return SshAddress.parse(url)
        case "http" | "https" if _WITH_QUERY.match(url):
            return WebAddress.parse(url)
        case _:
            return ServiceAddress.parse(url)


def identities(
    address: ServiceAddress | ExportAddress | SocketAddress | SshAddress | WebAddress,
) -> list[str]:
    """Return the identities that a source with this address can have here; a service knows its own."""
    if isinstance(address, ServiceAddress):
        if not address.path:
            return []
        address = WebAddress.of(address)
    if isinstance(address, SshAddress | WebAddress):
        return [address.identity, attrs.evolve(address, raw=True).identity]
    return [address.identity]
