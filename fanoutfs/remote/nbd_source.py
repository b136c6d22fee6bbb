"""A source that a program serves over NBD, most often on another computer.

It is read as a file (``nbd_link.py``), with one difference: the connection may break, and come back. A read
then continues where it was, over a new connection. The time for that is bounded; after it the read fails, and
a later read tries again.

The source must be the same after that: its size, its description (a fanoutfs export has the origin of its
source there), the bytes of a page that was read, and, if the other side has a service, its identity.
Otherwise it is a different source, and stays one.

A connection without a reply for HANG_SECONDS, or ``--source-timeout`` if that is less, is regarded as dead
(the other computer may have lost its power). As it may only be slow, a long read fails with SlowError then,
and is tried again in small pieces: each that arrives shows that the connection is alive.

A server may limit the size of requests, at both ends, and answers EINVAL to others. Then the bytes are read
in smaller and smaller requests, and a page with the 64 KiB around it, which every server accepts.
"""

import errno
import itertools
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import attrs

from fanoutfs.errors import SourceChangedError, UnusableError, reason
from fanoutfs.ranges import Range
from fanoutfs.remote.address import ExportAddress, SocketAddress, is_url
from fanoutfs.remote.announcement import DESCRIBED
from fanoutfs.remote.export_map import parse_map
from fanoutfs.remote.file_address import LinkAddress
from fanoutfs.remote.link_commands import require_link_programs
from fanoutfs.remote.link_state import NEXT, LinkOutcome, LinkState
from fanoutfs.remote.nbd_link import LinkSupervisor
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.source.contract import LostError, SlowError
from fanoutfs.source.local import PositionedSource, cut
from fanoutfs.source.pieces import LEAST
from fanoutfs.system import proc
from fanoutfs.system.backoff import BackOff
from fanoutfs.system.supervisor import Supervisor
from fanoutfs.system.undo import undone_on_failure
from fanoutfs.units import MIB, PAGE, SECTOR, format_seconds

log = logging.getLogger(__name__)

LOST_SECONDS = 30.0
"""How long a read tries to connect again; ``--source-timeout``, which is longer, bounds readers' waits."""

HANG_SECONDS = 20.0

SUPERVISOR_SECONDS = 25.0
"""How long the supervisor may take to connect and to ask for the description."""

LARGEST_REQUEST = MIB
"""Bytes: the kernel reads from nbdfuse in requests of at most this size."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
"""Between two attempts, seconds; each is twice as long as the one before."""

SERVER_ERRNOS = (errno.EIO, errno.EPERM, errno.ENOMEM, errno.ENOSPC, errno.EOVERFLOW, errno.EOPNOTSUPP)
"""Errors in the replies of NBD servers. Two of the protocol's are missing, which libnbd also returns for a
broken connection: EINVAL (for requests of a wrong size) and ESHUTDOWN."""


_NUMBERS = itertools.count()
"""Of the requests to supervisors."""


@attrs.define(eq=False, kw_only=True)
class ExportedSource:
    """An NBD export."""

    path: str
    """The address that the user named."""
    identity: str
    origin: str | None
    size: int
    description: str
    """The description of the export; empty: it has none, or it was not requested."""
    ask: Callable[[], object] | None
    """Asks its service for its identity; raises SourceChangedError when that is a different source,
    UnusableError when the service does not answer. None: it has no service."""
    hang_seconds: float = HANG_SECONDS
    lost_seconds: float = LOST_SECONDS
    has_holes: bool = True
    """Whether it may have holes."""
    _supervisor: Supervisor
    _file: PositionedSource | None
    _seen: tuple[int, bytes] | None = attrs.field(default=None, init=False)
    """The offset in bytes and the content of a page that was read."""
    _most: int = attrs.field(default=LARGEST_REQUEST, init=False)
    """Bytes: the server has refused larger requests, if this is less than LARGEST_REQUEST."""
    _good: int = attrs.field(default=0, init=False)
    """An offset that could be read; the remote ring may still hold its block."""
    _reader: int | None = attrs.field(default=None, init=False)
    """The process that the supervisor knows as the one that reads."""
    _state: LinkState = attrs.field(default=LinkState.UP, init=False)
    _difference: str = attrs.field(default="", init=False)
    """In the state REPLACED: how the source differs."""
    _lost_at: float = attrs.field(default=0.0, init=False)
    """When the connection broke."""

    @classmethod
    def open(
        cls,
        address: LinkAddress,
        keys: RemoteKeys,
        *,
        path: str | None = None,
        size: int | None = None,
        origin: str | None = None,
        ask: Callable[[], object] | None = None,
        has_holes: bool = True,
    ) -> Self:
        """Connect; only from a process with one thread. Raises UnusableError, or SourceChangedError.

        ``path``: what the user named, if not this address; ``size``: the size that is required;
        ``has_holes``: whether it may have some.
        """
        require_link_programs(address)
        described = ask is None and isinstance(address, ExportAddress | SocketAddress)
        supervisor = Supervisor.fork(LinkSupervisor(address, keys.absolute(), described=described))
        # The supervisor ends when nothing holds its pipe.
        with undone_on_failure(supervisor.close):
            file, description = _connect(supervisor, path or address.text)
        if size is not None and size != file.size:
            file.close()
            supervisor.close()
            raise SourceChangedError(
                f"the export {address.text} has {file.size} bytes, its service says {size}; "
                "something else answers there"
            )
        return cls(
            path=path or address.text,
            identity=address.identity,
            origin=origin or description.removeprefix(DESCRIBED) or None,
            size=file.size,
            description=description,
            ask=ask,
            has_holes=has_holes,
            supervisor=supervisor,
            file=file,
        )

    @property
    def sector(self) -> int:
        """See ``Source.sector``: what the server allows."""
        if self._file is None:
            return PAGE
        try:
            self._part(self._file, SECTOR, SECTOR)
        except OSError as error:
            return SECTOR if error.errno in SERVER_ERRNOS else PAGE
        return SECTOR

    @property
    def overlaps(self) -> bool:
        """See ``Source.overlaps``: a read that fails opens the link again."""
        return False

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``."""
        if self._state is LinkState.REPLACED:
            raise LostError(errno.EIO, self._difference)
        if self._reader != os.getpid():
            self._reader = os.getpid()
            self._supervisor.pipe.send(reader=self._reader)
        back_off, most = BackOff(FIRST_PAUSE, LONGEST_PAUSE), self._most
        while True:
            began = time.monotonic()
            try:
                self._read(offset, length, slots, most)
            except (OSError, UnusableError) as error:
                if isinstance(error, OSError) and self._is_reply(error):
                    self._enter(LinkOutcome.ANSWERED)
                    if error.errno != errno.EINVAL or min(most, length) <= PAGE:
                        raise
                    most = smaller(min(most, length))
                    continue
                self._close_file()
                self._fail(error)
                if length > LEAST and time.monotonic() - began > self.hang_seconds:
                    raise SlowError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from error
            except SourceChangedError as error:
                self._difference = str(error)
                self._enter(LinkOutcome.DIFFERS)
                raise LostError(errno.EIO, self._difference) from error
            else:
                self._most = most
                self._remember_page(offset, length, slots[0])
                self._enter(LinkOutcome.ANSWERED)
                return
            time.sleep(back_off.after())

    def data(self) -> Sequence[Range] | None:
        """See ``Source.data``: what the server says; None also if it does not answer in time."""
        if not self.has_holes:
            return None
        number = next(_NUMBERS)
        self._supervisor.pipe.send(map=number)
        file = _answer(self._supervisor, number).get("map", "")
        if not file:
            return None
        try:
            return parse_map(Path(file).read_bytes(), self.size)
        except (OSError, ValueError) as error:
            log.info("the holes of %s are not known: %s", self.path, error)
            return None

    def _remember_page(self, offset: int, length: int, slot: memoryview) -> None:
        """Keep a page that was read, unless it is all zeros."""
        self._good = offset
        page = bytes(slot[: min(PAGE, length)])
        if any(page):
            self._seen = offset, page

    def _fail(self, error: OSError | UnusableError) -> None:
        """Record that an attempt failed; raises LostError when it was the last of this read."""
        why = reason(error) if isinstance(error, OSError) else str(error)
        self._enter(LinkOutcome.FAILED, why)
        if self._state is LinkState.LOST and time.monotonic() - self._lost_at > self.lost_seconds:
            self._enter(LinkOutcome.EXPIRED)
        if self._state is LinkState.AWAY:
            raise LostError(errno.EIO, f"the link to {self.path} is lost: {why}") from error

    def _enter(self, outcome: LinkOutcome, why: str = "") -> None:
        """Change to the next state, and log it if it differs."""
        before, self._state = self._state, NEXT[self._state, outcome]
        match before, self._state:
            case LinkState.UP, LinkState.LOST:
                self._lost_at = time.monotonic()
                log.warning("the link to %s is lost: %s; connecting again", self.path, why)
            case LinkState.LOST, LinkState.UP:
                after = format_seconds(time.monotonic() - self._lost_at)
                log.info("the link to %s is back after %s", self.path, after)
            case LinkState.AWAY, LinkState.UP:
                log.info("the link to %s is back", self.path)
            case _, LinkState.REPLACED:
                log.error("%s", self._difference)

    def _read(self, offset: int, length: int, slots: list[memoryview], most: int) -> None:
        if self._file is None:
            self._file = self._connect_again()
        # The kernel makes several requests of one read, which are under way together.
        part = length if most >= LARGEST_REQUEST else most
        for begin in range(0, length, part):
            end = min(begin + part, length)
            room = slots if part >= length else cut(slots, begin, begin + part)
            self._read_in_time(self._file, offset + begin, end - begin, room)

    def _read_in_time(
        self, file: PositionedSource, offset: int, length: int, slots: list[memoryview]
    ) -> None:
        """Read; let the supervisor cut the connection when nothing arrives."""
        # The timer needs a thread of its own: this one may hang in the read.
        hangs = threading.Timer(self.hang_seconds, self._supervisor.pipe.send, kwargs={"cut": True})
        hangs.daemon = True
        hangs.start()
        try:
            file.read_into(offset, length, slots)
        finally:
            hangs.cancel()

    def _is_reply(self, error: OSError) -> bool:
        """Return whether an error is the server's, and not that of a broken connection."""
        if self._file is None or error.errno not in (*SERVER_ERRNOS, errno.EINVAL):
            return False
        try:
            self._page(self._file, self._good)
        except OSError as second:
            return second.errno in SERVER_ERRNOS
        return True

    def _page(self, file: PositionedSource, offset: int) -> bytes:
        """Read a page; with those around it, if the server refuses so small a request."""
        try:
            return self._part(file, offset, PAGE)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        begin = offset - offset % LEAST
        return self._part(file, begin, LEAST)[offset - begin :][:PAGE]

    def _part(self, file: PositionedSource, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        room = memoryview(mmap.mmap(-1, LEAST))
        self._read_in_time(file, offset, length, [room])
        return bytes(room[:length])

    def _connect_again(self) -> PositionedSource:
        file, description = _connect(self._supervisor, self.path)
        with undone_on_failure(file.close):
            self._compare(file, description)
            if self.ask is not None:
                self.ask()
        return file

    def _compare(self, file: PositionedSource, description: str) -> None:
        """Raise SourceChangedError if the export is visibly a different source."""
        other = f"the source {self.path} has changed"
        if file.size != self.size:
            raise SourceChangedError(f"{other}: it has {file.size} bytes, not {self.size}")
        if description != self.description:
            raise SourceChangedError(f"{other}: {description!r}, not {self.description!r}")
        if self._seen is not None:
            offset, page = self._seen
            if self._page(file, offset)[: len(page)] != page:
                raise SourceChangedError(f"{other}: at byte {offset} it is not what it was")

    @property
    def shown_at(self) -> str:
        """The path of the file that the link shows at this moment."""
        assert self._file is not None
        return self._file.path

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def limit_silence(self, seconds: float) -> None:
        """See ``Source.limit_silence``."""
        self.hang_seconds = min(self.hang_seconds, seconds)

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors of the pipe to the supervisor, and of the file."""
        return (self._supervisor.fileno(), *(() if self._file is None else self._file.descriptors()))

    def close(self) -> None:
        """Close the link in this process; it ends with the last process that has it."""
        self._close_file()
        self._supervisor.close()


def smaller(size: int) -> int:
    """Return the largest power of two below ``size``, which is more than PAGE."""
    return int(1 << ((size - 1).bit_length() - 1))


def _connect(supervisor: Supervisor, path: str) -> tuple[PositionedSource, str]:
    """Connect through the supervisor; return the file and the export's description. Raises UnusableError."""
    number = next(_NUMBERS)
    supervisor.pipe.send(connect=number)
    answer = _answer(supervisor, number)
    if "path" not in answer:
        verb = "reached" if is_url(path) else "read"
        raise UnusableError(f"the source {path} can't be {verb}: {answer['error']}")
    return open_link(answer["path"], path), answer["description"]


def _answer(supervisor: Supervisor, number: int) -> dict[str, Any]:
    """Return the reply to a request. One to an earlier request, which was given up, is passed over."""
    until = time.monotonic() + SUPERVISOR_SECONDS
    while answer := supervisor.pipe.receive(max(0.0, until - time.monotonic())):
        if answer.get("request", number) == number:
            return answer
    if time.monotonic() < until:
        return {"error": "its supervisor has ended"}
    silent = f"its supervisor has not answered for {SUPERVISOR_SECONDS:g} seconds"
    return {"error": f"{silent}: {proc.why_silent(supervisor.pid)}"}


def open_link(file: str, path: str) -> PositionedSource:
    """Open the file of a link to the export ``path``; raises UnusableError."""
    if Path(file).stat().st_size == 0:
        raise UnusableError(f"the source {path} is empty; check its name, and what its server exports")
    return PositionedSource.open(file, or_buffered=False)
