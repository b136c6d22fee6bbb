"""The file behind a loop device, by device and inode: stat of its path might never end."""

import fcntl
import os
import struct

from fanoutfs.system.bounded import call_within
from fanoutfs.system.identity import inode_identity

LOOP_GET_STATUS64 = 0x4C05
"""linux/loop.h"""

_INFO = struct.Struct("=QQ216x")
"""The device of the file's file system and the inode, of struct loop_info64."""

SECONDS = 2.0
"""How long the kernel, which answers from memory, may take."""


def backing_file(name: str) -> str | None:
    """Return the identity of the file behind a loop device, such as loop0; None if it is not known."""
    try:
        device, inode = call_within(SECONDS, lambda: _ask(f"/dev/{name}"))
    except OSError:
        # Asking requires the right to read the device.
        return None
    return inode_identity(device, inode)


def _ask(path: str) -> tuple[int, int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        device, inode = _INFO.unpack(fcntl.ioctl(fd, LOOP_GET_STATUS64, bytes(_INFO.size)))
    finally:
        os.close(fd)
    return device, inode
