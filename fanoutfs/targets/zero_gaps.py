"""Make the zero blocks of an image zeros on a target: those that no producer reads, and no ring holds.

That is done when all data has been copied and the ring is left: on a disk it may take as long as writing, and
would hold up the other copies.
"""

from collections.abc import Callable

from fanoutfs.layout import Layout
from fanoutfs.ranges import Range
from fanoutfs.targets.target import Target
from fanoutfs.units import MIB
from fanoutfs.zeros import zeros

STEP = 64 * MIB
"""Bytes made zeros in one call: a slow stick takes half a minute for them."""


def zero_gaps(
    target: Target, layout: Layout, progress: Callable[[int], None], *, resume: bool, longest: int
) -> bool:
    """Zero all zero blocks but block 0; return whether anything had to be written.

    ``progress`` is called with the number of bytes done. ``resume``: only what is not zeros already, which is
    read in pieces of at most ``longest`` bytes. Raise TargetError.
    """
    changed, done = False, 0
    step = max(1, longest // MIB) * MIB if resume else STEP
    for offset, length in layout.zeros():
        for at in range(offset, offset + length, step):
            part = min(step, offset + length - at)
            for begin, count in target.filled(at, part):
                changed |= _zero(target, _without_first((begin, count), layout), resume=resume)
            done += part
            progress(done)
    return changed


def _without_first(place: Range, layout: Layout) -> Range:
    """Return what of a place is behind block 0."""
    offset, length = place
    skipped = min(length, max(0, layout.block - offset))
    return offset + skipped, length - skipped


def _zero(target: Target, place: Range, *, resume: bool) -> bool:
    offset, length = place
    if not length:
        return False
    if not resume:
        target.zero(offset, length)
        return True
    pieces = zeros(length)
    wrong = target.differing(offset, pieces)
    for number in wrong:
        target.wipe_first()
        target.zero(offset + number * MIB, len(pieces[number]))
    return bool(wrong)
