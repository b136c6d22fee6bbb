"""A read-only loop device on a part of a file or disk, which the kernel removes when it is closed last.

losetup(8) has no option for that: a device that it made stays when the command is killed.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

LOOP_CTL_GET_FREE, LOOP_CONFIGURE = 0x4C82, 0x4C0A
"""linux/loop.h; the latter since Linux 5.8."""

READ_ONLY, AUTOCLEAR = 1, 4
"""LO_FLAGS_..."""

BLKRASET = 0x1262
"""linux/fs.h"""

READ_AHEAD = 64
"""Sectors of 512 bytes. A search for used blocks reads a little here and there, and needs no more."""

_CONFIG = struct.Struct("=II 24x QQ 8x II 176x 64x")
"""struct loop_config: descriptor and block size; of its loop_info64 offset, size limit, key size, flags."""

ATTEMPTS = 20
"""Other programs may take the device that was free a moment ago."""


@contextlib.contextmanager
def read_only_loop(backing: int, begin: int, length: int) -> Iterator[str]:
    """Yield the path of a loop device that shows ``length`` bytes of an open file or disk. Raise OSError.

    It exists until this process, and those that opened its path meanwhile, have closed it or ended.
    """
    fd, path = _configured(_CONFIG.pack(backing, 0, begin, length, 0, READ_ONLY | AUTOCLEAR))
    try:
        # Only root may; it reads more otherwise.
        with contextlib.suppress(PermissionError):
            fcntl.ioctl(fd, BLKRASET, READ_AHEAD)
        yield path
    finally:
        os.close(fd)


def _configured(config: bytes) -> tuple[int, str]:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for attempt in range(ATTEMPTS):
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            # With devtmpfs the node is there at once, else it is made by udev.
            if not Path(path).exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(fd)
                if error.errno != errno.EBUSY or attempt == ATTEMPTS - 1:
                    raise
            else:
                return fd, path
    finally:
        os.close(control)
    raise AssertionError
