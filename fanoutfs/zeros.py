"""Detect, compare and provide zeros without allocating them for each block."""

import mmap

from fanoutfs.units import MIB

_STEP = MIB

_ZEROS = bytes(_STEP)

_ALIGNED = memoryview(mmap.mmap(-1, _STEP, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ))
"""Aligned for O_DIRECT. Pages that are never written take no memory."""


def is_zero(view: memoryview) -> bool:
    """Return whether all bytes are zeros.

    ``bytes.startswith`` takes any buffer and is one memcmp, 38 GB/s of a MiB; ``view == bytes`` compares
    element by element, 0.6 GB/s.
    """
    return all(_ZEROS.startswith(view[at : at + _STEP]) for at in range(0, len(view), _STEP))


def equal(mine: mmap.mmap, at: int, view: memoryview) -> bool:
    """Return whether ``mine`` has the bytes of ``view`` at ``at``; 12 GB/s, see ``is_zero``."""
    return all(
        mine[at + begin : at + begin + _STEP].startswith(view[begin : begin + _STEP])
        for begin in range(0, len(view), _STEP)
    )


def zeros(length: int) -> list[memoryview]:
    """Return ``length`` zeros in page-aligned pieces of at most a MiB."""
    return [_ALIGNED[: min(_STEP, length - at)] for at in range(0, length, _STEP)]


def read_only_zeros(length: int) -> memoryview:
    """Return ``length`` zeros in one piece, which takes no memory up to a MiB."""
    return _ALIGNED[:length] if length <= _STEP else memoryview(bytes(length))
