"""A copy made by hand: what a worker does with its target, without ring or producer."""

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fanoutfs.targets.target import Target
from fanoutfs.units import PAGE
from fanoutfs.zeros import is_zero

BLOCK = 2 * PAGE


def in_ring(content: bytes) -> memoryview:
    """Put an image into page-aligned memory that can only be read, as the ring is for a worker."""
    memory = mmap.mmap(-1, max(1, len(content)))
    memory.write(content)
    return memoryview(memory)[: len(content)].toreadonly()


def blocks(image: memoryview, begin: int, end: int, block: int = BLOCK) -> list[memoryview]:
    """Return the blocks with the numbers from ``begin`` to ``end``."""
    return [image[number * block : (number + 1) * block] for number in range(begin, end)]


def open_target(
    path: Path, size: int, *, block: int = BLOCK, direct: bool = False, sparse: bool = False
) -> Target:
    """Open a file or disk as the command does."""
    made = not path.exists()
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | (os.O_DIRECT if direct else 0)
    fd = os.open(path, flags, 0o600)
    is_disk = path.is_block_device()
    fresh = not is_disk and (made or os.fstat(fd).st_size == 0)
    return Target(str(path), fd, size, block, is_disk, direct, sparse, fresh)


def round_the_circle(count: int, start: int, lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a turn of ``count`` blocks from ``start`` into runs: none goes over the end, none has block 0."""
    at, left, turn = start, count, 0
    while left:
        length = min(lengths[turn % len(lengths)], left, count - at)
        yield max(1, at), at + length
        at, left, turn = (at + length) % count, left - length, turn + 1


def copy(
    target: Target, image: memoryview, *, start: int = 0, runs: Sequence[int] = (1,), resume: bool
) -> None:
    """Copy the image, block 0 last; with ``resume`` only what the target lacks."""
    target.prepare(keep=resume)
    changed = not resume
    for begin, end in round_the_circle(-(-target.size // target.block), start, runs):
        offset, pieces = begin * target.block, blocks(image, begin, end, target.block)
        if not resume:
            _put(target, offset, pieces)
            continue
        for number in target.differing(offset, pieces):
            target.wipe_first()
            changed = True
            _put(target, offset + number * target.block, [pieces[number]])
    first = image[: target.block]
    target.finish(first if changed or target.differing(0, [first]) else None)


def copied(
    path: Path,
    image: memoryview,
    *,
    block: int = BLOCK,
    direct: bool = False,
    sparse: bool = False,
    start: int = 0,
    runs: Sequence[int] = (1,),
    resume: bool = False,
) -> Target:
    """Copy the image to a file or disk; return the target, closed, for what it has counted."""
    target = open_target(path, len(image), block=block, direct=direct, sparse=sparse)
    copy(target, image, start=start, runs=runs, resume=resume)
    target.close()
    return target


def _put(target: Target, offset: int, pieces: Sequence[memoryview]) -> None:
    if not target.sparse:
        target.write(offset, pieces)
        return
    for piece in pieces:
        if is_zero(piece):
            target.clear(offset, len(piece))
        else:
            target.write(offset, [piece])
        offset += len(piece)
