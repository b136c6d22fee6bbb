"""A program that a keeper runs: started, heard, ended."""

import contextlib
import os
import select
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.fork import die_with_parent

LAST_LINES = 5
"""Of what it said, so many lines are kept."""

LONGEST_LINE = 4096
"""Bytes; of a longer one the end is kept."""

END_SECONDS = 3.0
"""It is given so long to end when it is asked to; then it is killed."""


@attrs.define(eq=False)
class Child:
    """A program under a keeper. What it writes to stderr is kept; it ends, by SIGTERM, with its keeper."""

    process: subprocess.Popen[bytes]
    said: deque[str] = attrs.field(factory=lambda: deque(maxlen=LAST_LINES), init=False)
    """Its last lines."""
    _begun: bytes = attrs.field(default=b"", init=False)
    _mute: bool = attrs.field(default=False, init=False)
    """It has closed its stderr."""
    _pidfd: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pidfd = os.pidfd_open(self.process.pid)
        os.set_blocking(self._stderr, False)

    @classmethod
    def start(
        cls, words: Sequence[str], *, kept: tuple[int, ...] = (), first: Callable[[], object] = int
    ) -> Self:
        """Start it; ``first`` is called in its process before it begins, ``kept`` stay open there.

        Raises UnusableError when it is not installed, or can't be started.
        """
        before = partial(_become, os.getpid(), first)
        try:
            return cls(
                subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=kept,
                    # A keeper has one thread.
                    preexec_fn=before,  # noqa: PLW1509
                )
            )
        except FileNotFoundError as error:
            raise UnusableError(
                f"{words[0]} is not installed; it comes with the packages nbdkit and libnbd-bin (Debian)"
            ) from error
        except OSError as error:
            raise UnusableError(f"{words[0]} can't be started: {reason(error)}") from error

    def wait(self, *others: int, seconds: float | None = None) -> list[int]:
        """Wait until it says something, ends, or one of these descriptors is readable; gives those that are.

        What it says is in ``said`` then. ``seconds`` is the most that it waits.
        """
        heard = [] if self._mute else [self._stderr]
        ready, _, _ = select.select([*heard, self._pidfd, *others], [], [], seconds)
        self._listen()
        return [other for other in others if other in ready]

    @property
    def ended(self) -> int | None:
        """Its exit code, or minus the signal that killed it; None while it runs."""
        code = self.process.poll()
        if code is not None:
            self._listen()
        return code

    def end(self, seconds: float = END_SECONDS) -> None:
        """End it, and return once it has; ``seconds`` is how long it is given when it is asked to.

        What it said last is in ``said`` then. To end it once more does nothing.
        """
        assert self.process.stderr is not None
        if self.process.stderr.closed:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            self.process.kill()
            self.process.wait()
        self._listen()
        os.close(self._pidfd)
        self.process.stderr.close()

    def _listen(self) -> None:
        """Take what it has said."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._stderr, 65536):
                *lines, begun = (self._begun + piece).split(b"\n")
                self._begun = begun[-LONGEST_LINE:]
                self._keep(*lines)
            self._mute = True
            self._keep(self._begun)
            self._begun = b""

    def _keep(self, *lines: bytes) -> None:
        self.said.extend(line.decode(errors="replace") for line in lines if line.strip())

    @property
    def _stderr(self) -> int:
        assert self.process.stderr is not None
        return self.process.stderr.fileno()


def _become(keeper: int, first: Callable[[], object]) -> None:
    die_with_parent(keeper, signal.SIGTERM)
    first()
