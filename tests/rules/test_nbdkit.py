"""nbdkit's command line and its back-off, without nbdkit."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.nbd.nbdkit import TlsOptions, data_list, restart_pauses, serve_command, trial_command

IMAGE = Path("/mnt/fanout/image")
SAID = "fanoutfs disk-8:16"
PLAIN = TlsOptions()
KEYED = TlsOptions(keys=Path("/etc/keys"))
CERTIFIED = TlsOptions(certificates=Path("/run/tls"))


@pytest.mark.parametrize(
    ("tls", "options"),
    [
        (PLAIN, ["--tls=off"]),
        (KEYED, ["--tls=require", "--tls-psk=/etc/keys"]),
        (CERTIFIED, ["--tls=require", "--tls-certificates=/run/tls"]),
    ],
)
def test_tls_is_required_where_it_is_configured(tls: TlsOptions, options: list[str]) -> None:
    """A client without TLS is refused."""
    assert options == [
        option for option in serve_command(IMAGE, tls, SAID, None) if option.startswith("--tls")
    ]
    assert options == [option for option in trial_command(IMAGE, tls, SAID) if option.startswith("--tls")]


def test_the_options_of_nbdkit() -> None:
    """It stays in the foreground, reads only, ends with its supervisor; one connection is one reader."""
    process = {"--foreground", "--readonly", "--exit-with-parent", f"file={IMAGE}"}
    in_order = {"--threads=1", "--filter=multi-conn", "multi-conn-mode=disable"}
    assert process | in_order <= set(serve_command(IMAGE, PLAIN, SAID, None))


def test_holes_are_told_where_there_are_some() -> None:
    """The list names the data; nbdkit takes all between for holes."""
    told = {"--filter=extentlist", "extentlist=/run/data-1"}
    assert told <= set(serve_command(IMAGE, PLAIN, SAID, Path("/run/data-1")))
    assert not any("extentlist" in option for option in serve_command(IMAGE, PLAIN, SAID, None))
    assert data_list([(0, 4096), (1 << 40, 10)]) == "0 4096\n1099511627776 10\n"


def test_what_is_tried_is_what_is_run() -> None:
    """Except for where it listens, and that it ends."""
    only_tried = {"--unix=-", "--run", ":"}
    assert set(serve_command(IMAGE, KEYED, SAID, Path("/dev/null"))) - {
        "--foreground",
        "--exit-with-parent",
    } == (set(trial_command(IMAGE, KEYED, SAID)) - only_tried)


@pytest.mark.parametrize(
    ("ran", "pauses"),
    [([0.1] * 7, [1, 2, 4, 8, 16, 30, 30]), ([0.0, 0.0, 59.9, 60.0, 0.0], [1, 2, 4, 1, 2])],
)
def test_the_pause_doubles_with_each_failure(ran: list[float], pauses: list[float]) -> None:
    """From a second up to half a minute; after a minute's run it is a second again."""
    back_off = restart_pauses()
    assert pauses == [back_off.after(seconds) for seconds in ran]


@given(st.lists(st.floats(min_value=0, max_value=1e6)))
def test_waits_are_bounded(runs: list[float]) -> None:
    """And at most double the one before."""
    back_off = restart_pauses()
    waits = [back_off.after(ran) for ran in runs]
    assert all(1 <= wait <= 30 for wait in waits)
    assert all(later <= 2 * wait for wait, later in pairwise(waits))
