"""Who may see the monitor service. Pure: what a request says in, whether that is enough out.

A request must call this computer by a name of its own (its Host header). A page from elsewhere that a browser
was made to load from here under another name, by a DNS answer that changed (DNS rebinding), does not.

Where there is a token, a request must have it as well: as ``Authorization: Bearer TOKEN``, or as the cookie
that the login form gave for it. The cookie says until when it is good and proves that with the token (HMAC),
so that nothing is kept here and it outlives a restart of the service.
"""

import hashlib
import hmac
import ipaddress
import re

import attrs

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

COOKIE_SECONDS = 7 * 86400
"""A login lasts so long."""

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@,]+))(?::\d{1,5})?", re.ASCII)


def host_of(header: str) -> str | None:
    """Give the name or address of a Host header, without the port; None for what is none."""
    found = _HOST.fullmatch(header)
    if found is None:
        return None
    return str(found[1] or found[2]).lower().removesuffix(".")


@attrs.frozen(kw_only=True)
class Access:
    """What has to be known to let somebody in."""

    names: frozenset[str]
    """What this computer may be called, in lower case."""
    port: int
    everywhere: bool = False
    """It listens on all of its addresses: the one that a request came to is a name, too."""
    token: str | None = attrs.field(default=None, repr=False)
    secure: bool = False
    """It is reached by https: the cookie never goes over anything else."""

    @property
    def cookie_name(self) -> str:
        """Name the cookie: browsers send those of all ports of a computer."""
        return f"fanoutfs-{self.port}"

    def is_called(self, host: str, came_to: str) -> bool:
        """Say whether a Host header names this computer; ``came_to`` is the address of the connection."""
        name = host_of(host)
        if name is None:
            return False
        if name in self.names:
            return True
        return self.everywhere and _same_address(name, came_to)

    def admits(self, authorization: str, cookie: str, now: float) -> bool:
        """Say whether a request may see it: by its header, or by its cookie at a time (seconds, Unix)."""
        if self.token is None:
            return True
        scheme, _, said = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(said.strip())
        until, _, proof = cookie.partition(".")
        if not (until.isascii() and until.isdecimal() and len(until) < 12 and int(until) > now):  # noqa: PLR2004 (a time)
            return False
        return _equal(proof, self._proof(until))

    def is_token(self, said: str) -> bool:
        """Compare with the token, in a time that tells nothing."""
        return self.token is not None and _equal(said, self.token)

    def cookie(self, now: float) -> str:
        """Give the Set-Cookie header's value for who has said the token."""
        until = str(int(now) + COOKIE_SECONDS)
        secure = "; Secure" if self.secure else ""
        return (
            f"{self.cookie_name}={until}.{self._proof(until)}; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; "
            f"SameSite=Strict{secure}"
        )

    def _proof(self, until: str) -> str:
        key = (self.token or "").encode()
        return hmac.new(key, f"fanoutfs monitor until {until}".encode(), hashlib.sha256).hexdigest()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _same_address(name: str, address: str) -> bool:
    try:
        return _plain(name) == _plain(address)
    except ValueError:
        return False


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address; one of IPv4 that came in over an IPv6 socket is what it was."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
