"""A copy's share of the ring: where its turn begins, and how many blocks it may hold. No I/O, no clock."""

from fanoutfs.ring.rules import Rules
from fanoutfs.shm.turn import Turn


def begin_turn(rules: Rules, preferred: int | None = None) -> Turn:
    """Return a turn that begins at the head, or before it where all from there to the head is resident.

    Before it is the beginning of the image, or else a preferred block: what a turn has before its start is
    read again for it when readers of the image have ended (docs/decisions/0018). On a source that gives its
    blocks in order it begins at the beginning.
    """
    if rules.intake.in_order or rules.is_resident_up_to_head(0):
        start = 0
    elif preferred is not None and rules.is_resident_up_to_head(preferred):
        start = preferred
    else:
        start = rules.head
    return Turn(start, start)


def window(rules: Rules, copies: int, in_hand: int) -> int:
    """Return how many blocks one of ``copies`` copies, which holds ``in_hand``, may hold: at most two runs.

    At most an eighth of the ring, so that a pack stays close together and look-ahead comes in long runs.
    All copies together hold at most half of the ring, in equal shares, but each at least one block.
    """
    half = rules.slots // 2
    room = max(half // copies, in_hand + half - len(rules.granted))
    return max(1, min(2 * rules.run, rules.slots // 8, room))
