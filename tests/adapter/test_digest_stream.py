"""The digests as they are sent to other computers, on the loopback."""

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.digests.digest import digest
from fanoutfs.digests.digest_table import DigestTable, parse_line
from fanoutfs.units import PAGE
from fanoutfs.web import digest_stream
from fanoutfs.web.digest_stream import MOST_FOLLOWERS
from tests.adapter.service import at_once, receive_until, serving, until
from tests.tasks.rig import Rig, make_rig, read, read_all

GET = b"%s /digests HTTP/1.1\r\nHost: localhost\r\n\r\n"
SIZE = 9 * PAGE + 100


def expected(rig: Rig, *blocks: int) -> dict[int, bytes]:
    """Return the digests of these blocks."""
    view = memoryview(rig.content)
    return {block: digest(view[block * PAGE : (block + 1) * PAGE]) for block in blocks}


def dechunked(answer: bytes) -> list[bytes]:
    """Return the lines of a chunked answer, without its head and its chunks' lengths."""
    lines = answer.partition(b"\r\n\r\n")[2].split(b"\r\n")
    return b"".join(lines[1::2]).splitlines()


async def follow(stream: trio.abc.Stream, end: bytes) -> list[bytes]:
    """Ask for the digests; return the lines up to one that contains ``end``."""
    await stream.send_all(GET % b"GET")
    return dechunked(await receive_until(stream, end + b"\n\r\n"))


async def test_holes_are_named_before_the_digests() -> None:
    """No line comes for a block that is not read; the numbers are those of the image's blocks."""
    rig = make_rig(SIZE, 4, seconds=0.0, data=[range(2), range(5, 6), range(9, 10)])
    async with serving(rig=rig) as served, trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        reader = rig.open()
        await read_all(reader, PAGE)
        stream = await served.connect()
        lines = await follow(stream, expected(rig, 9)[9].hex().encode())
        await stream.aclose()
        nursery.cancel_scope.cancel()

    assert [b"zero 2 3", b"zero 6 3"] == lines[1:3]
    assert expected(rig, 0, 1, 5, 9) == dict(map(parse_line, filter(None, lines[3:])))


async def test_first_comes_what_is_there_and_then_what_comes() -> None:
    """Behind a line that says what it is of; a line for each block."""
    rig = make_rig(SIZE, 4, seconds=0.0)
    last = expected(rig, 9)[9].hex().encode()
    async with serving(rig=rig) as served, trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        reader = rig.open()
        await read(reader, 0, PAGE)
        stream = await served.connect()
        async with trio.open_nursery() as following:
            lines: list[bytes] = []

            async def listen() -> None:
                lines.extend(await follow(stream, last))

            following.start_soon(listen)
            await until(lambda: served.service.digests.recorder.followers == 1)
            await read_all(reader, PAGE)
        await stream.aclose()
        await until(lambda: served.service.digests.recorder.followers == 0)
        nursery.cancel_scope.cancel()

    assert b"image %d %d disk-8:16" % (SIZE, PAGE) == lines[0]
    assert expected(rig, *range(10)) == dict(map(parse_line, filter(None, lines[1:])))


async def test_who_comes_later_gets_all_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though none of it may be in the ring any more; in pieces of bounded size."""
    monkeypatch.setattr(digest_stream, "MOST_LINES", 3)
    rig = make_rig(SIZE, 2, seconds=0.0)
    last = expected(rig, 9)[9].hex().encode()
    async with serving(rig=rig) as served, trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        with served.service.digests.recorder.follow():
            await read_all(rig.open(), PAGE)
        both = [await follow(await served.connect(), last) for _ in range(2)]
        nursery.cancel_scope.cancel()

    assert [expected(rig, *range(10))] * 2 == [dict(map(parse_line, lines[1:])) for lines in both]


async def test_while_nothing_comes_the_connection_is_kept_alive(autojump_clock: MockClock) -> None:
    """By an empty line every few seconds."""
    async with serving() as served:
        stream = await served.connect()
        began = trio.current_time()
        await stream.send_all(GET % b"GET")
        answer = await receive_until(stream, b"1\r\n\n\r\n1\r\n\n\r\n")
        took = trio.current_time() - began
        await stream.aclose()

    assert [b"", b""] == dechunked(answer)[1:]
    assert 2 * digest_stream.ALIVE_SECONDS <= took < 3 * digest_stream.ALIVE_SECONDS


async def test_the_head_of_the_digests_follows_nobody() -> None:
    """HEAD is answered, and nothing is hashed for it."""
    async with serving() as served:
        stream = await served.connect(GET % b"HEAD")
        assert b"HTTP/1.1 200" in await receive_until(stream, b"\r\n\r\n")
        assert served.service.digests.recorder.table is None
        await stream.aclose()


async def test_followers_are_bounded() -> None:
    """A further follower is told to try again later; the rest of the service still answers."""
    async with serving() as served:
        streams = [await served.connect() for _ in range(MOST_FOLLOWERS + 2)]
        for stream in streams:
            await stream.send_all(GET % b"GET")
        answers = [await receive_until(stream, b"\r\n\r\n") for stream in streams]
        assert served.service.digests.recorder.followers == MOST_FOLLOWERS

    assert [b"200"] * MOST_FOLLOWERS + [b"503"] * 2 == [answer[9:12] for answer in answers]


async def test_a_follower_that_takes_nothing_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """What it would have got is kept for nobody."""
    monkeypatch.setattr(digest_stream, "MOST_LINES", 100_000)
    async with serving() as served:
        stream = await served.connect()
        recorder = served.service.digests.recorder
        recorder.table = DigestTable(60_000)
        with recorder.follow() as table:
            for block in range(60_000):
                table.enter(block, bytes(16))
            await stream.send_all(GET % b"GET")
            await at_once(lambda: recorder.followers == 2)
            await until(lambda: recorder.followers == 1)
        await stream.aclose()


async def test_an_image_of_too_many_blocks_has_no_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says what to do; no table is made."""
    monkeypatch.setattr(digest_stream, "MOST_BLOCKS", 5)
    async with serving() as served:
        stream = await served.connect(GET % b"GET")
        answer = await receive_until(stream, b"--block\n")
        assert served.service.digests.recorder.table is None

    assert answer.startswith(b"HTTP/1.1 501")
