"""Access to the monitor service, and its options."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import UsageError
from fanoutfs.settings import ExportSettings, NetworkSettings, ServiceSettings
from fanoutfs.web.access import COOKIE_SECONDS, LOOPBACK, Access, host_of
from tests.letters import LETTERS

TOKEN = "0123456789abcdef"
NOW = 1_800_000_000.0


def access(**changes: object) -> Access:
    known = {"names": LOOPBACK | {"node1"}, "port": 8400, "token": TOKEN, **changes}
    return Access(**known)  # type: ignore[arg-type]


def cookie_of(one: Access, now: float = NOW) -> str:
    return one.cookie(now).partition(";")[0].partition("=")[2]


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("localhost:8400", "localhost"),
        ("LocalHost.", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:8400", "::1"),
        ("node1.example.org:1", "node1.example.org"),
        ("", None),
        ("::1", None),
        ("localhost:8400:1", None),
        ("localhost, evil", None),
        ("evil@localhost", None),
        ("localhost/x", None),
        ("localhost\r\nx", None),
        ("localhost:", None),
    ],
)
def test_a_host_header_is_a_name_with_a_port_or_nothing(header: str, host: str | None) -> None:
    """A header that is no plain name or address has no host."""
    assert host == host_of(header)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8400", "[::1]", "NODE1:8400"])
def test_its_own_names_are_answered(host: str) -> None:
    """The loopback's names and the configured one, also behind a forwarded port."""
    assert access().is_called(host, "127.0.0.1")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.7", "127.0.0.1.evil", ""])
def test_another_name_is_not_answered(host: str) -> None:
    """A foreign page can make a browser call the service, but under the page's name (DNS rebinding)."""
    assert not access().is_called(host, "10.0.0.7")


def test_a_service_that_listens_everywhere_is_answered_by_the_address_called() -> None:
    """And by no other address."""
    everywhere = access(everywhere=True)

    assert everywhere.is_called("10.0.0.7:8400", "10.0.0.7")
    assert everywhere.is_called("[fe80::1]", "fe80:0::1%eth0")
    assert everywhere.is_called("10.0.0.7:8400", "::ffff:10.0.0.7")
    assert not everywhere.is_called("10.0.0.8:8400", "10.0.0.7")
    assert not everywhere.is_called("evil", "10.0.0.7")


def test_without_a_token_every_request_is_admitted() -> None:
    """Only this computer can reach the service then."""
    assert access(token=None).admits("", "", NOW)


@pytest.mark.parametrize(
    ("authorization", "admitted"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"Bearer {TOKEN}0", False),
        (f"Bearer {TOKEN[:-1]}", False),
        ("Bearer", False),
        ("Bearer \udcff", False),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        ("", False),
    ],
)
def test_the_token_is_required(authorization: str, admitted: bool) -> None:
    """As a bearer token, and exactly."""
    assert admitted == access().admits(authorization, "", NOW)


def test_a_login_lasts_a_week() -> None:
    """Its cookie has the time until which it is valid."""
    one = access()
    cookie = cookie_of(one)

    assert one.admits("", cookie, NOW)
    assert one.admits("", cookie, NOW + COOKIE_SECONDS - 1)
    assert not one.admits("", cookie, NOW + COOKIE_SECONDS)


def test_a_cookie_outlives_the_service_but_not_its_token() -> None:
    """No state is kept: a new process with the same token accepts it, one with a different token does not."""
    cookie = cookie_of(access())

    assert access(port=8401).admits("", cookie, NOW)
    assert not access(token=TOKEN[::-1]).admits("", cookie, NOW)


@given(st.text(LETTERS), st.integers(min_value=0, max_value=10**13))
def test_an_invented_cookie_is_refused(proof: str, until: int) -> None:
    """Whatever time it has."""
    assert not access().admits("", f"{until}.{proof}", NOW)
    assert not access().admits("", proof, NOW)


def test_a_cookie_does_not_show_the_token_and_stays_here() -> None:
    """Scripts can't read it, other sites can't send it, and a service with TLS gets it over https alone."""
    cookie = access(secure=True).cookie(NOW)

    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Secure", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in access().cookie(NOW)
    assert TOKEN not in repr(access())


# The options


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:8400", "127.0.0.1", 8400),
        ("localhost:1", "localhost", 1),
        ("[::1]:65535", "::1", 65535),
        ("127.8.8.8:80", "127.8.8.8", 80),
    ],
)
def test_the_loopback_needs_no_token(listen: str, host: str, port: int) -> None:
    """Only this computer can reach it."""
    assert ServiceSettings(host=host, port=port) == NetworkSettings.of(listen=listen).service


@pytest.mark.parametrize("listen", ["0.0.0.0:8400", "[::]:8400", "node1:8400", "10.0.0.7:8400"])
def test_elsewhere_a_token_is_required(listen: str, tmp_path: Path) -> None:
    """Without one the service would answer every computer; a name may have any address."""
    with pytest.raises(UsageError, match="--token-file"):
        NetworkSettings.of(listen=listen)
    assert NetworkSettings.of(listen=listen, token_file=tmp_path).service is not None


@pytest.mark.parametrize(
    "listen",
    ["", "8400", ":8400", "localhost", "localhost:0", "localhost:65536", "::1:8400", "a b:1", "x/y:1"],
)
def test_an_invalid_address_is_wrong_usage(listen: str) -> None:
    """For the service and for an export."""
    with pytest.raises(UsageError, match="--listen"):
        NetworkSettings.of(listen=listen)
    with pytest.raises(UsageError, match="--export"):
        NetworkSettings.of(export=listen)


def test_options_of_a_service_without_one_are_wrong_usage(tmp_path: Path) -> None:
    """So is a certificate without its key."""
    with pytest.raises(UsageError, match="--listen and --export"):
        NetworkSettings.of(token_file=tmp_path)
    with pytest.raises(UsageError, match="--export"):
        NetworkSettings.of(listen="127.0.0.1:1", tls_psk=tmp_path)
    for half in ({"listen": "127.0.0.1:1"}, {"export": "127.0.0.1:1"}):
        with pytest.raises(UsageError, match="--tls-key"):
            NetworkSettings.of(**half, tls_cert=tmp_path)  # type: ignore[arg-type]
    assert NetworkSettings() == NetworkSettings.of()


@pytest.mark.parametrize("export", ["0.0.0.0:10809", "[::]:10809", "node1:10809", "10.0.0.7:10809"])
def test_an_export_elsewhere_requires_a_token_file_or_a_key(export: str, tmp_path: Path) -> None:
    """--token-file records that the user accepts a public export; a key keeps strangers out."""
    with pytest.raises(UsageError, match="--tls-psk"):
        NetworkSettings.of(export=export)
    with pytest.raises(UsageError, match="--tls-psk"):
        NetworkSettings.of(export=export, tls_cert=tmp_path, tls_key=tmp_path)
    open_to_all = NetworkSettings.of(export=export, token_file=tmp_path).export
    keyed = NetworkSettings.of(export=export, tls_psk=tmp_path).export

    assert open_to_all is not None
    assert keyed is not None
    assert f"anyone who can reach {export} " in str(open_to_all.open_to_all)
    assert keyed.open_to_all is None


@pytest.mark.parametrize("export", ["127.0.0.1:10809", "localhost:1", "[::1]:65535"])
def test_an_export_on_the_loopback_needs_nothing(export: str) -> None:
    """Only this computer's users can reach it."""
    settings = NetworkSettings.of(export=export).export
    assert settings is not None
    assert export == str(settings)
    assert settings.open_to_all is None


def test_a_key_has_precedence_over_a_certificate(tmp_path: Path) -> None:
    """For NBD; the monitor service uses the certificate all the same."""
    both: dict[str, Any] = {"tls_cert": tmp_path, "tls_key": tmp_path}
    address: dict[str, Any] = {"host": "127.0.0.1", "port": 1}

    assert "psk" == ExportSettings(**address, **both, tls_psk=tmp_path).tls
    assert "certificates" == ExportSettings(**address, **both).tls
    assert "none" == ExportSettings(**address).tls
