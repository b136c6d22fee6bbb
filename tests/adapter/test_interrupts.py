"""Signals to a command, as its parent has left them."""

import signal
import subprocess
import sys

import pytest

PARENT = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for number in map(int, sys.argv[2:]):
    signal.signal(number, signal.SIG_IGN)
os.execv(sys.executable, ["python", "-c", sys.argv[1]])
"""

CHILD = """
import os, signal, sys
from fanoutfs.system.interrupts import exit_code, settle_signals
settle_signals()
ended = os.waitstatus_to_exitcode(os.waitpid(os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "exit 3"), 0)[1])
try:
    signal.raise_signal({number})
except KeyboardInterrupt as interrupted:
    print(ended, exit_code(interrupted), str(interrupted))
else:
    print(ended, "goes on")
"""


def told(number: signal.Signals, *ignored: signal.Signals) -> str:
    """Return what a process says to a signal whose parent has blocked all and ignored some."""
    line = [sys.executable, "-c", PARENT, CHILD.format(number=int(number)), *map(str, map(int, ignored))]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGTERM, "3 143 ended by SIGTERM"),
        (signal.SIGHUP, "3 129 ended by SIGHUP"),
        (signal.SIGINT, "3 130"),
    ],
)
def test_all_were_blocked(number: signal.Signals, expected: str) -> None:
    """They end the command all the same, and it learns how its children end."""
    assert expected == told(number)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_those_that_are_ignored_on_purpose_stay_so(number: signal.Signals) -> None:
    """Nohup ignores SIGHUP, a script SIGINT for what it runs in the background."""
    assert "3 goes on" == told(number, number)


def test_sigterm_is_always_heard() -> None:
    """Whoever sends it has no other way to ask."""
    assert "3 143 ended by SIGTERM" == told(signal.SIGTERM, signal.SIGTERM)
