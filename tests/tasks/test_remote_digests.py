"""The digests of another computer's ring, on trio's own clock: a stream is a list of delays and bytes."""

import logging
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

from fanoutfs.digests.digest import digest as real_digest
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
    """One answer: pieces, each some seconds after the one before; then it ends."""

    pieces: list[tuple[float, bytes]]
    code: int = 200

    async def __call__(self) -> AsyncIterator[bytes]:
        for seconds, piece in self.pieces:
            await trio.sleep(seconds)
            yield piece


REFUSES = httpx.ConnectError("")


@attrs.define(eq=False)
class Far(httpx.AsyncBaseTransport):
    """The other computer: it gives one answer after the other, the last one again and again."""

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
    """The client of the service on that computer."""

    far: Far = attrs.field(kw_only=True)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "transport": self.far}


def digests_of(*answers: Stream | httpx.HTTPError) -> RemoteDigests:
    service = FarService(ServiceAddress("http", "node1", 8400), far=Far(list(answers)))
    return RemoteDigests(service=service, identity="disk-8:16", size=9500, block=1000)


async def ask(digests: RemoteDigests, *blocks: int) -> list[bytes]:
    return await digests.of(blocks, [0] * len(blocks), [1000] * len(blocks))


Run = Callable[..., RemoteDigests]


@pytest.fixture
async def run(nursery: trio.Nursery) -> Run:
    """Return a function that follows the digests in some answers until the test ends."""

    def follow(*answers: Stream | httpx.HTTPError) -> RemoteDigests:
        digests = digests_of(*answers)
        nursery.start_soon(digests.run)
        return digests

    return follow


async def test_digests_are_returned_as_they_arrive(run: Run, autojump_clock: MockClock) -> None:
    """However the stream is split; a request for a digest that has not arrived waits for it."""
    whole = IMAGE + good(0, 1, 2) + b"\n" + good(9, 3)
    digests = run(Stream([(0.1, bytes([letter])) for letter in whole] + [(1e6, b"")]))
    await digests.ready()
    opened_at = trio.current_time()

    assert [digest(1), digest(0)] == await ask(digests, 1, 0)
    assert [digest(2), digest(3), digest(9)] == await ask(digests, 2, 3, 9)
    assert 0.1 * len(IMAGE) <= opened_at < 0.1 * len(IMAGE) + 1
    assert 0.1 * len(whole) <= trio.current_time() < 0.1 * len(whole) + 1


async def test_the_last_line_of_a_block_counts(run: Run, autojump_clock: MockClock) -> None:
    """A block that could not be read has a digest once it could be read after all."""
    digests = run(
        Stream([(1, IMAGE + b"4 -\n"), (10, good(4)), (10, line(5).replace(b"5 ", b"4 ", 1)), (1e6, b"")])
    )

    assert [digest(4)] == await ask(digests, 4)
    assert 11 == trio.current_time()
    await trio.sleep(20)
    assert [digest(5)] == await ask(digests, 4)


async def test_a_request_fails_when_no_digest_comes(run: Run, autojump_clock: MockClock) -> None:
    """It fails a minute after the last digest, though the connection is alive."""
    pieces = [(1.0, IMAGE), (20.0 - 12 * 1.5, b"\n"), (10.0, good(1)), *[(3.0, b"\n")] * 1000]
    digests = run(Stream(pieces))

    with pytest.raises(UnusableError, match="http://node1:8400 has sent no digest of block 7 in 1 min 13 s"):
        await ask(digests, 1, 7)
    assert [digest(1)] == await ask(digests, 1)


async def test_a_request_waits_longer_while_other_digests_come(run: Run, autojump_clock: MockClock) -> None:
    """But not for ever."""
    digests = run(Stream([(1.0, IMAGE), *[(10.0, good(number % 7)) for number in range(1000)]]))

    with pytest.raises(UnusableError, match="in 10 min"):
        await ask(digests, 7)


async def test_a_broken_stream_is_opened_again(
    run: Run, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Digests that have arrived stay, new ones are added; the log has the failure once."""
    caplog.set_level(logging.INFO, "fanoutfs")
    digests = run(
        Stream([(1.0, IMAGE + good(0) + line(1)[:9])]),
        REFUSES,
        REFUSES,
        Stream([(1.0, IMAGE + good(1)), (1e6, b"")]),
    )

    assert [digest(0), digest(1)] == await ask(digests, 0, 1)
    assert trio.current_time() < 5
    assert ["WARNING", "INFO"] == [
        record.levelname for record in caplog.records if record.name.startswith("fanoutfs")
    ]


async def test_attempts_come_at_ever_longer_intervals(run: Run, autojump_clock: MockClock) -> None:
    """Until an attempt succeeds."""
    digests = run(REFUSES)
    await trio.sleep(100)
    asked = digests.service.far.asked  # type: ignore[attr-defined]
    between = [later - before for before, later in pairwise(asked)]

    assert [0.25, 0.5, 1, 2, 4, 5, 5] == between[:7]
    assert {5} == set(between[6:])


async def test_a_silent_stream_is_opened_again(run: Run, autojump_clock: MockClock) -> None:
    """Its other end may have vanished without closing it: httpx has a read timeout."""
    seconds = digests_of(REFUSES).service.settings()["timeout"]
    digests = run(httpx.ReadTimeout(""), Stream([(0.0, IMAGE + good(3)), (1e6, b"")]))

    assert [digest(3)] == await ask(digests, 3)
    assert seconds.read < SILENT_SECONDS


@pytest.mark.parametrize(
    "image",
    [b"image 9500 1000 disk-8:17\n", b"image 9501 1000 disk-8:16\n", b"image 9500 500 disk-8:16\n"],
)
async def test_a_changed_source_ends_the_stream(
    image: bytes, run: Run, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """No digest of it is returned, nor one from before; the stream is not opened again."""
    digests = run(Stream([(1.0, IMAGE + good(0))]), Stream([(1.0, image + good(1))]))
    with pytest.raises(SourceChangedError, match="a different source now"):
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
async def test_an_invalid_stream_is_refused(text: bytes, run: Run, autojump_clock: MockClock) -> None:
    """A request that waits fails."""
    digests = run(Stream([(0.0, text)]))

    with pytest.raises(UnusableError, match="sends invalid digests"):
        await ask(digests, 1)


async def test_a_wrong_token_fails_at_once(run: Run, autojump_clock: MockClock) -> None:
    """The stream will never be ready."""
    digests = run(Stream([], code=401))

    with pytest.raises(UnusableError, match="--token-file"):
        await digests.ready()
    assert trio.current_time() < 1


async def test_a_service_that_does_not_answer_is_waited_for(run: Run, autojump_clock: MockClock) -> None:
    """For a minute; if it answers within that time, the stream is ready."""
    digests = run(REFUSES)
    with pytest.raises(NoAnswerError, match="http://node1:8400"):
        await digests.ready()
    assert 60 == trio.current_time()

    back = run(REFUSES, REFUSES, Stream([(1.0, IMAGE), (1e6, b"")]))
    await back.ready()


def test_an_image_of_too_many_blocks_is_refused() -> None:
    """Before any request is sent."""
    service = ServiceClient(ServiceAddress("http", "node1", 8400))
    with pytest.raises(UnusableError, match="--block"):
        RemoteDigests(service=service, identity="disk-8:16", size=1 << 50, block=4096)


async def test_blocks_that_are_zeros_there_have_the_digest_of_zeros(
    run: Run, autojump_clock: MockClock
) -> None:
    """They are not read there, and no digest comes; the last block of the image is short."""
    digests = run(Stream([(0.0, IMAGE + b"zero 2 3\nzero 9 1\n" + good(0, 1)), (1000.0, b"")]))

    found = await digests.of([1, 2, 4, 9], [0] * 4, [1000, 1000, 1000, 500])

    assert found == [digest(1), *(real_digest(memoryview(bytes(length))) for length in (1000, 1000, 500))]


@pytest.mark.parametrize("lines", [b"zero 3 8\n", b"zero 3 0\n", b"zero 3 2\nzero 4 1\n", b"zero a 1\n"])
async def test_zeros_that_the_image_cant_have_end_the_stream(
    lines: bytes, run: Run, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """As any other invalid line does."""
    digests = run(Stream([(0.0, IMAGE + lines), (1000.0, b"")]))

    with pytest.raises(UnusableError, match="no digest of block 0"):
        await ask(digests, 0)
    assert "invalid digests" in caplog.text
