"""A source on another computer, with a scripted connection in place of nbdfuse."""

import errno
import itertools
import logging
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from fanoutfs.engine.engine import Engine
from fanoutfs.errors import SourceChangedError, UnusableError
from fanoutfs.remote import nbd_source
from fanoutfs.remote.nbd_source import LARGEST_REQUEST, ExportedSource
from fanoutfs.settings import Settings
from fanoutfs.source.contract import LostError, SlowError
from fanoutfs.source.local import PositionedSource
from fanoutfs.source.pieces import LEAST
from fanoutfs.system.pipe import MessagePipe, message_pipes
from fanoutfs.system.supervisor import Supervisor
from fanoutfs.units import KIB, PAGE
from tests.limits import HANG_SECONDS
from tests.noise import noise

PIECE = 256 * KIB

SIZE = 4 * PIECE + 1234


@attrs.define(eq=False)
class Connection:
    """A file that fails as told: each error once, in turn."""

    file: PositionedSource
    errors: list[int]
    reads: list[tuple[int, int]]
    hangs: Callable[[], None] = lambda: None
    refuses: Callable[[int, int], bool] = lambda _offset, _length: False

    @property
    def size(self) -> int:
        return self.file.size

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        self.reads.append((offset, length))
        self.hangs()
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        if self.refuses(offset, length):
            raise OSError(errno.EINVAL, "refused")
        self.file.read_into(offset, length, slots)

    def descriptors(self) -> tuple[int, ...]:
        return self.file.descriptors()

    def close(self) -> None:
        self.file.close()


@attrs.define(eq=False)
class Far:
    """The other side: what each new connection is like."""

    path: Path
    errors: list[int] = attrs.field(factory=list)
    """Of the connection that there is."""
    refusals: list[str] = attrs.field(factory=list)
    """What connecting fails with, in turn; then it succeeds."""
    reads: list[tuple[int, int]] = attrs.field(factory=list)
    description: str = "fanoutfs disk-8:16"
    connected: int = 0
    hangs: Callable[[], None] = lambda: None

    def connect(self, _supervisor: Supervisor, path: str) -> tuple[Connection, str]:
        if self.refusals:
            raise UnusableError(f"the source {path} can't be reached: {self.refusals.pop(0)}")
        self.connected += 1
        file = PositionedSource.open(str(self.path))
        return Connection(file, self.errors, self.reads, self.hangs), self.description


@pytest.fixture
def supervisor_pipes() -> Iterator[tuple[MessagePipe, MessagePipe]]:
    ours, supervisors = message_pipes()
    yield ours, supervisors
    ours.close()
    supervisors.close()


Opener = Callable[..., tuple[ExportedSource, Far]]


@pytest.fixture
def open_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supervisor_pipes: tuple[MessagePipe, MessagePipe]
) -> Iterator[Opener]:
    """Make sources whose first connection fails with these errors in turn."""
    opened: list[ExportedSource] = []
    monkeypatch.setattr(nbd_source, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(nbd_source, "LONGEST_PAUSE", 0.002)

    def make(*errors: int, **attributes: Any) -> tuple[ExportedSource, Far]:
        path = tmp_path / "image"
        path.write_bytes(noise(SIZE))
        far = Far(path, list(errors))
        monkeypatch.setattr(nbd_source, "_connect", far.connect)
        supervisor = Supervisor(supervisor_pipes[0], 0)
        source = ExportedSource(
            path="nbd://far/image",
            identity="nbd-far",
            origin=None,
            size=SIZE,
            supervisor=supervisor,
            description=far.description,
            file=cast("PositionedSource", far.connect(supervisor, "nbd://far/image")[0]),
            **{"ask": None, **attributes},
        )
        opened.append(source)
        return source, far

    yield make
    for source in opened:
        source.close()


def slots(count: int) -> list[memoryview]:
    memory = memoryview(mmap.mmap(-1, count * PIECE))
    return [memory[i * PIECE : (i + 1) * PIECE] for i in range(count)]


def read(source: ExportedSource, offset: int = 0, length: int = SIZE) -> bytes:
    room = slots(5)
    source.read_into(offset, length, room)
    return b"".join(room)[:length]


@pytest.mark.parametrize(
    "broken",
    [[errno.ESHUTDOWN], [errno.ENOTCONN], [errno.ECONNABORTED], [errno.EINVAL, errno.EINVAL, errno.ENOTCONN]],
)
def test_a_broken_connection_is_taken_up_again(
    open_source: Opener, broken: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """A read goes on over a new connection, however many attempts that takes, and gives the right bytes."""
    caplog.set_level(logging.INFO)
    source, far = open_source(*broken)
    far.refusals += ["connection refused"] * 3
    assert read(source) == far.path.read_bytes()
    assert far.connected == 2
    lost, back = [record.message for record in caplog.records]
    assert lost.startswith("the link to nbd://far/image is lost: ")
    assert back.startswith("the link to nbd://far/image is back after ")


def test_an_error_of_the_other_side_is_the_sources(open_source: Opener) -> None:
    """A bad place over there is one here; the connection stays."""
    source, far = open_source(errno.EIO)
    with pytest.raises(OSError, match="Input/output error") as failure:
        read(source)
    assert failure.value.errno == errno.EIO
    assert not isinstance(failure.value, LostError)
    assert far.connected == 1
    assert read(source) == far.path.read_bytes()


def test_an_error_is_the_connections_when_nothing_else_comes(
    open_source: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """The same error from a connection that is dead: what was fine a moment ago fails, too."""
    source, far = open_source(errno.EIO, errno.ESHUTDOWN)
    assert read(source) == far.path.read_bytes()
    assert far.connected == 2
    assert "is lost: input/output error" in caplog.text


def test_a_link_that_stays_away_is_given_up(open_source: Opener, caplog: pytest.LogCaptureFixture) -> None:
    """A waiting reader gets an error with its cause; each later read tries once, until one succeeds."""
    caplog.set_level(logging.INFO)
    source, far = open_source(errno.ESHUTDOWN, lost_seconds=0.01)
    far.refusals += ["no route to host"] * 100
    with pytest.raises(LostError, match=r"the link to nbd://far/image is lost: .*no route to host"):
        read(source)
    left = len(far.refusals)
    with pytest.raises(LostError):
        read(source)
    assert len(far.refusals) == left - 1
    far.refusals.clear()
    assert read(source) == far.path.read_bytes()
    assert caplog.messages[-1] == "the link to nbd://far/image is back"
    assert len(caplog.messages) == 2


def test_a_link_that_was_given_up_in_a_read_connects_again(open_source: Opener) -> None:
    """A read that gives up leaves no broken connection behind for the next read."""
    source, far = open_source(errno.ESHUTDOWN, lost_seconds=0)
    with pytest.raises(LostError, match="is lost"):
        read(source)
    assert source._file is None
    assert read(source) == far.path.read_bytes()


def test_another_size_is_another_source(open_source: Opener) -> None:
    """What comes back with another size is not read any more, also when it gets the old size again."""
    source, far = open_source(errno.ESHUTDOWN)
    far.path.write_bytes(bytes(SIZE + 1))
    with pytest.raises(LostError, match=f"has changed: it has {SIZE + 1} bytes, not {SIZE}"):
        read(source)
    far.path.write_bytes(bytes(SIZE))
    with pytest.raises(LostError, match="has changed"):
        read(source)


def test_another_description_is_another_source(open_source: Opener) -> None:
    """A fanoutfs export names its source: a different disk of the same size is not the copy's source."""
    source, far = open_source(errno.ESHUTDOWN)
    far.description = "fanoutfs disk-8:32"
    with pytest.raises(LostError, match=r"has changed: 'fanoutfs disk-8:32', not .*8:16"):
        read(source)
    assert far.reads == [(0, SIZE)]


def test_other_bytes_are_another_source(open_source: Opener) -> None:
    """Of a server that says nothing of its export a page that was read must be what it was."""
    source, far = open_source()
    read(source)
    far.errors.append(errno.ESHUTDOWN)
    content = bytearray(far.path.read_bytes())
    content[17] ^= 1
    far.path.write_bytes(content)
    with pytest.raises(LostError, match="has changed: at byte 0 it is not what it was"):
        read(source)


def test_another_identity_is_another_source(open_source: Opener) -> None:
    """Its service is asked whether it is the same before a byte is taken from a new connection."""

    def changed() -> None:
        raise SourceChangedError("it has changed")

    source, far = open_source(errno.ESHUTDOWN, ask=changed)
    with pytest.raises(LostError, match="it has changed"):
        read(source)
    assert far.reads == [(0, SIZE)]


def test_a_service_that_is_not_up_yet_is_asked_again(open_source: Opener) -> None:
    """The export may be back before the service is."""
    answers = [UnusableError("nobody listens"), UnusableError("nobody listens")]

    def ask() -> None:
        if answers:
            raise answers.pop()

    source, far = open_source(errno.ESHUTDOWN, ask=ask)
    assert read(source) == far.path.read_bytes()


def test_a_connection_that_is_dead_without_a_word_is_cut(
    open_source: Opener, supervisor_pipes: tuple[MessagePipe, MessagePipe]
) -> None:
    """The supervisor is told to end it; a long read is to be tried in smaller pieces, a short one goes on."""
    source, far = open_source(errno.ENOTCONN, errno.ENOTCONN, hang_seconds=0.02)

    def hang() -> None:
        if far.errors:
            while "cut" not in supervisor_pipes[1].receive(HANG_SECONDS):
                pass

    far.hangs = cast("Connection", source._file).hangs = hang
    with pytest.raises(SlowError):
        read(source)
    assert read(source, 0, LEAST) == far.path.read_bytes()[:LEAST]
    assert far.reads == [(0, SIZE), (0, LEAST), (0, LEAST)]


@pytest.mark.parametrize(("least", "most"), [(1, 64 * KIB), (64 * KIB, 64 * KIB), (PAGE, 512 * KIB)])
def test_a_server_that_limits_requests(open_source: Opener, least: int, most: int) -> None:
    """Its limit is found by halving, once, over the connection that there is."""

    def refuses(offset: int, length: int) -> bool:
        # The kernel cuts long reads.
        request = min(length, LARGEST_REQUEST)
        return request > most or bool(offset % least or (length % least and offset + length < SIZE))

    source, far = open_source()
    cast("Connection", source._file).refuses = refuses
    assert read(source) == far.path.read_bytes()
    assert read(source) == far.path.read_bytes()
    assert far.connected == 1
    whole = [(begin, min(most, SIZE - begin)) for begin in range(0, SIZE, most)]
    assert far.reads[-2 * len(whole) :] == whole * 2


def test_a_place_that_a_server_refuses_is_bad(open_source: Opener) -> None:
    """The end of an export that is no multiple of its smallest request: not an error of the link."""
    source, far = open_source()
    cast("Connection", source._file).refuses = lambda _, length: length % PAGE > 0
    with pytest.raises(OSError, match="refused") as failure:
        read(source, 4 * PIECE, 1234)
    assert not isinstance(failure.value, LostError)
    assert far.connected == 1


def test_a_late_reply_is_of_no_other_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supervisor_pipes: tuple[MessagePipe, MessagePipe]
) -> None:
    """A supervisor that was stopped answers the request that was given up, then this one."""
    (tmp_path / "image").write_bytes(bytes(PAGE))
    monkeypatch.setattr(nbd_source, "_NUMBERS", itertools.count(7))
    for number, path in (5, tmp_path / "cut"), (7, tmp_path / "image"):
        supervisor_pipes[1].send(request=number, path=str(path), description=f"request {number}")
    file, description = nbd_source._connect(Supervisor(supervisor_pipes[0], 0), "nbd://far/image")
    file.close()
    assert description == "request 7"


@pytest.mark.parametrize(("timeout", "limit"), [(3.0, 3.0), (60.0, nbd_source.HANG_SECONDS)])
def test_a_short_limit_of_the_user_is_that_of_the_link(
    open_source: Opener, timeout: float, limit: float
) -> None:
    """So that a dead connection is not kept when readers have got their error."""
    source, _ = open_source()
    engine = Engine(Settings(source_timeout=timeout), source)
    engine.ring.memory.close()
    assert source.hang_seconds == limit


def test_an_empty_export_is_named_by_its_address(tmp_path: Path) -> None:
    """Not by the file that nbdfuse shows it as."""
    (tmp_path / "image").touch()
    with pytest.raises(UnusableError, match=r"the source nbd://far/image is empty; check its name"):
        nbd_source.open_link(str(tmp_path / "image"), "nbd://far/image")
