"""Compare a target with what was copied, and compute the SHA-256 of its content."""

import hashlib
import mmap
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import attrs

from fanoutfs.digests.digest import DIGEST_SIZE, digest
from fanoutfs.ranges import Range, joined
from fanoutfs.targets.target import Target
from fanoutfs.units import MIB

CHUNK = 8 * MIB
"""Bytes read at a time where memory allows: a disk's full rate, and a short wait at either end."""

NAMED = 3
"""How many places a message names; it counts the rest."""

Digests = bytes | bytearray | memoryview


@attrs.frozen
class Verified:
    """The result of a verification."""

    sha256: str
    """Of the target's bytes up to the image's size, in hexadecimal."""
    differences: tuple[Range, ...]
    """The bytes that differ from what was copied, in whole blocks, because the digests are of blocks."""


def verify(
    target: Target,
    digests: Digests,
    block: int,
    size: int,
    progress: Callable[[int], None],
    longest_read: int | None = None,
) -> Verified:
    """Read all ``size`` bytes of the target back, past the page cache, and compare them block by block.

    ``digests`` has DIGEST_SIZE bytes for each block of the image (``digests.digest``). ``progress`` is
    called with the number of bytes done. ``longest_read`` are the most bytes read at a time, if not CHUNK.
    Raise TargetError if a place can't be read.

    One thread reads a chunk ahead, one computes the SHA-256, this one the digests of the blocks: reading and
    hashing release the GIL. Where no more threads can be started, this one does everything.
    """
    chunk = max(1, (longest_read or CHUNK) // block) * block
    buffers = [memoryview(mmap.mmap(-1, min(chunk, size))) for _ in range(2)]
    whole = hashlib.sha256()
    differing: list[Range] = []
    with _helpers(2) as pool:
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


def _helpers(count: int) -> Executor:
    """Start threads; return what does the work at once where a limit does not permit that many."""
    pool, started = ThreadPoolExecutor(count), threading.Event()
    try:
        for _ in range(count):
            pool.submit(started.wait)
    except RuntimeError:
        # Not in ``verify``: what could not be started has been queued all the same.
        started.set()
        pool.shutdown()
        return _Here()
    started.set()
    return pool


class _Here(Executor):
    """No thread: the work is done by the caller."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **named))
        except Exception as error:  # noqa: BLE001 (raised again by ``result``)
            done.set_exception(error)
        return done


def _differing(offset: int, view: memoryview, block: int, digests: Digests) -> Iterator[Range]:
    for begin in range(0, len(view), block):
        piece = view[begin : begin + block]
        entry = (offset + begin) // block * DIGEST_SIZE
        if digest(piece) != digests[entry : entry + DIGEST_SIZE]:
            yield offset + begin, len(piece)


def difference_message(path: str, differences: Sequence[Range]) -> str:
    """Return the line that names the differences, at least one, and what to do."""
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
