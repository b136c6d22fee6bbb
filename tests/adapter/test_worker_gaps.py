"""One target's worker, with a producer of an image with holes: what it writes there, and what it leaves."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from fanoutfs.copying.worker import Worker
from fanoutfs.layout import Layout, Only
from fanoutfs.shm.borrower import Image
from fanoutfs.targets.target import Target
from fanoutfs.units import PAGE
from tests.adapter.copies import open_target
from tests.adapter.producers import BLOCKS, CONTENT, SIZE, in_thread, producer

LAYOUTS = {
    "holes": [range(3), range(9, 10), range(20, BLOCKS)],
    "holes at both ends": [range(2, 5), range(6, 30)],
    "the last block": [range(BLOCKS - 1, BLOCKS)],
    "no data": [],
}
OLD = b"x" * SIZE


def in_bytes(blocks: Sequence[range]) -> list[tuple[int, int]]:
    return [(part.start * PAGE, len(part) * PAGE) for part in blocks]


@attrs.define
class Copied:
    """A target after a copy, and the reports of its worker."""

    content: bytes
    target: Target
    sha256: str | None
    said: list[dict[str, Any]]


async def copied(
    path: Path,
    layout: Layout,
    *,
    start: int = 0,
    old: bytes = b"",
    only: Only | None = None,
    sparse: bool = False,
    resume: bool = False,
) -> Copied:
    """Copy CONTENT with this layout over a file's old content, and verify it."""
    await in_thread(path.write_bytes, old)
    data = [(first * PAGE, count * PAGE) for first, count in layout.runs]
    async with producer(filled=data, only=only) as served:
        assert served.engine.ring.layout == layout
        served.engine.ring.rules.begin_at(start % layout.blocks)
        made = open_target(path, SIZE, block=PAGE, sparse=sparse)
        made = attrs.evolve(made, has_first=layout.has_first)
        said: list[dict[str, Any]] = []
        worker = Worker(
            target=made,
            image=Image(SIZE, PAGE, "scratched", None, layout),
            connect=served.connect,
            send=lambda **message: said.append(message),
            wait_for_others=lambda: None,
            preferred_start=start % layout.blocks,
            resume=resume,
            verify=True,
        )
        sha256 = await in_thread(worker.run)
    assert served.engine.statistics.bytes_read == layout.read_size
    return Copied(await in_thread(path.read_bytes), made, sha256, said)


def image(layout: Layout) -> bytes:
    """Return what the source holds: CONTENT, with zeros where the layout has none of it."""
    content = bytearray(CONTENT)
    for offset, length in layout.zeros():
        content[offset : offset + length] = bytes(length)
    return bytes(content)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("old", [b"", OLD, OLD[: 7 * PAGE]])
@pytest.mark.parametrize("start", [0, 3, 1000])
@pytest.mark.parametrize("name", LAYOUTS)
async def test_holes_are_zeros_on_the_target(
    name: str, start: int, old: bytes, *, sparse: bool, tmp_path: Path
) -> None:
    """Whatever it held; only the data is read, and the whole target is verified."""
    layout = Layout.of(SIZE, PAGE, in_bytes(LAYOUTS[name]))
    done = await copied(tmp_path / "target", layout, start=start, old=old, sparse=sparse)

    assert done.content == image(layout)
    assert done.sha256 == hashlib.sha256(done.content).hexdigest()
    phases = list(dict.fromkeys(message["phase"] for message in done.said if "phase" in message))
    assert phases == ["joining", "copying", "zeroing", "flushing", "verifying"]


@pytest.mark.parametrize("differs", [[], [0], [1], [4], [12], [BLOCKS - 1], [2, 5, 6, 33]])
@pytest.mark.parametrize("name", LAYOUTS)
async def test_going_on_clears_what_is_not_zero_in_a_hole(
    name: str, differs: list[int], tmp_path: Path
) -> None:
    """And nothing else; where all is right nothing is written."""
    layout = Layout.of(SIZE, PAGE, in_bytes(LAYOUTS[name]))
    there = bytearray(image(layout))
    for block in differs:
        there[block * PAGE + 5] ^= 1
    done = await copied(tmp_path / "target", layout, old=bytes(there), resume=True)

    assert done.content == image(layout)
    assert (done.target.written == 0) == (not differs)


@pytest.mark.parametrize("zero_rest", [False, True])
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["holes", "holes at both ends", "the last block"])
async def test_what_is_not_to_be_copied_stays(
    name: str, *, zero_rest: bool, resume: bool, tmp_path: Path
) -> None:
    """Block 0 too, if it is not copied; ``zero_rest``: it becomes zeros. What was copied is verified."""
    only = Only(in_bytes(LAYOUTS[name]), zero_rest)
    layout = Layout.of(SIZE, PAGE, in_bytes(LAYOUTS[name]), only)
    done = await copied(tmp_path / "target", layout, old=OLD, only=only, resume=resume)

    expected = bytearray(image(layout))
    for offset, length in layout.left_alone():
        expected[offset : offset + length] = OLD[:length]
    assert done.content == expected
    assert (done.sha256 is None) == (not zero_rest)
