"""The copy to one target, in a process of its own: a target that hangs, dies or is full affects no other.

The worker copies from where the producer's head was to the end of the image, then from the beginning round to
there. It writes each block at its own offset, straight from the ring's memory. It keeps block 0 back and
writes it last. The blocks that the producer does not read (``layout.py``) do not come by: those of them that
are zeros are made zeros on the target when all others have been copied.

The worker knows what a block contained only once the producer has accepted the block's release
(``Borrower.free``). If this target takes too long for a write, the producer takes the blocks back before
that. The worker then copies them again, and from then on copies blocks to its own memory before it writes
them. So a target of any speed is finished, and holds up nobody.
"""

import logging
import mmap
import time
from collections.abc import Callable, Iterator
from functools import partial

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.copying.progress import Phase
from fanoutfs.copying.write_size import LONGEST_WRITE, WriteSize
from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.errors import SourceChangedError, TargetError
from fanoutfs.ranges import joined
from fanoutfs.shm.borrower import Borrower, Image
from fanoutfs.shm.copy_zeros import BlockZeros, CopyZeros
from fanoutfs.shm.grant_table import Grant
from fanoutfs.shm.turn import Turn
from fanoutfs.targets.target import Target
from fanoutfs.targets.verify import difference_message, verify
from fanoutfs.targets.zero_gaps import zero_gaps
from fanoutfs.zeros import is_zero

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.1

RETRIES = 3
"""How often in a row, without a block in between, the worker replaces a producer that has ended."""


@attrs.define(eq=False, kw_only=True)
class Worker:
    """Copies an image to a target, and verifies the target if asked to."""

    target: Target
    image: Image
    connect: Callable[[], ControlConnection]
    """Finds or starts the producer."""
    send: Callable[..., object]
    """Sends a report to the command: phase, done, and the like."""
    wait_for_others: Callable[[], object]
    """Called after joining: waits until the command's other targets have joined, too, or for a moment."""
    preferred_start: int
    """The block where the head was when the command connected: all of its targets begin there if they can."""
    resume: bool
    verify: bool
    longest_write: int = LONGEST_WRITE
    """The most bytes of one write, unless a block is larger; buffers have this size, too."""
    _write_size: WriteSize = attrs.field(init=False)
    _digests: bytearray = attrs.field(init=False)
    _first: bytes | None = attrs.field(default=None, init=False)
    """Block 0, once it has been read; None: it is not copied."""
    _differs: bool = attrs.field(default=False, init=False)
    """The target was not a copy already: something had to be written."""
    _buffer: mmap.mmap | None = attrs.field(default=None, init=False)
    """Memory to copy blocks to first, once the target has been too slow."""
    _reported: float = attrs.field(default=0.0, init=False)
    _zeros: dict[int, BlockZeros] = attrs.field(factory=dict, init=False)
    """What holds zeros in place of data, by the dense block."""
    _again: bool = attrs.field(default=False, init=False)
    """All has been copied; what the producer had left for later is copied again."""
    _turn: Turn | None = attrs.field(default=None, init=False)
    """As far as the last producer took it; None before the first."""

    def __attrs_post_init__(self) -> None:
        self._write_size = WriteSize(self.image.block, self.longest_write)
        known = self.verify and self.image.size_is_known
        self._digests = bytearray(self.image.blocks * DIGEST_SIZE if known else 0)
        if self.image.layout.has_first and not self.image.layout.is_read(0):
            self._first = bytes(min(self.image.block, self.image.size))

    def run(self) -> str | None:
        """Copy, and verify if asked to; return the SHA-256 of a verified target.

        Raise TargetError, or FanoutError with the producer's message.
        """
        self.target.prepare(keep=self.resume)
        self._copy()
        self._copy_again()
        self._zero_gaps()
        self._report(Phase.FLUSHING)
        first = None if self._first is None else memoryview(self._first)
        if first and self.resume and not self._differs and not self.target.differing(0, [first]):
            first = None
        self.target.finish(first)
        return self._verify() if self.verify else None

    @property
    def zeros(self) -> CopyZeros:
        """What of the target holds zeros in place of data."""
        return CopyZeros.of(self._zeros.values())

    def _zero_gaps(self) -> None:
        """Make the blocks zeros that the producer does not read."""
        layout = self.image.layout
        if not layout.is_whole:
            self._report(Phase.ZEROING, done=0)
            self._differs |= zero_gaps(
                self.target,
                layout,
                partial(self._report_done, Phase.ZEROING),
                resume=self.resume,
                longest=self.longest_write,
            )

    def _report_done(self, phase: Phase, done: int) -> None:
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report(phase, done=done)

    def _report(self, phase: Phase, **figures: object) -> None:
        self.send(phase=phase.value, **figures)

    # Copying

    def _copy(self) -> None:
        """Copy the image once, with as many producers as it takes."""
        failures = 0
        while self._turn is None or self._turn.next < self._turn.start + self.image.blocks:
            try:
                borrower = Borrower.join(
                    self.connect(),
                    self.target.path,
                    digests=self.verify,
                    preferred_start=self.preferred_start,
                    turn=self._turn,
                    again=self._again,
                )
            except HungUpError:
                failures = self._try_again(failures)
                continue
            joined_at = borrower.turn.next
            try:
                self._check(borrower.image)
                if self._turn is None:
                    self._report(Phase.JOINING)
                    self.wait_for_others()
                self._report_copied(borrower)
                self._copy_from(borrower)
            except HungUpError:
                progressed = self._turn is not None and borrower.turn.next > joined_at
                failures = self._try_again(0 if progressed else failures)
            finally:
                self._turn = borrower.turn
                borrower.close()

    def _copy_again(self) -> None:
        """Copy the blocks once more of which the producer has left something for later."""
        self._again, blocks = True, self.image.blocks
        left = joined((block, 1) for block, zeros in sorted(self._zeros.items()) if not zeros.is_final)
        for first, count in left:
            end = first + count
            # The end of a turn that began where this stretch ends.
            self._turn = Turn(end % blocks, end % blocks + blocks - count)
            self._copy()

    def _try_again(self, failures: int) -> int:
        if self.image.once:
            raise HungUpError(
                "the process that read the pipe has ended, and a pipe can't be read again; "
                f"{self.target.path} is unfinished"
            )
        if failures == RETRIES:
            raise HungUpError(f"the producer has ended {RETRIES + 1} times; {self.target.path} is unfinished")
        log.info("the producer has ended; looking for another")
        return failures + 1

    def _learn(self, image: Image) -> None:
        """Adopt the size of an image whose end has been found."""
        if image.size != self.image.size:
            self.image = image
            self.target.settle(image.size)
            self.send(size=image.size)

    def _check(self, image: Image) -> None:
        if not self.image.size_is_known and image.identity == self.image.identity:
            self._learn(image)
        if image != self.image:
            raise SourceChangedError(
                f"the source has changed since the copy began; {self.target.path} is unfinished"
            )

    def _copy_from(self, borrower: Borrower) -> None:
        while borrower.turn.next < borrower.end:
            count = borrower.wait(self._write_size.blocks)
            self._learn(borrower.image)
            if not count:
                # Silence would mean that the target hangs.
                self.send(waits=True)
                continue
            grants = borrower.grants(count)
            blocks = range(borrower.turn.next, borrower.turn.next + count)
            views = [borrower.block(grant, block) for grant, block in zip(grants, blocks, strict=True)]
            began = time.monotonic()
            zeros = {
                block: borrower.zeros(block)
                for block, grant in zip(blocks, grants, strict=True)
                if grant.has_zeros
            }
            if self._buffer is None:
                self._put(blocks, views)
                freed = borrower.free(count)
            else:
                views = self._buffered(views)
                if freed := borrower.free(count):
                    self._put(blocks, views)
            self._write_size.record(count, time.monotonic() - began)
            if freed:
                self._keep_digests(blocks, grants)
                self._keep_zeros(blocks, zeros)
                self._report_copied(borrower)
            elif self._buffer is None:
                self._buffer = mmap.mmap(-1, max(self.longest_write, self.image.block))
                self._buffer.madvise(mmap.MADV_DONTDUMP)

    def _buffered(self, views: list[memoryview]) -> list[memoryview]:
        """Copy blocks out of the ring."""
        assert self._buffer is not None
        buffer = memoryview(self._buffer)
        copies = []
        for number, view in enumerate(views):
            copy = buffer[number * self.image.block :][: len(view)]
            copy[:] = view
            copies.append(copy)
        return copies

    def _put(self, blocks: range, views: list[memoryview]) -> None:
        """Put unrolled, dense blocks on the target; block 0 is kept for the end."""
        for block, run in self._runs(blocks, views):
            if block == 0:
                self._first = bytes(run[0])
            elif self.resume:
                self._write_what_differs(block, run)
            else:
                self._write(block, run)

    def _runs(self, blocks: range, views: list[memoryview]) -> Iterator[tuple[int, list[memoryview]]]:
        """Split at gaps, and at block 0, which is a run by itself.

        Yield each run's first block in the image, and its views.
        """
        layout, done = self.image.layout, 0
        while done < len(blocks):
            dense = blocks[done] % layout.blocks
            block, count = next(layout.adjoining(dense, min(len(blocks) - done, layout.blocks - dense)))
            count = 1 if block == 0 else count
            yield block, views[done : done + count]
            done += count

    def _write_what_differs(self, block: int, run: list[memoryview]) -> None:
        for number in self.target.differing(block * self.image.block, run):
            self._differs = True
            self.target.wipe_first()
            self._write(block + number, [run[number]])

    def _write(self, block: int, run: list[memoryview]) -> None:
        if not self.target.sparse:
            self.target.write(block * self.image.block, run)
            return
        for number, view in enumerate(run):
            offset = (block + number) * self.image.block
            if is_zero(view):
                self.target.clear(offset, len(view))
            else:
                self.target.write(offset, [view])

    def _keep_digests(self, blocks: range, grants: list[Grant]) -> None:
        """Keep the digests of copied blocks for the verification."""
        if self.verify:
            for block, grant in zip(blocks, grants, strict=True):
                at = block % self.image.blocks * DIGEST_SIZE
                if at > len(self._digests):
                    # Where the image ends is not known.
                    self._digests.extend(bytes(at - len(self._digests)))
                self._digests[at : at + DIGEST_SIZE] = grant.digest

    def _keep_zeros(self, blocks: range, zeros: dict[int, BlockZeros]) -> None:
        """Keep where copied blocks hold zeros in place of data."""
        for block in blocks:
            self._zeros.pop(block % self.image.blocks, None)
            if block in zeros:
                self._zeros[block % self.image.blocks] = zeros[block]

    def _report_copied(self, borrower: Borrower) -> None:
        if self._again:
            self.send(waits=True)
            return
        now, turn = time.monotonic(), borrower.turn
        if now - self._reported >= REPORT_SECONDS or turn.next == borrower.end:
            self._reported = now
            layout = self.image.layout
            done = min((turn.next - turn.start) * self.image.block, layout.read_size)
            start, written = layout.image_block(turn.start) * self.image.block, self.target.written
            self._report(Phase.COPYING, done=done, start=start, id=borrower.id, written=written)

    # Verifying

    def _verify(self) -> str | None:
        self._report(Phase.VERIFYING, done=0)
        progress = partial(self._report_done, Phase.VERIFYING)
        found = verify(self.target, self._digests, self.image.layout, progress, self.longest_write)
        if found.differences:
            raise TargetError(difference_message(self.target.path, found.differences))
        return found.sha256
