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
from collections.abc import Iterator
from pathlib import Path

import attrs

MARK = "FANOUTFS_TEST_RUN"
LIMIT = 360
"""Seconds; more than the limit of one test in pyproject.toml."""

CONNECTIONS = Path("/sys/fs/fuse/connections")


@attrs.define(eq=False)
class Guard:
    """Pytest's end of it."""

    _process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, folder: Path, limit: float = LIMIT) -> "Guard":
        """Start a guard over what is marked from now on, and over a folder."""
        os.environ[MARK] = mark = uuid.uuid4().hex
        unmarked = {name: value for name, value in os.environ.items() if name != MARK}
        command = (sys.executable, __file__, mark, str(folder), str(os.getpid()), str(limit))
        # In a session of its own: Ctrl-C is for pytest, and what it leaves is for this.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=unmarked, start_new_session=True)
        return cls(process)

    def tell(self) -> None:
        """Tell that pytest gets on."""
        assert self._process.stdin is not None
        os.write(self._process.stdin.fileno(), b".")

    def stop(self) -> None:
        """End it; it ends what is left first."""
        self._process.communicate()


def watch(mark: str, folder: Path, pid: int, limit: float) -> None:
    """Be the guard, until standard input ends."""
    while select.select([0], [], [], limit)[0]:
        if not os.read(0, 1 << 12):
            break
    else:
        print(f"guard: pytest {pid} has not got on for {limit:g} s; ending it", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGABRT)
    left = [*_abort_mounts(folder), *_kill(mark), *_unmount(folder), *_detach(folder)]
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


def _mounts(folder: Path) -> list[tuple[str, str]]:
    """Return the device and the mount point of each mount in a folder, the last one first."""
    lines = Path("/proc/self/mountinfo").read_bytes().split(b"\n")[:-1]
    fields = [[os.fsdecode(field) for field in line.split(b" ")] for line in lines]
    return [(field[2], field[4]) for field in reversed(fields) if Path(field[4]).is_relative_to(folder)]


def _abort_mounts(folder: Path) -> Iterator[str]:
    """Give an error to all who wait for a FUSE mount there: else they could not be killed."""
    for device, _ in _mounts(folder):
        with contextlib.suppress(OSError):
            (CONNECTIONS / device.partition(":")[2] / "abort").write_text("1")
    yield from ()


def _unmount(folder: Path) -> Iterator[str]:
    for _, point in _mounts(folder):
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
