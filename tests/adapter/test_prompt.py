"""The question before targets are written over."""

import os
import pty
import select
import signal
import sys
from collections.abc import Iterator

import pytest

from fanoutfs.copying.prompt import ask
from tests.limits import HANG_SECONDS

POLL = select.poll


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Make a terminal the standard input; return the end to type at."""
    typed, read = pty.openpty()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield typed
    os.close(typed)


class LatePoll:
    """A poll before which a signal has come that Python only has noted."""

    def __init__(self) -> None:
        self._poll = POLL()
        self.register = self._poll.register

    def poll(self) -> None:
        noted = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(noted)
        os.write(noted, bytes([signal.SIGINT]))
        assert self._poll.poll(HANG_SECONDS * 1000), "the signal has not ended the wait"
        raise KeyboardInterrupt


def test_what_is_typed_is_the_answer(keyboard: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The question stands on standard error; what looks for signals is as it was afterwards."""
    os.write(keyboard, b"yes\n")
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)

    assert "yes" == ask("really? ")
    assert ("", "really? ") == capsys.readouterr()
    assert before == signal.set_wakeup_fd(before)


def test_ctrl_c_just_before_the_wait_ends_it(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing need be typed after it."""
    monkeypatch.setattr(select, "poll", LatePoll)

    with pytest.raises(KeyboardInterrupt):
        ask("really? ")
