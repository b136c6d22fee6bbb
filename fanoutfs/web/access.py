"""Decides which requests may see the monitor service. No I/O, no clock.

The Host header of a request must be a name of this computer. That keeps out a page of a foreign site that a
browser was made to load from here by a DNS answer that changed (DNS rebinding).

If there is a token, a request must carry it as well: as ``Authorization: Bearer TOKEN``, or as the cookie
that the login form returns. The cookie contains its expiry time and an HMAC of it, keyed by the token, so
that the service stores nothing and a login survives its restart.
"""

import hashlib
import hmac
import ipaddress

import attrs

from fanoutfs.host_port import parse_host_port

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

COOKIE_SECONDS = 7 * 86400
"""How long a login lasts."""


def host_of(header: str) -> str | None:
    """Return the name or address in a Host header, without the port; None if it is malformed."""
    try:
        host, _ = parse_host_port(header)
    except ValueError:
        return None
    return host.lower().removesuffix(".")


@attrs.frozen(kw_only=True)
class Access:
    """The rules that decide which requests pass."""

    names: frozenset[str]
    """The names that this computer goes by, in lower case."""
    port: int
    everywhere: bool = False
    """The service listens on all addresses: the address that a connection was made to is a name, too."""
    token: str | None = attrs.field(default=None, repr=False)
    secure: bool = False
    """The service uses HTTPS: the cookie is sent over nothing else."""

    @property
    def cookie_name(self) -> str:
        """The name of the cookie. It has the port, for a browser sends the cookies of all ports of a host."""
        return f"fanoutfs-{self.port}"

    def is_called(self, host: str, came_to: str) -> bool:
        """Return whether a Host header names this computer; ``came_to`` is its local address."""
        name = host_of(host)
        if name is None:
            return False
        if name in self.names:
            return True
        return self.everywhere and _same_address(name, came_to)

    def admits(self, authorization: str, cookie: str, now: float) -> bool:
        """Return whether a request may pass, by its header, or by its cookie at a time (Unix seconds)."""
        if self.token is None:
            return True
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(token.strip())
        until, _, proof = cookie.partition(".")
        if not (until.isascii() and until.isdecimal() and len(until) < 12 and int(until) > now):  # noqa: PLR2004 (a time)
            return False
        return _equal(proof, self._proof(until))

    def is_token(self, text: str) -> bool:
        """Return whether this is the token. Takes constant time."""
        return self.token is not None and _equal(text, self.token)

    def cookie(self, now: float) -> str:
        """Return the value of the Set-Cookie header for a client that has sent the token."""
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
    """Parse an address; an IPv4 address mapped to IPv6 becomes IPv4 again."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
