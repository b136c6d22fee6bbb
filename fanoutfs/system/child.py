"""A program that a supervisor runs: start it, read its stderr, end it."""

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.fork import die_with_parent
from fanoutfs.system.programs import missing
from fanoutfs.system.ready import readable

LAST_LINES = 5
"""How many of the last lines of stderr are kept."""

LONGEST_LINE = 4096
"""Bytes; only the end of a longer line is kept."""

END_SECONDS = 3.0
"""How long the program may take to end after SIGTERM; then it is killed."""

DYING_SECONDS = 3.0
"""How long a killed program is waited for."""


@attrs.define(eq=False)
class Child:
    """A supervisor's program. The last lines of its stderr are kept; SIGTERM ends it with its supervisor."""

    process: subprocess.Popen[bytes]
    last_lines: deque[str] = attrs.field(factory=lambda: deque(maxlen=LAST_LINES), init=False)
    """The last lines that it wrote to stderr."""
    _begun: bytes = attrs.field(default=b"", init=False)
    _stderr_closed: bool = attrs.field(default=False, init=False)
    _pidfd: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self.process.pid)
        except OSError as error:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.communicate(timeout=DYING_SECONDS)
            raise UnusableError(
                f"no program can be supervised here: pidfd_open(2): {reason(error)}; permit it in the system "
                "call filter of this container or service"
            ) from error
        os.set_blocking(self._stderr, False)

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        *,
        kept: tuple[int, ...] = (),
        first: Callable[[], object] = int,
        stdin: int | None = None,
        stdout: int | None = None,
    ) -> Self:
        """Start a program. Its process calls ``first`` before exec, and inherits the descriptors ``kept``.

        ``stdin`` and ``stdout`` are descriptors; None: /dev/null. Raise UnusableError if it is not installed
        or can't be started.
        """
        before = partial(_become, os.getpid(), first)
        try:
            return cls(
                subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL if stdin is None else stdin,
                    stdout=subprocess.DEVNULL if stdout is None else stdout,
                    stderr=subprocess.PIPE,
                    pass_fds=kept,
                    # A supervisor has one thread.
                    preexec_fn=before,  # noqa: PLW1509
                )
            )
        except FileNotFoundError as error:
            raise UnusableError(missing(argv[0])) from error
        except OSError as error:
            raise UnusableError(f"{argv[0]} can't be started: {reason(error)}") from error
        except subprocess.SubprocessError as error:
            # All that it tells of an error before exec.
            raise UnusableError(
                f"{argv[0]} can't be started: prctl(2) fails; permit it in the system call filter of this "
                "container or service"
            ) from error

    def wait(self, *others: int, seconds: float | None = None) -> list[int]:
        """Wait until it writes to stderr, ends, or one of ``others`` is readable; return those that are.

        What it wrote is in ``last_lines`` then. ``seconds`` is the longest wait.
        """
        ready = readable([*self.descriptors(), *others], seconds)
        self._read_stderr()
        return [other for other in others if other in ready]

    def descriptors(self) -> list[int]:
        """Return the descriptors that become readable when it writes to stderr, or ends."""
        return [*([] if self._stderr_closed else [self._stderr]), self._pidfd]

    def wait_for_end(self, seconds: float) -> None:
        """Wait until it has ended, ``seconds`` at most."""
        until = time.monotonic() + seconds
        while self.ended is None and (left := until - time.monotonic()) > 0:
            self.wait(seconds=left)

    @property
    def argv(self) -> Sequence[str]:
        """The command."""
        argv = self.process.args
        assert isinstance(argv, Sequence)
        return [str(word) for word in argv]

    @property
    def ended(self) -> int | None:
        """Its exit code, or minus the signal that killed it; None while it runs."""
        code = self.process.poll()
        if code is not None:
            self._read_stderr()
        return code

    def end(self, seconds: float = END_SECONDS) -> None:
        """End the program and wait until it has ended; ``seconds`` is the time between SIGTERM and SIGKILL.

        Its last lines are in ``last_lines`` then. A second call does nothing.
        """
        assert self.process.stderr is not None
        if self.process.stderr.closed:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            self.process.kill()
            # In a system call on a file system that hangs it may stay.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DYING_SECONDS)
        self._read_stderr()
        os.close(self._pidfd)
        self.process.stderr.close()

    def _read_stderr(self) -> None:
        """Read what it has written to stderr."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._stderr, 65536):
                *lines, begun = (self._begun + piece).split(b"\n")
                self._begun = begun[-LONGEST_LINE:]
                self._keep(*lines)
            self._stderr_closed = True
            self._keep(self._begun)
            self._begun = b""

    def _keep(self, *lines: bytes) -> None:
        self.last_lines.extend(line.decode(errors="replace") for line in lines if line.strip())

    @property
    def _stderr(self) -> int:
        assert self.process.stderr is not None
        return self.process.stderr.fileno()


def _become(supervisor: int, first: Callable[[], object]) -> None:
    die_with_parent(supervisor, signal.SIGTERM)
    first()
