"""Loop devices: a file as a block device, with the kernel's own counts of what is read and written."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from tests.rig.commands import run, wait_until
from tests.rig.images import SECTOR

SECTORS_READ, SECTORS_WRITTEN = 2, 6  # fields of /sys/block/NAME/stat, in sectors of 512 bytes


@contextlib.contextmanager
def attached(path: Path, *options: str) -> Iterator[Path]:
    """Attach a file to a loop device; detach it at the end."""
    if os.geteuid() != 0:
        raise AssertionError("a loop device needs root: use sudo")
    with nobody_attaches():
        device = Path(run("losetup", "--find", "--show", *options, path).stdout.decode().strip())
    _settle()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)
        wait_until(lambda: not _has(device, path), f"{device} is free again")


def _has(device: Path, path: Path) -> bool:
    """Return whether a loop device still has this file; a different test may have taken it for its own."""
    try:
        backing = Path("/sys/block", device.name, "loop", "backing_file").read_bytes()
    except OSError:
        return False
    return backing.rstrip(b"\n").removesuffix(b" (deleted)") == os.fsencode(path)


@contextlib.contextmanager
def nobody_attaches() -> Iterator[None]:
    """Keep other processes of this rig from taking a free loop device: each locks the control file first."""
    control = os.open("/dev/loop-control", os.O_RDWR)
    try:
        fcntl.flock(control, fcntl.LOCK_EX)
        yield
    finally:
        os.close(control)


def _settle() -> None:
    """Wait until udev, if it runs, has read from the new device: the kernel counts those reads, too."""
    if Path("/run/udev/control").exists():
        run("udevadm", "settle")


def bytes_read(device: Path) -> int:
    """Return the bytes that the kernel has read from a loop device since it was attached."""
    return _count(device, SECTORS_READ)


def bytes_written(device: Path) -> int:
    """Return the bytes that the kernel has written to a loop device since it was attached."""
    return _count(device, SECTORS_WRITTEN)


def number(device: Path) -> str:
    """Return the major and minor number of a device, as cgroups want them."""
    return Path("/sys/block", device.name, "dev").read_text().strip()


def _count(device: Path, field: int) -> int:
    return int(Path("/sys/block", device.name, "stat").read_text().split()[field]) * SECTOR
