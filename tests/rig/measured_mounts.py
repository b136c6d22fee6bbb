"""Mounts that are gone when the with statement ends, however it ends, and the processes behind them too.

A mount that hangs is aborted through fusectl first, which lets its readers go, and detached second. Nothing
is ended by name: only processes whose id was learnt here.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

FUSECTL = Path("/sys/fs/fuse/connections")
PATIENCE = 60.0  # seconds that a command of fanoutfs may take


@attrs.define(eq=False)
class Mount:
    """A mount made for one measurement."""

    mountpoint: Path
    program: Path
    pid: int = 0

    @property
    def image(self) -> Path:
        """The virtual file."""
        return self.mountpoint / "image"

    @property
    def carousel(self) -> Path:
        """The same from the write head round."""
        return self.mountpoint / "carousel"

    def status(self) -> dict[str, Any]:
        """Ask fanoutfs what it is doing."""
        command = [str(self.program), "status", "--json", str(self.mountpoint)]
        document: dict[str, Any] = json.loads(subprocess.check_output(command, timeout=PATIENCE))
        return document

    def head(self) -> int:
        """Give where the producer is, in bytes; cheap enough to be asked all the time."""
        return int(subprocess.check_output(["cat", self.mountpoint / ".fanoutfs" / "head"]))

    def look(self) -> dict[str, Any]:
        """Give what status does, cheaper and without a limit: for use under an alarm."""
        written = subprocess.check_output(["cat", self.mountpoint / ".fanoutfs" / "status"])
        document: dict[str, Any] = json.loads(written)
        return document

    def minor(self) -> str | None:
        """Give the number of the connection in fusectl; None when this is mounted no more."""
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields = line.split()
            if fields[4] == str(self.mountpoint):
                return fields[2].split(":")[1]
        return None

    def abort(self) -> None:
        """Let every process go that waits for this mount; nothing can be read from it any more."""
        minor = self.minor()
        if minor is None:
            return
        if not (FUSECTL / minor).exists():
            subprocess.run(["mount", "-t", "fusectl", "none", FUSECTL], check=False)
        with contextlib.suppress(OSError):
            (FUSECTL / minor / "abort").write_text("1")

    def detach(self) -> None:
        """Take the mount away if it is still there."""
        if self.minor() is not None:
            print(f"{self.mountpoint} did not unmount: it is taken away by force", file=sys.stderr)
            self.abort()
            subprocess.run(["umount", "--lazy", self.mountpoint], check=False)


@contextlib.contextmanager
def fanout_mount(fanoutfs: Path, source: Path | str, ring: str | None, *words: str) -> Iterator[Mount]:
    """Mount a source with fanoutfs, with more options; its log is shown when something goes wrong.

    Without a ``ring`` it is as large as it is by default.
    """
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-") as workplace:
        log = Path(workplace) / "log"
        mount = Mount(Path(workplace).resolve() / "mountpoint", fanoutfs)
        mount.mountpoint.mkdir()
        try:
            command: list[str | Path] = [
                fanoutfs,
                "mount",
                *(() if ring is None else ("--ring", ring)),
                *words,
                "--log",
                log,
                source,
                mount.mountpoint,
            ]
            subprocess.run(command, check=True, timeout=PATIENCE)
            mount.pid = int(mount.status()["pid"])
            yield mount
        except BaseException:
            if log.exists():
                sys.stderr.write(log.read_text())
            raise
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run([fanoutfs, "umount", mount.mountpoint], check=False, timeout=PATIENCE)
            mount.detach()
            if mount.pid and not _ends(mount.pid, 10):
                print(f"the daemon {mount.pid} outlived its mount: it is killed", file=sys.stderr)
                os.kill(mount.pid, signal.SIGKILL)


def _ends(pid: int, seconds: float) -> bool:
    """Wait for a process that is not our child; says whether it is gone by then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":  # it has ended; whether its parent cares is not our concern
            return True
        time.sleep(0.05)
    return False


@contextlib.contextmanager
def constant_mount(size: int) -> Iterator[Mount]:
    """Mount constant_fs.py, the peer, of so many bytes."""
    program = Path(__file__).parents[2] / "contrib" / "bench" / "constant_fs.py"
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-") as workplace:
        mount = Mount(Path(workplace).resolve(), program)
        process = subprocess.Popen([sys.executable, program, str(size), mount.mountpoint])
        mount.pid = process.pid
        try:
            while mount.minor() is None and process.poll() is None:
                time.sleep(0.05)
            # Asked by another process, which can be given up: nothing here may touch a mount that hangs.
            subprocess.run(["stat", mount.image], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
            time.sleep(0.2)  # its tuning follows at once upon the kernel's greeting
            yield mount
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                mount.abort()
                process.kill()
                process.wait()
            mount.detach()
