"""Compare a target with what was copied, and compute the SHA-256 of its content."""

import hashlib
import mmap
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import attrs

from fanoutfs.digests.digest import DIGEST_SIZE, digest
from fanoutfs.layout import Layout
from fanoutfs.ranges import Range, joined
from fanoutfs.targets.target import Target
from fanoutfs.units import MIB
from fanoutfs.zeros import is_zero

CHUNK = 8 * MIB
"""Bytes read at a time where memory allows: a disk's full rate, and a short wait at either end."""

NAMED = 3
"""How many places a message names; it counts the rest."""

Digests = bytes | bytearray | memoryview


@attrs.frozen
class Verified:
    """The result of a verification."""

    sha256: str | None
    """Of the target's bytes up to the image's size, in hexadecimal; None: not all of them were copied."""
    differences: tuple[Range, ...]
    """The bytes that differ from what was copied, in whole blocks, because the digests are of blocks."""


def verify(
    target: Target,
    digests: Digests,
    layout: Layout,
    progress: Callable[[int], None],
    longest_read: int | None = None,
) -> Verified:
    """Read a target back, past the page cache, and compare it block by block.

    ``digests`` has DIGEST_SIZE bytes for each block that came from the source (``digests.digest``), in dense
    order; zero blocks are compared with zeros, and blocks outside are not read. ``progress`` is called with
    the number of bytes done. ``longest_read`` are the most bytes read at a time, if not CHUNK. Raise
    TargetError if a place can't be read.

    One thread reads a chunk ahead, one computes the SHA-256, this one the digests of the blocks: reading and
    hashing release the GIL. Where no more threads can be started, this one does everything.
    """
    chunk = max(1, (longest_read or CHUNK) // layout.block) * layout.block
    buffers = [memoryview(mmap.mmap(-1, min(chunk, layout.size))) for _ in range(2)]
    whole = None if layout.outside else hashlib.sha256()
    differing: list[Range] = []
    done = 0
    with _helpers(2) as pool:
        chunks = _chunks(layout, chunk)
        following = next(chunks, None)
        reading = None if following is None else pool.submit(_read, target, following, buffers[0])
        for number in count(1):
            if following is None or reading is None:
                break
            (offset, length), view = following, reading.result()
            following = next(chunks, None)
            if following is not None:
                reading = pool.submit(_read, target, following, buffers[number % 2])
            hashing = None if whole is None else pool.submit(whole.update, view)
            differing += _differing(offset, view, layout, digests)
            if hashing is not None:
                hashing.result()
            done += length
            progress(done)
    return Verified(None if whole is None else whole.hexdigest(), tuple(joined(differing)))


def _helpers(most: int) -> Executor:
    """Start threads; return what does the work at once where a limit does not permit that many."""
    pool, started = ThreadPoolExecutor(most), threading.Event()
    try:
        for _ in range(most):
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


def _chunks(layout: Layout, longest: int) -> Iterator[Range]:
    """Yield what is read back, in pieces."""
    for offset, length in layout.copied():
        for at in range(offset, offset + length, longest):
            yield at, min(longest, offset + length - at)


def _read(target: Target, chunk: Range, buffer: memoryview) -> memoryview:
    offset, length = chunk
    view = buffer[:length]
    target.read_into(offset, view)
    return view


def _differing(offset: int, view: memoryview, layout: Layout, digests: Digests) -> Iterator[Range]:
    for begin in range(0, len(view), layout.block):
        piece = view[begin : begin + layout.block]
        number = (offset + begin) // layout.block
        entry = layout.dense_block(number) * DIGEST_SIZE
        if layout.is_read(number):
            good = digest(piece) == digests[entry : entry + DIGEST_SIZE]
        else:
            good = is_zero(piece)
        if not good:
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
