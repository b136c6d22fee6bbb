"""Addresses of services and exports on other computers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import UsageError
from fanoutfs.remote.address import ExportAddress, ServiceAddress, is_url, parse
from tests.letters import LETTERS

NAMES = st.from_regex(
    r"[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}", fullmatch=True, alphabet=LETTERS
)
SIXES = st.ip_addresses(v=6).map(lambda address: address.compressed)
HOSTS = NAMES | SIXES | st.ip_addresses(v=4).map(str)
PORTS = st.integers(1, 65535)
TEXTS = st.text(LETTERS.filter(str.isprintable), max_size=30)
PATHS = st.from_regex(
    r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]{1,5}(%2[0-9A-F])?){0,3}", fullmatch=True, alphabet=LETTERS
)

SERVICES = st.builds(ServiceAddress, st.sampled_from(["http", "https"]), HOSTS, PORTS, PATHS)
PLAIN_EXPORTS = st.builds(ExportAddress, HOSTS, PORTS, TEXTS)
TLS_EXPORTS = st.builds(
    ExportAddress, HOSTS, PORTS, TEXTS, tls=st.just(value=True), user=st.none() | TEXTS.filter(bool)
)


@given(SERVICES | PLAIN_EXPORTS | TLS_EXPORTS)
def test_the_text_of_an_address_is_that_address(address: ServiceAddress | ExportAddress) -> None:
    """For services and exports, with and without TLS."""
    assert is_url(address.text)
    assert address == parse(address.text)


@given(SERVICES | PLAIN_EXPORTS | TLS_EXPORTS, st.data())
def test_large_letters(address: ServiceAddress | ExportAddress, data: st.DataObject) -> None:
    """Scheme and host are the same in large letters."""
    scheme, rest = address.text.split("://", 1)
    place = rest.split("/")[0].rpartition("@")[2]
    assert address == parse(scheme.upper() + "://" + rest.replace(place, place.upper(), 1))


@given(
    st.text(LETTERS, max_size=40)
    | st.builds("{}://{}".format, st.sampled_from(["http", "nbds"]), st.text(LETTERS, max_size=20))
)
def test_any_text_is_an_address_or_refused(word: str) -> None:
    """Any text is an address whose text is that address, or a UsageError."""
    try:
        address = parse(word)
    except UsageError:
        return
    assert address == parse(address.text)


@given(PLAIN_EXPORTS | TLS_EXPORTS)
def test_an_identity_is_a_file_name(address: ExportAddress) -> None:
    """An export's identity is a short name that any file can have."""
    assert re.fullmatch(r"nbd-[0-9a-f]{16}", address.identity)


@pytest.mark.parametrize(
    ("word", "parts", "text"),
    [
        ("http://node1:8400", ("http", "node1", 8400, ""), "http://node1:8400"),
        ("http://node1:8400/", ("http", "node1", 8400, ""), "http://node1:8400"),
        ("http://node1", ("http", "node1", 80, ""), "http://node1"),
        ("https://Node1.Example./disk/", ("https", "node1.example", 443, "/disk"), "https://node1.example/disk"),
        ("HTTPS://node1:443", ("https", "node1", 443, ""), "https://node1"),
        ("http://[2001:DB8:0:0::1]:8400", ("http", "2001:db8::1", 8400, ""), "http://[2001:db8::1]:8400"),
        ("http://[::1]", ("http", "::1", 80, ""), "http://[::1]"),
    ],
)  # fmt: skip
def test_services(word: str, parts: tuple[str, str, int, str], text: str) -> None:
    """A service's address has a scheme, a host, a port, and a path where it is behind a proxy."""
    address = parse(word)
    assert (ServiceAddress(*parts), text) == (address, address.text)


def test_urls_of_a_service() -> None:
    """The service's own paths come after the path in its address."""
    assert "http://node1:8400/status" == ServiceAddress.parse("http://node1:8400/").url("status")
    assert "https://proxy/disk/status" == ServiceAddress.parse("https://proxy/disk").url("status")


@pytest.mark.parametrize(
    ("word", "address", "text"),
    [
        ("nbd://node1/", ExportAddress("node1", 10809, ""), "nbd://node1/"),
        ("nbd://node1", ExportAddress("node1", 10809, ""), "nbd://node1/"),
        ("nbd://node1:10809/sdb", ExportAddress("node1", 10809, "sdb"), "nbd://node1/sdb"),
        ("nbd://[::1]:10810/a/b", ExportAddress("::1", 10810, "a/b"), "nbd://[::1]:10810/a/b"),
        ("nbd://node1//dev/sdb", ExportAddress("node1", 10809, "/dev/sdb"), "nbd://node1//dev/sdb"),
        ("nbd://node1/a%2Fb%20c", ExportAddress("node1", 10809, "a/b c"), "nbd://node1/a/b%20c"),
        ("nbd://node1/größe", ExportAddress("node1", 10809, "größe"), "nbd://node1/gr%C3%B6%C3%9Fe"),
        ("nbds://ann@node1/x", ExportAddress("node1", 10809, "x", tls=True, user="ann"), "nbds://ann@node1/x"),
    ],
)  # fmt: skip
def test_exports(word: str, address: ExportAddress, text: str) -> None:
    """An export's address has a host, a port, and a name, which is all after the first slash."""
    assert (address, text) == (parse(word), parse(word).text)


def test_the_user_does_not_change_an_export() -> None:
    """An export is the same source for every user, but not without TLS or under a different name."""
    ours = ExportAddress.parse("nbds://ann@node1:10809/x").identity
    assert ours == ExportAddress.parse("nbds://bob@Node1/%78").identity
    others = ("nbd://node1/x", "nbds://node1/X", "nbds://node2/x", "nbds://node1:10810/x")
    assert ours not in {ExportAddress.parse(other).identity for other in others}


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("ftp://node1/", "is not an address"),
        ("http//node1", "is not an address"),
        ("http://", "names no host"),
        ("http://node1:", "names no host"),
        ("http://node 1", "names no host"),
        ("http://::1:8400", "names no host"),
        ("http://-node", "has the invalid host name"),
        ("http://node1..", "has the invalid host name"),
        ("http://node1:٣", "names no host"),
        ("http://nöde", "has the invalid host name"),
        ("http://[fe80::1%25eth0]", "names no host"),
        ("http://[1::2::3]", "has an invalid IPv6 address"),
        ("http://node1:0", "invalid port 0"),
        ("http://node1:65536", "invalid port 65536"),
        ("http://ann:secret@node1", "--token-file"),
        ("http://node1/?q=1", "remove that"),
        ("http://node1/#here", "remove that"),
        ("http://node1/a b", "such as %20"),
        ("http://node1/a%2", "such as %20"),
        ("nbd://ann@node1/x", "nbds://"),
        ("nbds://@node1/x", "no user name"),
        ("nbd://node1/x?socket=/run/x", "remove that"),
        ("nbd://node1/%zz", "can't have"),
        ("nbd://node1/%ff", "can't have"),
        ("nbd://node1/a%0Ab", "can't have"),
        ("nbd://node1/a%00", "can't have"),
        ("nbd://node1/" + "x" * 4097, "longer than 4096"),
    ],
)
def test_refused(word: str, why: str) -> None:
    """An invalid address is a usage error that says what is wrong with it."""
    with pytest.raises(UsageError, match=re.escape(why)):
        parse(word)


@pytest.mark.parametrize(
    "word", ["/dev/sdb", "./http://x", "image", "http:/x", "nbd:x", "9p://x", "", "a/b://c"]
)
def test_paths_are_no_urls(word: str) -> None:
    """A text that may be a file name is no URL."""
    assert not is_url(word)
