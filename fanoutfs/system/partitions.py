"""The kernel's list of a disk's partitions, which it reads when the disk appears, and when it is asked to.

After a disk has been written over, the kernel still has the old list: a mount of an old partition would lead
to a wrong place on the disk. ``blockdev --rereadpt`` and ``partprobe`` ask for it to be read again.
"""

import ctypes
import errno
import fcntl
import os
from pathlib import Path

from fanoutfs.errors import reason

BLKPG, BLKRRPART = 0x1269, 0x125F
"""linux/fs.h"""

BLKPG_DEL_PARTITION = 2
"""linux/blkpg.h"""

SYS_DEVICES = Path("/sys/dev/block")


class _Partition(ctypes.Structure):
    """struct blkpg_partition."""

    _fields_ = (
        ("start", ctypes.c_longlong),
        ("length", ctypes.c_longlong),
        ("number", ctypes.c_int),
        ("names", ctypes.c_char * 128),
    )


class _Change(ctypes.Structure):
    """struct blkpg_ioctl_arg."""

    _fields_ = (
        ("operation", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("length", ctypes.c_int),
        ("partition", ctypes.POINTER(_Partition)),
    )


def read_again(disk: int, name: str) -> str | None:
    """Make the kernel read the partitions of an open disk again; do nothing for a partition.

    Return None, or the line for the user when the kernel's list is not the one on the disk ``name``.
    """
    device = os.fstat(disk).st_rdev
    folder = SYS_DEVICES / f"{os.major(device)}:{os.minor(device)}"
    if (folder / "partition").exists():
        return None
    try:
        fcntl.ioctl(disk, BLKRRPART)
    except OSError as error:
        failed = error
    else:
        return None
    old = _numbers(folder)
    if not old:
        # It has none, or is of a kind that can have none.
        return None
    if failed.errno == errno.EINVAL:
        # The kernel does not look for partitions on it by itself: a program has added these.
        try:
            for number in old:
                _delete(disk, number)
        except OSError as error:
            failed = error
        else:
            return (
                f"{name} has lost the partitions that the system knew from before the copy; to add those "
                f"that were copied: partx --add {name}"
            )
    return (
        f"the system still has the partitions that were on {name} before the copy: {reason(failed)}; close "
        f"what uses them, then as root: blockdev --rereadpt {name} (or unplug it and plug it in again)"
    )


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the partitions that the kernel has of a disk."""
    return sorted(int(path.read_bytes()) for path in folder.glob("*/partition"))


def _delete(disk: int, number: int) -> None:
    """Make the kernel forget a partition. Raise OSError, EBUSY while it is open."""
    partition = _Partition(number=number)
    length = ctypes.sizeof(partition)
    fcntl.ioctl(disk, BLKPG, bytes(_Change(BLKPG_DEL_PARTITION, 0, length, ctypes.pointer(partition))))
