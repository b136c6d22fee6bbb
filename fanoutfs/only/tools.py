"""The programs that are asked about a disk: run with a limit, and ended with this process."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.fork import die_with_parent
from fanoutfs.system.programs import missing

SECONDS = 120.0
"""How long a program may take that reads a table or a superblock. Some write to the disk what the system has
still to write to it before they read; if that is much, it takes a while."""

DYING_SECONDS = 0.2
"""How long a killed program is waited for."""


def _environment() -> dict[str, str]:
    # Their texts are read; and a user's PATH may lack the folders of programs for root.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return {**os.environ, "LC_ALL": "C", "PATH": path}


def is_installed(program: str) -> bool:
    """Return whether a program is there."""
    return shutil.which(program, path=_environment()["PATH"]) is not None


@attrs.define(eq=False)
class Running:
    """A program that runs. Its output, and its errors, go to memory."""

    name: str
    process: subprocess.Popen[bytes]
    _output: int

    def wait(self, seconds: float) -> bool:
        """Wait for its end, but no longer; return whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    @property
    def code(self) -> int:
        """Its exit code."""
        return self.process.returncode

    @property
    def output(self) -> str:
        """What it has written."""
        return read(self._output).decode(errors="replace")


@contextlib.contextmanager
def running(argv: Sequence[str], *, kept: Sequence[int] = ()) -> Iterator[Running]:
    """Run a program, which inherits the descriptors ``kept``; end it on exit. Raise UnusableError."""
    with memory_file() as output:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                pass_fds=kept,
                # The command has one thread.
                preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGKILL),  # noqa: PLW1509
            )
        except FileNotFoundError as error:
            raise UnusableError(missing(argv[0])) from error
        except OSError as error:
            raise UnusableError(f"{argv[0]} can't be started: {reason(error)}") from error
        program = Running(argv[0], process, output)
        try:
            yield program
        finally:
            process.kill()
            program.wait(DYING_SECONDS)


def run(argv: Sequence[str], seconds: float = SECONDS) -> tuple[int, str]:
    """Run a program; return its exit code and output. Raise UnusableError, also if it takes too long."""
    with running(argv) as program:
        if not program.wait(seconds):
            raise UnusableError(
                f"{argv[0]} has not ended within {seconds:g} seconds: {argv[-1]} does not answer; "
                "copy it without --only used"
            )
        return program.code, program.output


@contextlib.contextmanager
def memory_file() -> Iterator[int]:
    """Yield a file in memory, which leaves nothing behind."""
    fd = os.memfd_create("fanoutfs-output")
    try:
        yield fd
    finally:
        os.close(fd)


def read(fd: int) -> bytes:
    """Return what is in a file in memory."""
    return os.pread(fd, os.fstat(fd).st_size, 0)
