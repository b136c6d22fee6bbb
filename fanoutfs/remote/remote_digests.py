"""The digests that a producer on another computer has made of its blocks, for copies here that verify.

A target is compared with what passed through the ring *there*, so that damage by the network or by this
computer's memory is found, too. ``web/digest_stream.py`` defines what is sent. The service makes a digest of
every block that is read from it while the stream is open, and goes on hashing for a minute when it breaks. A
block that was read without that may have no digest, and a copy that waits for it fails after a while.
"""

import logging
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter

import attrs
import httpx
import trio

from fanoutfs.digests.digest import digest
from fanoutfs.digests.digest_table import MOST_BLOCKS, DigestTable, parse_line
from fanoutfs.errors import NoAnswerError, SourceChangedError, UnusableError
from fanoutfs.remote.service_client import CONNECT_SECONDS, ServiceClient
from fanoutfs.system.backoff import BackOff
from fanoutfs.units import format_seconds
from fanoutfs.zeros import read_only_zeros

log = logging.getLogger(__name__)

SILENT_SECONDS = 12.0
"""A stream that has been silent for this time is dead: the service sends something every 3 seconds."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
"""From the end of one stream to the next attempt, seconds; each is twice as long as the one before."""

WAIT_SECONDS = 60.0
"""How long a copy waits for a digest, from the arrival of the last one, of any block: the service hashes the
blocks of its ring in its own order."""

MOST_SECONDS = 600.0
"""How long a copy waits for a digest in all."""

LONGEST_LINE = 4096

_ZERO = b"zero "


@lru_cache(maxsize=2)
def _digest_of_zeros(length: int) -> bytes:
    return digest(read_only_zeros(length))


@attrs.define(eq=False)
class _Lines:
    """Cuts text that arrives in pieces into lines."""

    _rest: bytes = b""

    def of(self, piece: bytes) -> Iterator[bytes]:
        """Return the lines that end in a piece; raises ValueError when one is too long."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        yield from lines
        if len(self._rest) > LONGEST_LINE:
            raise ValueError("a line is too long")


@attrs.define(eq=False, kw_only=True)
class RemoteDigests:
    """The digests of the blocks of one source, as its service sends them."""

    service: ServiceClient
    identity: str
    """The identity of the source on the service's computer."""
    size: int
    """Bytes of the image."""
    block: int
    """Bytes of a block."""
    wait: float = WAIT_SECONDS
    most: float = MOST_SECONDS
    _table: DigestTable = attrs.field(init=False)
    _zeros: list[tuple[int, int]] = attrs.field(factory=list, init=False)
    """The blocks that are zeros and not read there: the first one and their number, ascending."""
    _is_open: bool = attrs.field(default=False, init=False)
    """The first line of a stream has arrived."""
    _is_begun: bool = attrs.field(default=False, init=False)
    """The first line of this stream has arrived."""
    _news_at: float = attrs.field(default=0.0, init=False)
    """When the last digest arrived."""
    _lost: UnusableError | None = attrs.field(default=None, init=False)
    """Why there is no stream now."""
    _changed: SourceChangedError | None = attrs.field(default=None, init=False)
    _stirred: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when any of these has changed."""

    def __attrs_post_init__(self) -> None:
        blocks = -(-self.size // self.block)
        if blocks > MOST_BLOCKS:
            raise UnusableError(
                f"{self.service.address.text} has an image of too many blocks to be verified; mount it there "
                "with a larger --block"
            )
        self._table = DigestTable(blocks)

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:  # noqa: ARG002 (the remote content counts)
        """Return the digests of these blocks of the image as the remote producer read them.

        Wait for missing ones. Blocks that are zeros there are not read, and have the digest of zeros.

        A checkpoint when it has to wait. Cancelled: nothing is left. Raises UnusableError when a digest does
        not arrive, and SourceChangedError.
        """
        began = trio.current_time()
        while True:
            if self._changed is not None:
                raise self._changed
            found = [self._known(block, length) for block, length in zip(blocks, lengths, strict=True)]
            known = [one for one in found if one is not None]
            if len(known) == len(found):
                return known
            until = min(began + self.most, max(began, self._news_at) + self.wait)
            if trio.current_time() >= until:
                lacking = blocks[found.index(None)]
                waited = format_seconds(round(trio.current_time() - began))
                raise UnusableError(
                    f"{self.service.address.text} has sent no digest of block {lacking} in {waited}"
                    f"{self._why()}; copy again, or without --verify"
                )
            await self._stirring(until)

    def _known(self, block: int, length: int) -> bytes | None:
        i = bisect_right(self._zeros, block, key=itemgetter(0)) - 1
        if i >= 0 and block < sum(self._zeros[i]):
            return _digest_of_zeros(length)
        return self._table.get(block)

    async def ready(self) -> None:
        """Wait until the stream is open: whatever the remote producer reads from now on will have a digest.

        Cancelled: nothing is left. Raises UnusableError when it is not open within ``wait`` seconds, or at
        once when it never will be; SourceChangedError.
        """
        until = trio.current_time() + self.wait
        while not self._is_open:
            if self._changed is not None:
                raise self._changed
            if self._lost is not None and not isinstance(self._lost, NoAnswerError):
                raise self._lost
            if trio.current_time() >= until:
                raise self._lost or NoAnswerError(f"{self.service.address.text} does not send its digests")
            await self._stirring(until)

    async def run(self) -> None:
        """Keep the stream open until cancelled, or until the source is a different one; raises nothing.

        The waits for a digest raise what is wrong.
        """
        back_off = BackOff(FIRST_PAUSE, LONGEST_PAUSE, reset_after=SILENT_SECONDS)
        while True:
            began = trio.current_time()
            try:
                await self._follow()
            except SourceChangedError as error:
                log.error("%s", error)  # noqa: TRY400 (the traceback adds nothing)
                self._changed = error
                self._stir()
                return
            except UnusableError as error:
                self._lose(error)
            await trio.sleep(back_off.after(trio.current_time() - began))

    # One stream

    async def _follow(self) -> None:
        """Receive one stream to its end; raises UnusableError, also for the end."""
        url = self.service.address.url("digests")
        settings = {
            **self.service.settings(),
            "timeout": httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS),
        }
        try:
            async with httpx.AsyncClient(**settings) as client, client.stream("GET", url) as response:
                self.service.raise_for_status(response)
                await self._take(response.aiter_raw())
        except httpx.HTTPError as error:
            raise self.service.to_error(error) from error
        except ValueError as error:
            raise self.service.not_fanoutfs_error(f"sends invalid digests ({error})") from error
        raise NoAnswerError(f"{self.service.address.text} has closed the stream of digests")

    async def _take(self, pieces: AsyncIterator[bytes]) -> None:
        """Receive all lines of a stream; raises ValueError for invalid ones, and SourceChangedError."""
        lines, self._is_begun = _Lines(), False
        failed: ValueError | SourceChangedError | None = None
        # httpx's generators are nested, and end in order only if the innermost is cancelled.
        with trio.CancelScope() as taking:
            async for piece in pieces:
                if failed is not None:
                    continue
                try:
                    for line in lines.of(piece):
                        self._handle_line(line)
                except (ValueError, SourceChangedError) as error:
                    failed = error
                    taking.cancel()
                self._stir()
        if failed is not None:
            raise failed

    def _handle_line(self, line: bytes) -> None:
        if not self._is_begun:
            self._compare(line)
            self._is_begun = True
        elif line:
            self._enter(line)

    def _compare(self, line: bytes) -> None:
        """Compare the first line with what the source was."""
        kind, size, block, identity = line.decode("ascii").split(" ", 3)
        if kind != "image":
            raise ValueError("they do not name their image")
        if (int(size), int(block), identity) != (self.size, self.block, self.identity):
            raise SourceChangedError(
                f"{self.service.address.text} has a different source now: {identity} of {size} bytes in "
                f"blocks of {block}, not {self.identity} of {self.size} in blocks of {self.block}"
            )
        if self._lost is not None:
            log.info("the digests of %s are available again", self.service.address.text)
        self._is_open, self._lost = True, None
        self._zeros = []

    def _enter(self, line: bytes) -> None:
        if line.startswith(_ZERO):
            first, count = map(int, line.removeprefix(_ZERO).split(b" "))
            before = sum(self._zeros[-1]) if self._zeros else 0
            if not before <= first < first + count <= self._table.blocks:
                raise ValueError(f"blocks {first} to {first + count} can't be zeros")
            self._zeros.append((first, count))
            return
        block, found = parse_line(line)
        if block >= self._table.blocks:
            raise ValueError(f"there is no block {block}")
        self._table.enter(block, found)
        self._news_at = trio.current_time()

    # Waking the waits for a digest

    def _lose(self, error: UnusableError) -> None:
        """Record why there is no stream; logged once, until it is open again."""
        level = logging.WARNING if self._lost is None else logging.DEBUG
        log.log(level, "no digests at the moment, trying again: %s", error)
        self._lost = error
        self._stir()

    def _why(self) -> str:
        return "" if self._lost is None else f": {self._lost}"

    def _stir(self) -> None:
        stirred, self._stirred = self._stirred, trio.Event()
        stirred.set()

    async def _stirring(self, until: float) -> None:
        """Wait until something has changed, or until a time."""
        with trio.move_on_at(until):
            await self._stirred.wait()
