"""Resident blocks are granted without waking a task for each."""

from unittest.mock import patch

from trio.testing import MockClock

from fanoutfs.ring.ring import Ring
from tests.tasks.borrowing import copying, is_empty, lend
from tests.tasks.rig import background, make_rig


async def test_a_copy_of_an_image_that_the_ring_holds_waits_once(autojump_clock: MockClock) -> None:
    """A second copy requests its first block alone, whatever its window."""
    rig = make_rig(slots=40)
    waits: list[int] = []
    grant = Ring.grant

    async def counting(ring: Ring, *words: object, **fresh: bool) -> list[int]:
        waits.append(rig.opened)
        return await grant(ring, *words, **fresh)  # type: ignore[arg-type]  # handed on as they are

    with patch.object(Ring, "grant", counting):
        async with background(rig.produce):
            for window in (4, 1, 3):
                async with copying(lend(rig, window=window)) as made:
                    await made.all(window)
                assert made.content == rig.content

    assert waits.count(1) > 1
    assert [2, 3] == [number for number in waits if number > 1]
    assert is_empty(rig)
