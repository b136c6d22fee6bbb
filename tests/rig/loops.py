"""Loop devices: a block device from a file, with the kernel's own count of what was read of it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.commands import run, wait_until
from tests.rig.images import SECTOR

SECTORS_READ, SECTORS_WRITTEN = 2, 6  # fields of /sys/block/NAME/stat, in sectors of 512 bytes


@contextlib.contextmanager
def attached(path: Path, *options: str) -> Iterator[Path]:
    """Put a file behind a loop device for a while; it is gone at the end."""
    if os.geteuid() != 0:
        pytest.fail("a loop device needs root: run the tests with sudo", pytrace=False)
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
    """Let no other test take a free loop device meanwhile: each holds a lock on what hands them out."""
    control = os.open("/dev/loop-control", os.O_RDWR)
    try:
        fcntl.flock(control, fcntl.LOCK_EX)
        yield
    finally:
        os.close(control)


def _settle() -> None:
    """Wait until udev, where there is one, has looked at a new disk: the kernel counts what it reads."""
    if Path("/run/udev/control").exists():
        run("udevadm", "settle")


def bytes_read(device: Path) -> int:
    """Return the bytes that the kernel has read from a loop device since it came to be."""
    return _count(device, SECTORS_READ)


def bytes_written(device: Path) -> int:
    """Return the bytes that the kernel has written to a loop device since it came to be."""
    return _count(device, SECTORS_WRITTEN)


def _count(device: Path, field: int) -> int:
    return int(Path("/sys/block", device.name, "stat").read_text().split()[field]) * SECTOR
