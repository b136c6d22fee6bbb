"""nbdkit's command line and its back-off, without nbdkit."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.nbd.nbdkit import TlsOptions, restart_pauses, serve_command, trial_command

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
def test_who_has_tls_insists_on_it(tls: TlsOptions, options: list[str]) -> None:
    """A client that would go on without is refused."""
    assert options == [option for option in serve_command(IMAGE, tls, SAID) if option.startswith("--tls")]
    assert options == [option for option in trial_command(IMAGE, tls, SAID) if option.startswith("--tls")]


def test_it_stays_in_the_foreground_reads_only_and_ends_with_its_keeper() -> None:
    """So that it can be seen to end."""
    assert {"--foreground", "--readonly", "--exit-with-parent", f"file={IMAGE}"} <= set(
        serve_command(IMAGE, PLAIN, SAID)
    )


def test_one_connection_is_one_reader() -> None:
    """One thread reads for it, in order, and clients are told not to make several."""
    assert {"--threads=1", "--filter=multi-conn", "multi-conn-mode=disable"} <= set(
        serve_command(IMAGE, PLAIN, SAID)
    )


def test_what_is_tried_is_what_is_run() -> None:
    """But for where it listens, and that it ends."""
    only_tried = {"--unix=-", "--run", ":"}
    assert set(serve_command(IMAGE, KEYED, SAID)) - {"--foreground", "--exit-with-parent"} == (
        set(trial_command(IMAGE, KEYED, SAID)) - only_tried
    )


def test_each_failure_is_waited_for_longer_up_to_half_a_minute() -> None:
    """From one second on, twice as long each time."""
    back_off = restart_pauses()
    assert [1, 2, 4, 8, 16, 30, 30] == [back_off.after(0.1) for _ in range(7)]


def test_who_has_run_a_minute_has_never_failed() -> None:
    """The next wait is a second again."""
    back_off = restart_pauses()
    waits = [back_off.after(ran) for ran in (0.0, 0.0, 59.9, 60.0, 0.0)]
    assert [1, 2, 4, 1, 2] == waits


@given(st.lists(st.floats(min_value=0, max_value=1e6)))
def test_waits_are_bounded(runs: list[float]) -> None:
    """And never more than double the one before."""
    back_off = restart_pauses()
    waits = [back_off.after(ran) for ran in runs]
    assert all(1 <= wait <= 30 for wait in waits)
    assert all(later <= 2 * wait for wait, later in pairwise(waits))
