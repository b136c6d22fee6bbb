"""Words that name something on another computer. Pure: a word in, its parts or UsageError out.

``http://HOST[:PORT][/PATH]`` and ``https://...`` name the service of a producer (``mount --listen``), as in
RFC 3986: no port means 80 and 443; a path is there where a proxy stands before it.
``nbd://HOST[:PORT]/EXPORT`` and ``nbds://[USER@]HOST[:PORT]/EXPORT`` name an export of an NBD server, as in
the NBD project's uri.md: no port means 10809; all behind the first slash is the export's name, which may be
empty.

Two words for the same thing have the same ``text``: letters of the host small, no port where it is the usual
one, IPv6 addresses in their shortest form, no slash at a service's end, escapes in an export's name where
they must be.
"""

import hashlib
import ipaddress
import re
from typing import Self
from urllib.parse import quote, unquote

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.host_port import format_host_port, parse_host_port

NBD_PORT = 10809

LONGEST_EXPORT = 4096
"""Bytes; no string of the protocol may be longer."""

_PORTS = {"http": 80, "https": 443, "nbd": NBD_PORT, "nbds": NBD_PORT}

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WORD = re.compile(r"([A-Za-z]+)://(?:([^@/?#]*)@)?([^/?#]*)([^?#]*)([?#].*)?", re.DOTALL)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST = re.compile(rf"({_LABEL}(?:\.{_LABEL})*)\.?", re.ASCII)
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_UNESCAPED = "/!$&'()*+,;=:@"
"""Besides letters, digits and ``-._~``: what RFC 3986 lets stand in a path."""


def is_url(word: str) -> bool:
    """Say whether a word is meant to name something elsewhere; a file called so is named as ``./WORD``."""
    return _SCHEME.match(word) is not None


@attrs.frozen
class ServiceAddress:
    """Where a producer's service is."""

    scheme: str
    """http or https."""
    host: str
    """A name or an address, without brackets, in small letters."""
    port: int
    path: str = ""
    """What comes before the service's own paths: empty, or begins with a slash and ends with none."""

    @property
    def tls(self) -> bool:
        """Say whether the service proves by a certificate who it is."""
        return self.scheme == "https"

    @property
    def text(self) -> str:
        """Write it as all words for it are written."""
        return f"{self.scheme}://{_place(self.scheme, self.host, self.port)}{self.path}"

    def url(self, name: str) -> str:
        """Give the URL of one of the service's paths, which are named without a slash: ``status``."""
        return f"{self.text}/{name}"

    @classmethod
    def parse(cls, word: str) -> Self:
        """Read a word; raises UsageError."""
        scheme, user, host, port, path = _parts(word, ("http", "https"))
        if user is not None:
            raise UsageError(f"{word!r} names a user; a service wants a token, give it by --token-file FILE")
        path = path.rstrip("/")
        if not _PATH.fullmatch(path):
            raise UsageError(f"{word!r} has a path with letters that no URL has; write them as %20")
        return cls(scheme, host, port, path)


@attrs.frozen
class ExportAddress:
    """Where an NBD server has an export."""

    host: str
    """A name or an address, without brackets, in small letters."""
    port: int
    export: str
    """Its name, which may be empty."""
    tls: bool = False
    user: str | None = None
    """Who it is asked as, with TLS only."""

    @property
    def text(self) -> str:
        """Write it as all words for it are written."""
        scheme = "nbds" if self.tls else "nbd"
        user = "" if self.user is None else quote(self.user, safe="!$&'()*+,;=") + "@"
        return (
            f"{scheme}://{user}{_place(scheme, self.host, self.port)}/{quote(self.export, safe=_UNESCAPED)}"
        )

    @property
    def identity(self) -> str:
        """Give what names this source, and may be a file's name; whoever it is asked as, it is the same."""
        text = attrs.evolve(self, user=None).text
        return "nbd-" + hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def parse(cls, word: str) -> Self:
        """Read a word; raises UsageError."""
        scheme, user, host, port, path = _parts(word, ("nbd", "nbds"))
        if user is not None and scheme == "nbd":
            raise UsageError(f"{word!r} names a user, whom nobody asks without TLS; write nbds://")
        export = _unescaped(word, path.removeprefix("/"))
        if len(export.encode()) > LONGEST_EXPORT:
            raise UsageError(f"the export's name in {word[:40]!r}... is longer than {LONGEST_EXPORT} bytes")
        said = None if user is None else _unescaped(word, user)
        if said == "":
            raise UsageError(f"{word!r} has an @ without a user before it")
        return cls(host, port, export, scheme == "nbds", said)


def parse(word: str) -> ServiceAddress | ExportAddress:
    """Read a word that ``is_url`` takes for one; raises UsageError for what is none of the four."""
    scheme = word.partition("://")[0].lower()
    return ExportAddress.parse(word) if scheme in ("nbd", "nbds") else ServiceAddress.parse(word)


def _parts(word: str, schemes: tuple[str, str]) -> tuple[str, str | None, str, int, str]:
    """Give scheme, user, host, port and path; raises UsageError."""
    found = _WORD.fullmatch(word)
    if found is None or found[1].lower() not in schemes:
        raise UsageError(
            f"{word!r} is no address; write http://HOST:PORT, https://..., nbd://HOST/EXPORT or nbds://..."
        )
    scheme, user, path = found[1].lower(), found[2], found[4]
    if found[5] is not None:
        raise UsageError(f"{word!r} goes on with {found[5]!r} after the path; leave that away")
    try:
        host, port = parse_host_port(found[3])
    except ValueError as error:
        raise UsageError(f"{word!r} {error}") from error
    return scheme, user, _normalised(word, host, found[3]), port or _PORTS[scheme], path


def _normalised(word: str, host: str, text: str) -> str:
    if text.startswith("["):
        try:
            return ipaddress.IPv6Address(host).compressed
        except ValueError as error:
            raise UsageError(f"{word!r} has an invalid IPv6 address: {error}") from error
    name = _HOST.fullmatch(host)
    if name is None:
        raise UsageError(f"{word!r} has the invalid host name {host!r}")
    return name[1].lower()


def _place(scheme: str, host: str, port: int) -> str:
    return format_host_port(host, None if port == _PORTS[scheme] else port)


def _unescaped(word: str, text: str) -> str:
    """Read percent-escapes; raises UsageError for those that are none, or what is no UTF-8 or no text."""
    try:
        plain = "" if _BAD_ESCAPE.search(text) else unquote(text, errors="strict")
        plain.encode()
    except UnicodeError:
        plain = ""
    if (text and not plain) or not all(letter.isprintable() for letter in plain):
        raise UsageError(
            f"{word!r} has letters that a name can't have; write them as UTF-8, escaped as %C3%A4"
        )
    return plain
