"""A copy's share of the ring: where its turn begins, and how many blocks it may hold. No I/O, no clock."""

from fanoutfs.ring.rules import Rules
from fanoutfs.shm.turn import Turn


def begin_turn(rules: Rules, preferred: int | None) -> Turn:
    """Return a turn that begins at the head, or at a preferred block if all from it to the head is resident.

    On a source that gives its blocks in order it begins at the beginning.
    """
    start = rules.head
    if rules.intake.in_order:
        start = 0
    elif preferred is not None and rules.is_resident_up_to_head(preferred):
        start = preferred
    return Turn(start, start)


def window(rules: Rules, copies: int, in_hand: int) -> int:
    """Return how many blocks one of ``copies`` copies, which holds ``in_hand``, may hold: at most two runs.

    At most an eighth of the ring, so that a pack stays close together and look-ahead comes in long runs.
    All copies together hold at most half of the ring, in equal shares, but each at least one block.
    """
    half = rules.slots // 2
    room = max(half // copies, in_hand + half - len(rules.granted))
    return max(1, min(2 * rules.run, rules.slots // 8, room))
