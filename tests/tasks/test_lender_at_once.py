"""What is in the ring already is given without a task's being woken for it."""

from unittest.mock import patch

import trio
from trio.testing import MockClock

from fanoutfs.ring.ring import Ring
from tests.tasks.borrowing import Copy, borrow, is_empty, lend
from tests.tasks.rig import make_rig


async def test_who_has_nothing_in_hand_is_given_what_is_there(autojump_clock: MockClock) -> None:
    """A second copy of an image that the ring holds asks for its first block alone, whatever its window."""
    rig = make_rig(slots=40)
    waits: list[int] = []
    grant = Ring.grant

    async def counting(ring: Ring, *words: object, **fresh: bool) -> list[int]:
        waits.append(rig.opened)
        return await grant(ring, *words, **fresh)  # type: ignore[arg-type]  # handed on as they are

    with patch.object(Ring, "grant", counting):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.produce)
            for window in (4, 1, 3):
                lender = lend(rig, window=window)
                made = Copy(borrow(lender))
                async with trio.open_nursery() as copying:
                    copying.start_soon(lender.run)
                    await made.all(window)
                    copying.cancel_scope.cancel()
                made.close()
                lender.close()
                assert made.content == rig.content
            nursery.cancel_scope.cancel()

    assert waits.count(1) > 1
    assert [2, 3] == [number for number in waits if number > 1]
    assert is_empty(rig)
