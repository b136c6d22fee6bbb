"""Is what the target gives back what went by? And the SHA-256 of all that is on it."""

import hashlib
import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs

from fanoutfs.digests.digest import DIGEST_SIZE, digest
from fanoutfs.ranges import Range, joined
from fanoutfs.targets.target import Target
from fanoutfs.units import MIB

CHUNK = 8 * MIB
"""Read at a time, unless a block is larger: a disk's full rate, and little to wait for at either end."""

NAMED = 3
"""Most places that a message names; the rest it counts."""


Digests = bytes | bytearray | memoryview


@attrs.frozen
class Verified:
    """What the target has."""

    sha256: str
    """Of all its bytes up to the image's size, in hexadecimal."""
    differences: tuple[Range, ...]
    """Where it is not what went by, in bytes; of whole blocks, as finer the digests can't tell."""


def verify(
    target: Target, digests: Digests, block: int, size: int, progress: Callable[[int], None]
) -> Verified:
    """Read the target back past the page cache, all ``size`` bytes in order, and compare it block by block.

    ``digests`` has DIGEST_SIZE bytes for each block of the image (``digests.digest``). ``progress`` is
    told how many bytes are done. Raise TargetError when a place can't be read.

    One thread reads a chunk ahead, one takes the SHA-256 of all, this one the blocks' digests: reading and
    hashing release the GIL.
    """
    chunk = max(1, CHUNK // block) * block
    buffers = [memoryview(mmap.mmap(-1, min(chunk, size))) for _ in range(2)]
    whole = hashlib.sha256()
    differing: list[Range] = []
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(target.read_into, 0, buffers[0])
        for number, offset in enumerate(range(0, size, chunk)):
            reading.result()
            view = buffers[number % 2][: size - offset]
            end = offset + len(view)
            if end < size:
                room = buffers[(number + 1) % 2][: size - end]
                reading = pool.submit(target.read_into, end, room)
            hashing = pool.submit(whole.update, view)
            differing += _differing(offset, view, block, digests)
            hashing.result()
            progress(end)
    return Verified(whole.hexdigest(), tuple(joined(differing)))


def _differing(offset: int, view: memoryview, block: int, digests: Digests) -> Iterator[Range]:
    for begin in range(0, len(view), block):
        piece = view[begin : begin + block]
        entry = (offset + begin) // block * DIGEST_SIZE
        if digest(piece) != digests[entry : entry + DIGEST_SIZE]:
            yield offset + begin, len(piece)


def difference_message(path: str, differences: Sequence[Range]) -> str:
    """Return a line that says where the target is not what went by, one place at least, and what to do."""
    named = [f"{length} bytes at byte {offset}" for offset, length in differences[:NAMED]]
    if more := len(differences) - len(named):
        named.append(f"{more} more {'place' if more == 1 else 'places'}")
    total = sum(length for _, length in differences)
    summary = f" ({total} bytes in {len(differences)} places)" if len(differences) > 1 else ""
    return (
        f"the target {path} does not give back what was written: {_listed(named)}{summary}; "
        "write these again with --resume --verify, and if it happens again replace it"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
