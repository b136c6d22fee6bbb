"""The digests of another computer's ring, on trio's own clock: the stream is a list of what comes when."""

import logging
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from fanoutfs.errors import NoAnswerError, SourceChangedError, UnusableError
from fanoutfs.remote.address import ServiceAddress
from fanoutfs.remote.remote_digests import SILENT_SECONDS, RemoteDigests
from fanoutfs.remote.service_client import ServiceClient

BLOCKS = 10
IMAGE = b"image 9500 1000 disk-8:16\n"


def digest(block: int) -> bytes:
    return bytes([block]) * 16


def line(block: int) -> bytes:
    return b"%d %s\n" % (block, digest(block).hex().encode())


def good(*blocks: int) -> bytes:
    return b"".join(map(line, blocks))


@attrs.frozen
class Stream:
    """One answer: pieces, each so many seconds after the one before; then it ends."""

    pieces: list[tuple[float, bytes]]
    code: int = 200

    async def __call__(self) -> AsyncIterator[bytes]:
        for seconds, piece in self.pieces:
            await trio.sleep(seconds)
            yield piece


REFUSES = httpx.ConnectError("")


@attrs.define(eq=False)
class Far(httpx.AsyncBaseTransport):
    """The other computer: what it answers, one after the other; the last again and again."""

    answers: list[Stream | httpx.HTTPError]
    asked: list[float] = attrs.field(factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert "/digests" == request.url.path
        self.asked.append(trio.current_time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await trio.lowlevel.checkpoint()
        if isinstance(answer, httpx.HTTPError):
            raise answer
        return httpx.Response(answer.code, content=answer())


@attrs.define(eq=False)
class FarService(ServiceClient):
    """A service at that computer."""

    far: Far = attrs.field(kw_only=True)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "transport": self.far}


def digests_of(*answers: Stream | httpx.HTTPError) -> RemoteDigests:
    service = FarService(ServiceAddress("http", "node1", 8400), far=Far(list(answers)))
    return RemoteDigests(service=service, identity="disk-8:16", size=9500, block=1000)


async def ask(digests: RemoteDigests, *blocks: int) -> list[bytes]:
    return await digests.of(blocks, [0] * len(blocks), [1000] * len(blocks))


@pytest.fixture
async def run(nursery: trio.Nursery) -> Callable[[RemoteDigests], None]:
    """Keep the streams of digests open until the test ends."""
    return lambda digests: nursery.start_soon(digests.run)


Run = Callable[[RemoteDigests], None]


async def test_they_are_given_as_they_have_come(run: Run, autojump_clock: MockClock) -> None:
    """However the stream is cut to pieces; who asks for what has not come waits for it."""
    whole = IMAGE + good(0, 1, 2) + b"\n" + good(9, 3)
    digests = digests_of(Stream([(0.1, bytes([letter])) for letter in whole] + [(1e6, b"")]))
    run(digests)
    await digests.ready()
    opened_at = trio.current_time()

    assert [digest(1), digest(0)] == await ask(digests, 1, 0)
    assert [digest(2), digest(3), digest(9)] == await ask(digests, 2, 3, 9)
    assert 0.1 * len(IMAGE) <= opened_at < 0.1 * len(IMAGE) + 1
    assert 0.1 * len(whole) <= trio.current_time() < 0.1 * len(whole) + 1


async def test_the_last_line_of_a_block_counts(run: Run, autojump_clock: MockClock) -> None:
    """One that could not be read has a digest when it was read after all."""
    digests = digests_of(
        Stream([(1, IMAGE + b"4 -\n"), (10, good(4)), (10, line(5).replace(b"5 ", b"4 ", 1)), (1e6, b"")])
    )
    run(digests)

    assert [digest(4)] == await ask(digests, 4)
    assert 11 == trio.current_time()
    await trio.sleep(20)
    assert [digest(5)] == await ask(digests, 4)


async def test_who_waits_is_told_when_nothing_comes(run: Run, autojump_clock: MockClock) -> None:
    """A minute after the last digest, though the connection is alive."""
    pieces = [(1.0, IMAGE), (20.0 - 12 * 1.5, b"\n"), (10.0, good(1)), *[(3.0, b"\n")] * 1000]
    digests = digests_of(Stream(pieces))
    run(digests)

    with pytest.raises(
        UnusableError, match="http://node1:8400 gives no digest of block 7, after 1 min 13 s;"
    ):
        await ask(digests, 1, 7)
    assert [digest(1)] == await ask(digests, 1)


async def test_who_waits_waits_as_long_as_others_come(run: Run, autojump_clock: MockClock) -> None:
    """But not for ever."""
    digests = digests_of(Stream([(1.0, IMAGE), *[(10.0, good(number % 7)) for number in range(1000)]]))
    run(digests)

    with pytest.raises(UnusableError, match="after 10 min"):
        await ask(digests, 7)


async def test_a_broken_stream_is_opened_again(
    run: Run, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What has come stays, what comes is taken; a line in the log says what is wrong, once."""
    caplog.set_level(logging.INFO, "fanoutfs")
    digests = digests_of(
        Stream([(1.0, IMAGE + good(0) + line(1)[:9])]),
        REFUSES,
        REFUSES,
        Stream([(1.0, IMAGE + good(1)), (1e6, b"")]),
    )
    run(digests)

    assert [digest(0), digest(1)] == await ask(digests, 0, 1)
    assert trio.current_time() < 5
    assert ["WARNING", "INFO"] == [
        record.levelname for record in caplog.records if record.name.startswith("fanoutfs")
    ]


async def test_attempts_come_at_ever_longer_intervals(run: Run, autojump_clock: MockClock) -> None:
    """Until one has lasted."""
    digests = digests_of(REFUSES)
    run(digests)
    await trio.sleep(100)
    asked = digests.service.far.asked  # type: ignore[attr-defined]
    between = [later - before for before, later in pairwise(asked)]

    assert [0.25, 0.5, 1, 2, 4, 5, 5] == between[:7]
    assert {5} == set(between[6:])


async def test_a_stream_without_a_word_is_opened_again(run: Run, autojump_clock: MockClock) -> None:
    """Its other end may be gone without having said so: what httpx does about that is told to it."""
    seconds = digests_of(REFUSES).service.settings()["timeout"]
    digests = digests_of(httpx.ReadTimeout(""), Stream([(0.0, IMAGE + good(3)), (1e6, b"")]))
    run(digests)

    assert [digest(3)] == await ask(digests, 3)
    assert seconds.read < SILENT_SECONDS


@pytest.mark.parametrize(
    "image",
    [b"image 9500 1000 disk-8:17\n", b"image 9501 1000 disk-8:16\n", b"image 9500 500 disk-8:16\n"],
)
async def test_another_source_is_the_end(
    image: bytes, run: Run, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is given a digest of it, or one from before; nobody asks again."""
    digests = digests_of(Stream([(1.0, IMAGE + good(0))]), Stream([(1.0, image + good(1))]))
    run(digests)
    with pytest.raises(SourceChangedError, match="another source than before"):
        await ask(digests, 1)
    with pytest.raises(SourceChangedError):
        await ask(digests, 0)
    await trio.sleep(1000)

    assert 2 == len(digests.service.far.asked)  # type: ignore[attr-defined]
    assert ["WARNING", "ERROR"] == [
        record.levelname for record in caplog.records if record.levelno > logging.DEBUG
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"<html>\n",
        b"image 9500 1000\n",
        b"picture 9500 1000 disk-8:16\n",
        b"image x 1000 disk-8:16\n",
        b"\xff\n",
        b"x" * 5000,
        IMAGE + b"10 -\n",
        IMAGE + b"1 zz\n",
        IMAGE + b"1" * 5000,
    ],
)
async def test_nonsense_is_no_digest(text: bytes, run: Run, autojump_clock: MockClock) -> None:
    """Whoever waits is told that there is no fanoutfs."""
    digests = digests_of(Stream([(0.0, text)]))
    run(digests)

    with pytest.raises(UnusableError, match="sends digests that are none"):
        await ask(digests, 1)


async def test_a_wrong_token_is_said_at_once(run: Run, autojump_clock: MockClock) -> None:
    """To who waits for the stream; it will never come."""
    digests = digests_of(Stream([], code=401))
    run(digests)

    with pytest.raises(UnusableError, match="--token-file"):
        await digests.ready()
    assert trio.current_time() < 1


async def test_a_service_that_is_away_is_waited_for(run: Run, autojump_clock: MockClock) -> None:
    """For the stream, too, and for so long."""
    digests = digests_of(REFUSES)
    run(digests)
    with pytest.raises(NoAnswerError, match="http://node1:8400"):
        await digests.ready()
    assert 60 == trio.current_time()

    back = digests_of(REFUSES, REFUSES, Stream([(1.0, IMAGE), (1e6, b"")]))
    run(back)
    await back.ready()


def test_an_image_of_too_many_blocks_is_refused() -> None:
    """Before anything is asked."""
    service = ServiceClient(ServiceAddress("http", "node1", 8400))
    with pytest.raises(UnusableError, match="--block"):
        RemoteDigests(service=service, identity="disk-8:16", size=1 << 50, block=4096)
