"""Mounts for measurements: gone at the end of the with statement however it ends, and their daemons, too."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.rig import mountinfo
from tests.rig.commands import end, has_ended, run, wait_until
from tests.rig.mounts import Mount

CONSTANT_FS = Path(__file__).parents[2] / "contrib" / "bench" / "constant_fs.py"
ENDS = 10.0  # seconds that a daemon may take to end after its mount


@contextlib.contextmanager
def fanout_mount(fanoutfs: Path, source: Path | str, ring: str | None, *words: str) -> Iterator[Mount]:
    """Mount a source with fanoutfs and further options; print its log if something fails.

    Without ``ring``, its size is the default.
    """
    mountinfo.mount_fusectl()
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-") as folder:
        mount = Mount(Path(source), Path(folder).resolve() / "mountpoint", Path(folder) / "log")
        mount.point.mkdir()
        options = words if ring is None else ("--ring", ring, *words)
        try:
            run(fanoutfs, "mount", *options, "--log", mount.log, source, mount.point)
            # Not mount.status(): the mount may be one on another host.
            mount.pid = json.loads(run(fanoutfs, "status", "--json", mount.point).stdout)["pid"]
            yield mount
        except BaseException:
            if mount.log.exists():
                sys.stderr.write(mount.log.read_text())
            raise
        finally:
            try:
                run(fanoutfs, "umount", mount.point, code=None)
                wait_until(lambda: has_ended(mount.pid), f"the daemon {mount.pid} has ended", ENDS)
            except AssertionError as error:
                print(f"{mount.point} is removed by force: {error}", file=sys.stderr)
            mount.abandon()


@contextlib.contextmanager
def constant_mount(size: int) -> Iterator[Mount]:
    """Mount constant_fs.py, the peer, with an image of ``size`` bytes."""
    mountinfo.mount_fusectl()
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-") as folder:
        mount = Mount(CONSTANT_FS, Path(folder).resolve(), Path(os.devnull))
        process = subprocess.Popen([sys.executable, CONSTANT_FS, str(size), mount.point])
        mount.pid = process.pid
        try:
            wait_until(lambda: mount.is_mounted() or process.poll() is not None, "constant_fs.py has mounted")
            run("stat", mount.image)
            time.sleep(0.2)  # its tuning follows at once upon the kernel's greeting
            yield mount
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDS)
            mount.abandon()
            end(process)
