"""The question before targets are written over."""

import os
import pty
import select
import signal
import sys
from collections.abc import Iterator

import pytest

from fanoutfs.copying.prompt import ask, can_ask
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
    """The question appears on the terminal alone; the wakeup descriptor is restored."""
    assert can_ask()
    os.write(keyboard, b"yes\n")
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)

    assert "yes" == ask("really? ")
    assert ("", "") == capsys.readouterr()
    shown = b""
    while b"really? " not in shown:
        shown += os.read(keyboard, 100)
    assert before == signal.set_wakeup_fd(before)


def test_only_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be asked where stdin is a file or closed."""
    with open(os.devnull) as null:  # noqa: PTH123 (as Python opens stdin)
        for stdin in (null, None):
            monkeypatch.setattr(sys, "stdin", stdin)
            assert not can_ask()


def test_a_background_job_is_not_asked(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A background job that reads from its terminal would be stopped."""
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
    assert not can_ask()


def test_ctrl_c_just_before_the_wait_ends_it(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing need be typed after it."""
    monkeypatch.setattr(select, "poll", LatePoll)

    with pytest.raises(KeyboardInterrupt):
        ask("really? ")
