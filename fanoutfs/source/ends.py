"""The first and the last bytes of a file, by which its format is recognised."""

import os
from pathlib import Path

from fanoutfs.source.formats import HEAD, TAIL


def read_ends(path: str | Path) -> tuple[bytes, bytes]:
    """Return the first HEAD and the last TAIL bytes of a file, or all of them if it is shorter.

    Past a descriptor with O_DIRECT, so that they may begin and end anywhere. Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        return _read(fd, 0, min(HEAD, size)), _read(fd, max(0, size - TAIL), min(TAIL, size))
    finally:
        os.close(fd)


def _read(fd: int, offset: int, length: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < length and (piece := os.pread(fd, length - len(pieces), offset + len(pieces))):
        pieces += piece
    return bytes(pieces)
