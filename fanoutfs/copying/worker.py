"""One target being copied to, in a process of its own: what hangs, dies or is full here is no other's matter.

The way goes from where the producer's head was, over the end of the image, round to there; each block is
written at its own offset, straight from the ring's memory. Block 0 is kept back on the way and written
last. What a block was is only sure once the producer has taken it back (``Borrower.free``); one that it had
taken back *before*, since this target took too long for a piece, is copied again, and from then on pieces
are copied to memory of our own first: so a target of any slowness comes to its end, and holds nobody.
"""

import logging
import mmap
import time
from collections.abc import Callable, Iterator

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.copying.write_size import MOST, WriteSize
from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.errors import SourceChangedError, TargetError
from fanoutfs.shm.borrower import Borrower, Image
from fanoutfs.shm.grant_table import Grant
from fanoutfs.shm.turn import Turn
from fanoutfs.targets.target import Target
from fanoutfs.targets.verify import difference_message, verify
from fanoutfs.targets.zeros import is_zero

log = logging.getLogger(__name__)

REPORT_SECONDS = 0.1

RETRIES = 3
"""So often in a row, without a block in between, a producer that has ended is looked for, or replaced."""


@attrs.define(eq=False, kw_only=True)
class Worker:
    """Copies an image to a target, then verifies it if it should."""

    target: Target
    image: Image
    connect: Callable[[], ControlConnection]
    """Finds or starts the producer."""
    report: Callable[..., object]
    """Tells the command: phase, done, and the like."""
    others: Callable[[], object]
    """Waits, having joined, until the command's other targets have, too, or for a moment."""
    preferred_start: int
    """The block where the head was when the command came: all of its targets begin there if that can be."""
    resume: bool
    verify: bool
    _pieces: WriteSize = attrs.field(init=False)
    _digests: bytearray = attrs.field(init=False)
    _first: bytes = attrs.field(default=b"", init=False)
    """Block 0, once it has come by."""
    _differs: bool = attrs.field(default=False, init=False)
    """Something had to be written."""
    _own: mmap.mmap | None = attrs.field(default=None, init=False)
    """Memory to copy to first, once the target has been too slow."""
    _reported: float = attrs.field(default=0.0, init=False)
    _turn: Turn | None = attrs.field(default=None, init=False)
    """As far as the last producer took it; None before the first."""

    def __attrs_post_init__(self) -> None:
        self._pieces = WriteSize(self.image.block)
        self._digests = bytearray(self.image.blocks * DIGEST_SIZE if self.verify else 0)

    def run(self) -> str | None:
        """Do it all; gives the SHA-256 of what is on the target if it was verified.

        Raises TargetError, or FanoutError with what the producer says.
        """
        self.target.prepare(keep=self.resume)
        self._copy()
        self.report(phase="flushes")
        first = memoryview(self._first)
        unchanged = self.resume and not self._differs and not self.target.differing(0, [first])
        self.target.finish(None if unchanged else first)
        return self._verify() if self.verify else None

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
                )
            except HungUpError:
                failures = self._try_again(failures)
                continue
            joined_at = borrower.turn.next
            try:
                self._check(borrower.image)
                if self._turn is None:
                    self.report(phase="joins")
                    self.others()
                self._report_copied(borrower)
                self._copy_from(borrower)
            except HungUpError:
                progressed = self._turn is not None and borrower.turn.next > joined_at
                failures = self._try_again(0 if progressed else failures)
            finally:
                self._turn = borrower.turn
                borrower.close()

    def _try_again(self, tries: int) -> int:
        if tries == RETRIES:
            raise HungUpError(f"the producer has ended {RETRIES + 1} times; {self.target.path} is unfinished")
        log.info("the producer has ended; looking for another")
        return tries + 1

    def _check(self, image: Image) -> None:
        if image != self.image:
            raise SourceChangedError(
                f"the source is another one than before; {self.target.path} is unfinished"
            )

    def _copy_from(self, borrower: Borrower) -> None:
        while borrower.turn.next < borrower.end:
            count = borrower.wait(self._pieces.count)
            if not count:
                continue
            tickets = borrower.tickets(count)
            places = range(borrower.turn.next, borrower.turn.next + count)
            views = [borrower.block(ticket, place) for ticket, place in zip(tickets, places, strict=True)]
            began = time.monotonic()
            if self._own is None:
                self._put(places, views)
                freed = borrower.free(count)
            else:
                views = self._copied(views)
                if freed := borrower.free(count):
                    self._put(places, views)
            self._pieces.lasted(count, time.monotonic() - began)
            if freed:
                self._note(places, tickets)
                self._report_copied(borrower)
            elif self._own is None:
                self._own = mmap.mmap(-1, max(MOST, self.image.block))

    def _copied(self, views: list[memoryview]) -> list[memoryview]:
        """Copy blocks to memory of our own."""
        assert self._own is not None
        room = memoryview(self._own)
        copies = []
        for number, view in enumerate(views):
            copy = room[number * self.image.block :][: len(view)]
            copy[:] = view
            copies.append(copy)
        return copies

    def _put(self, places: range, views: list[memoryview]) -> None:
        """Have blocks on the target, but for block 0, which is kept."""
        for real, run in self._runs(places, views):
            if real == 0:
                self._first = bytes(run[0])
            elif self.resume:
                self._put_what_differs(real, run)
            else:
                self._write(real, run)

    def _runs(self, places: range, views: list[memoryview]) -> Iterator[tuple[int, list[memoryview]]]:
        """Cut at block 0, which stands alone: give the first real block and the blocks of each run."""
        begin = 0
        for number, place in enumerate(places):
            if place % self.image.blocks == 0:
                if begin < number:
                    yield places[begin] % self.image.blocks, views[begin:number]
                yield 0, [views[number]]
                begin = number + 1
        if begin < len(places):
            yield places[begin] % self.image.blocks, views[begin:]

    def _put_what_differs(self, real: int, run: list[memoryview]) -> None:
        for number in self.target.differing(real * self.image.block, run):
            self._differs = True
            self.target.wipe_first()
            self._write(real + number, [run[number]])

    def _write(self, real: int, run: list[memoryview]) -> None:
        if not self.target.sparse:
            self.target.write(real * self.image.block, run)
            return
        for number, view in enumerate(run):
            offset = (real + number) * self.image.block
            if is_zero(view):
                self.target.clear(offset, len(view))
            else:
                self.target.write(offset, [view])

    def _note(self, places: range, tickets: list[Grant]) -> None:
        """Keep the digests of what was copied."""
        if self.verify:
            for place, ticket in zip(places, tickets, strict=True):
                at = place % self.image.blocks * DIGEST_SIZE
                self._digests[at : at + DIGEST_SIZE] = ticket.digest

    def _report_copied(self, borrower: Borrower) -> None:
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS or borrower.turn.next == borrower.end:
            self._reported = now
            done = min((borrower.turn.next - borrower.turn.start) * self.image.block, self.image.size)
            start = borrower.turn.start * self.image.block
            self.report(phase="copies", done=done, start=start, id=borrower.id, written=self.target.written)

    # Verifying

    def _verify(self) -> str:
        def report(done: int) -> None:
            now = time.monotonic()
            if now - self._reported >= REPORT_SECONDS:
                self._reported = now
                self.report(phase="verifies", done=done)

        self.report(phase="verifies", done=0)
        found = verify(self.target, self._digests, self.image.block, self.image.size, report)
        if found.differences:
            raise TargetError(difference_message(self.target.path, found.differences))
        return found.sha256
