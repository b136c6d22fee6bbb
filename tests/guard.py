"""A process beside pytest that ends what a test has started when pytest can't: it hangs, or was killed.

Each process of pytest starts one, and tells it at the beginning of each test that it gets on. When nothing
has come for LIMIT seconds the guard sends pytest SIGABRT: it shows all stacks and dies. Then, as also when
pytest has ended in another way, the guard ends what is left: processes that have this run's mark in their
environment, mounts and loop devices in this run's folder. Nothing else is touched.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

MARK = "FANOUTFS_TEST_RUN"
LIMIT = 360
"""Seconds; more than the limit of one test in pyproject.toml."""

CHECKOUT = Path(__file__).parents[1]


@attrs.define(eq=False)
class Guard:
    """Pytest's end of it."""

    _process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, folder: Path, limit: float = LIMIT) -> "Guard":
        """Start a guard over what is marked from now on, and over a folder."""
        os.environ[MARK] = mark = uuid.uuid4().hex
        unmarked = {name: value for name, value in os.environ.items() if name != MARK}
        command = (sys.executable, "-m", "tests.guard", mark, str(folder), str(os.getpid()), str(limit))
        # In a session of its own: Ctrl-C is for pytest, and what it leaves is for this.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=unmarked, start_new_session=True, cwd=CHECKOUT
        )
        return cls(process)

    def tell(self) -> None:
        """Report that pytest makes progress."""
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), b".")

    def stop(self) -> None:
        """End it; it ends what is left first."""
        self._process.communicate()


def watch(mark: str, folder: Path, pid: int, limit: float) -> None:
    """Be the guard, until standard input ends."""
    # Not in pytest's process, where it must be registered for rewriting before it is imported.
    from tests.rig import mountinfo  # noqa: PLC0415

    while select.select([0], [], [], limit)[0]:
        if not os.read(0, 1 << 12):
            break
    else:
        print(f"guard: pytest {pid} has not got on for {limit:g} s; ending it", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGABRT)
    for entry in mountinfo.below(folder):
        # Else readers that wait for a mount could not be killed.
        with contextlib.suppress(OSError):
            mountinfo.abort_file(entry).write_text("1")
    points = [entry.point for entry in reversed(mountinfo.below(folder))]
    left = [*_kill(mark), *_unmount(points), *_detach(folder)]
    for line in left:
        print(f"guard: left over, and ended: {line}", file=sys.stderr)


def _kill(mark: str) -> Iterator[str]:
    """Kill the processes that have the mark."""
    wanted = f"{MARK}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (path / "environ").read_bytes().split(b"\0"):
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                os.kill(int(path.name), signal.SIGKILL)
                yield f"process {path.name}, {command}"


def _unmount(points: Sequence[str]) -> Iterator[str]:
    for point in points:
        done = subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        yield f"mount at {point} ({'unmounted' if done.returncode == 0 else done.stderr!r})"


def _detach(folder: Path) -> Iterator[str]:
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if os.fsdecode(path.read_bytes()).startswith(f"{folder}/"):
                device = f"/dev/{path.parts[3]}"
                subprocess.run(["losetup", "--detach", device], check=False)
                yield f"loop device {device}"


if __name__ == "__main__":
    watch(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
