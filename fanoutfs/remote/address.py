"""Addresses of services and exports on other computers: text in, parts or UsageError out. No I/O.

``http://HOST[:PORT][/PATH]`` and ``https://...`` name the service of a producer (``mount --listen``), as in
RFC 3986: no port means 80 and 443; a path is for a proxy in front of the service.
``nbd://HOST[:PORT]/EXPORT`` and ``nbds://[USER@]HOST[:PORT]/EXPORT`` name an export of an NBD server, as in
the NBD project's uri.md: no port means 10809; everything after the first slash is the export's name, which
may be empty.

``nbd+unix:///EXPORT?socket=PATH`` names one of a server on this computer that listens at a socket.
``file_address.py`` has the addresses of files.

Two addresses of the same thing have the same ``text``: host in lower case, no default port, IPv6 addresses in
their shortest form, no slash at the end of a service, escapes in an export's name only where necessary.
"""

import hashlib
import ipaddress
import posixpath
import re
from collections.abc import Sequence
from typing import Self
from urllib.parse import quote, unquote

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.host_port import format_host_port, parse_host_port

NBD_PORT = 10809

LONGEST_EXPORT = 4096
"""Bytes: the longest string that the protocol allows."""

PORTS = {"http": 80, "https": 443, "nbd": NBD_PORT, "nbds": NBD_PORT}

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_URL = re.compile(r"([A-Za-z]+)://(?:([^@/?#]*)@)?([^/?#]*)([^?#]*)([?#].*)?", re.DOTALL)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*)\.?", re.ASCII)
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
_SOCKET_URL = re.compile(r"nbd\+unix://(?:/([^?#]*))?\?socket=([^&#]+)", re.IGNORECASE | re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_UNESCAPED = "/!$&'()*+,;=:@"
"""What RFC 3986 allows in a path besides letters, digits and ``-._~``."""


def is_url(url: str) -> bool:
    """Return whether an argument is an address; ``./NAME`` names a file with such a name."""
    return _SCHEME.match(url) is not None


@attrs.frozen
class ServiceAddress:
    """The address of a producer's service."""

    scheme: str
    """http or https."""
    host: str
    """A name or an address, without brackets, in lower case."""
    port: int
    path: str = ""
    """The prefix of the service's own paths: empty, or with a slash at its beginning and not at its end."""

    @property
    def tls(self) -> bool:
        """Whether the service proves its identity by a certificate."""
        return self.scheme == "https"

    @property
    def text(self) -> str:
        """The address as text, in its canonical form."""
        return f"{self.scheme}://{address_place(self.scheme, self.host, self.port)}{self.path}"

    def url(self, name: str) -> str:
        """Return the URL of one of the service's paths, named without a slash: ``status``."""
        return f"{self.text}/{name}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an address; raises UsageError."""
        scheme, user, host, port, path = _parts(url, ("http", "https"))
        if user is not None:
            raise UsageError(f"{url!r} names a user, but a service takes a token: use --token-file FILE")
        path = path.rstrip("/")
        if not _PATH.fullmatch(path):
            raise UsageError(f"{url!r} has characters in its path that must be escaped, such as %20")
        return cls(scheme, host, port, path)


@attrs.frozen
class ExportAddress:
    """The address of an export of an NBD server."""

    host: str
    """A name or an address, without brackets, in lower case."""
    port: int
    export: str
    """Its name, which may be empty."""
    tls: bool = False
    user: str | None = None
    """The user name that is sent, with TLS only."""

    @property
    def text(self) -> str:
        """The address as text, in its canonical form."""
        scheme = "nbds" if self.tls else "nbd"
        user = "" if self.user is None else quote(self.user, safe="!$&'()*+,;=") + "@"
        export = quote(self.export, safe=_UNESCAPED)
        return f"{scheme}://{user}{address_place(scheme, self.host, self.port)}/{export}"

    @property
    def identity(self) -> str:
        """The identity of this source, usable as a file name; it does not depend on the user."""
        text = attrs.evolve(self, user=None).text
        return short_identity("nbd", text)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an address; raises UsageError."""
        scheme, user, host, port, path = _parts(url, ("nbd", "nbds"))
        if user is not None and scheme == "nbd":
            raise UsageError(f"{url!r} names a user, which only works with TLS; write nbds://")
        export = _export_name(url, path.removeprefix("/"))
        return cls(host, port, export, scheme == "nbds", user_name(url, user))


@attrs.frozen
class SocketAddress:
    """The address of an export of an NBD server that listens at a Unix socket here."""

    socket: str
    """Its absolute path."""
    export: str
    """Its name, which may be empty."""

    @property
    def text(self) -> str:
        """The address as text, in its canonical form."""
        export, path = quote(self.export, safe=_UNESCAPED), quote(self.socket, safe="/")
        return f"nbd+unix:///{export}?socket={path}"

    @property
    def identity(self) -> str:
        """The identity of this source, usable as a file name."""
        return short_identity("nbd", self.text)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an address; raises UsageError."""
        found = _SOCKET_URL.fullmatch(url)
        path = "" if found is None else unescaped(url, found[2])
        if found is None or not path.startswith("/"):
            raise UsageError(f"{url!r} is not an address; write nbd+unix:///EXPORT?socket=/PATH")
        return cls("/" + posixpath.normpath(path).lstrip("/"), _export_name(url, found[1] or ""))


def _export_name(url: str, text: str) -> str:
    """Return the name of an export, decoded; raises UsageError."""
    export = unescaped(url, text)
    if len(export.encode()) > LONGEST_EXPORT:
        raise UsageError(f"the export's name in {url[:40]!r}... is longer than {LONGEST_EXPORT} bytes")
    return export


def user_name(url: str, text: str | None) -> str | None:
    """Return the name of a user, decoded; raises UsageError if it is empty."""
    name = None if text is None else unescaped(url, text)
    if name == "":
        raise UsageError(f"{url!r} has no user name before the @")
    return name


def short_identity(kind: str, text: str) -> str:
    """Return the identity of a source with this address: a short name that any file can have."""
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def url_parts(
    url: str, schemes: Sequence[str], *, query: bool = False
) -> tuple[str, str | None, str, int | None, str]:
    """Return scheme, user, host, port and path, with the query if there may be one; raises UsageError."""
    found = _URL.fullmatch(url)
    if found is None or found[1].lower() not in schemes:
        raise UsageError(
            f"{url!r} is not an address; write http://HOST:PORT, https://..., ssh://HOST/PATH, "
            "nbd://HOST/EXPORT, nbds://... or nbd+unix:///EXPORT?socket=PATH"
        )
    scheme, user, path, rest = found[1].lower(), found[2], found[4], found[5]
    if rest is not None and not (query and rest.startswith("?") and "#" not in rest):
        raise UsageError(f"{url!r} has {rest!r} after the path; remove that")
    try:
        host, port = parse_host_port(found[3])
    except ValueError as error:
        raise UsageError(f"{url!r} {error}") from error
    return scheme, user, _normalised(url, host, found[3]), port, path + (rest or "")


def _parts(url: str, schemes: tuple[str, str]) -> tuple[str, str | None, str, int, str]:
    scheme, user, host, port, path = url_parts(url, schemes)
    return scheme, user, host, port or PORTS[scheme], path


def _normalised(url: str, host: str, text: str) -> str:
    if text.startswith("["):
        try:
            return ipaddress.IPv6Address(host).compressed
        except ValueError as error:
            raise UsageError(f"{url!r} has an invalid IPv6 address: {error}") from error
    name = _HOST.fullmatch(host)
    if name is None:
        raise UsageError(f"{url!r} has the invalid host name {host!r}")
    return name[1].lower()


def address_place(scheme: str, host: str, port: int) -> str:
    """Return HOST[:PORT] as a part of an address."""
    return format_host_port(host, None if port == PORTS[scheme] else port)


def unescaped(url: str, text: str) -> str:
    """Decode percent-escapes; raises UsageError if they are invalid, or not printable UTF-8."""
    try:
        plain = "" if _BAD_ESCAPE.search(text) else unquote(text, errors="strict")
        plain.encode()
    except UnicodeError:
        plain = ""
    if (text and not plain) or not all(letter.isprintable() for letter in plain):
        raise UsageError(
            f"{url!r} has characters that a name can't have; write them as UTF-8, escaped as %C3%A4"
        )
    return plain
