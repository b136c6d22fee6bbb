"""Addresses of services and exports on other computers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import UsageError
from fanoutfs.remote.address import ExportAddress, ServiceAddress, SocketAddress, is_url
from fanoutfs.remote.file_address import SshAddress, WebAddress, identities, parse
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
SOCKETS = st.builds(SocketAddress, TEXTS.map(lambda text: "/" + text.replace("/", "").lstrip(".")), TEXTS)
FILES = st.builds(
    SshAddress, HOSTS, TEXTS.filter(lambda text: text.strip("/") != "" and not text.startswith("~")),
    st.none() | NAMES, st.none() | PORTS
)  # fmt: skip
WEB_FILES = st.builds(
    WebAddress,
    st.sampled_from(["http", "https"]),
    HOSTS,
    PORTS,
    st.sampled_from(["/os.img.xz?token=1/2", "/a/b?c"]),
)
TLS_EXPORTS = st.builds(
    ExportAddress, HOSTS, PORTS, TEXTS, tls=st.just(value=True), user=st.none() | TEXTS.filter(bool)
)


@given(SERVICES | PLAIN_EXPORTS | TLS_EXPORTS | SOCKETS | FILES | WEB_FILES)
def test_the_text_of_an_address_is_that_address(
    address: ServiceAddress | ExportAddress | SocketAddress | SshAddress | WebAddress,
) -> None:
    """For services and exports, with and without TLS, and for files."""
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


@pytest.mark.parametrize(
    ("word", "address", "text"),
    [
        ("nbd+unix:///?socket=/run/x", SocketAddress("/run/x", ""), "nbd+unix:///?socket=/run/x"),
        ("NBD+UNIX:///a?socket=//run/../x", SocketAddress("/x", "a"), "nbd+unix:///a?socket=/x"),
        ("nbd+unix://?socket=/a%20b", SocketAddress("/a b", ""), "nbd+unix:///?socket=/a%20b"),
        ("ssh://Node1/os.img", SshAddress("node1", "/os.img"), "ssh://node1/os.img"),
        ("ssh://ann@node1:22/a%20b", SshAddress("node1", "/a b", "ann", 22), "ssh://ann@node1:22/a%20b"),
        ("ssh://node1/~/os.img", SshAddress("node1", "os.img"), "ssh://node1/~/os.img"),
        ("http://Node1:80/os.img?a=b", WebAddress("http", "node1", 80, "/os.img?a=b"), "http://node1/os.img?a=b"),
    ],
)  # fmt: skip
def test_sockets_and_files(word: str, address: SocketAddress | SshAddress | WebAddress, text: str) -> None:
    """A socket's path is a parameter; a file's is the path of its address."""
    assert (address, text) == (parse(word), parse(word).text)


def test_what_is_read_as_it_lies_is_a_different_source() -> None:
    """A file may be an image in a format; a service's address may be a file's."""
    assert len(set(identities(parse("ssh://node1/os.img")))) == 2
    assert len(set(identities(parse("http://node1/os.img.xz")))) == 2
    assert identities(parse("http://node1:8400")) == []
    assert len(identities(parse("nbd://node1/x"))) == 1


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
        ("nbd+unix:///x", "is not an address"),
        ("nbd+unix:///x?socket=run/x", "is not an address"),
        ("nbd+unix://node1/x?socket=/run/x", "is not an address"),
        ("ssh://node1", "names no file"),
        ("ssh://node1/", "names no file"),
        ("ssh://ann:secret@node1/x", "can't be part of an address"),
        ("ssh://-oProxyCommand=x@node1/x", "invalid user name"),
        ("ssh://-node1/x", "has the invalid host name"),
        ("ssh://node1/x?y", "remove that"),
        ("http://ann@node1/x?y", "names a user"),
        ("http://node1/x y?z", "such as %20"),
        ("http://node1/x?y#z", "remove that"),
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
