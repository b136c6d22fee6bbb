"""The state of a link to an NBD export, and what each attempt to read changes in it. No I/O, no clock."""

from enum import Enum, auto


class LinkState(Enum):
    """The state of the link after the last attempt to read."""

    UP = auto()
    """The other side answers."""
    LOST = auto()
    """The connection broke; the read under way connects again."""
    AWAY = auto()
    """A read has given up; each later read tries once."""
    REPLACED = auto()
    """The export is a different source now: it is never read again."""


class LinkOutcome(Enum):
    """How an attempt ended."""

    ANSWERED = auto()
    """With bytes, or with an error of the other side."""
    FAILED = auto()
    """There is no connection, or it broke."""
    EXPIRED = auto()
    """The time for connecting again is over."""
    DIFFERS = auto()
    """A new connection leads to a different source."""


NEXT = {
    (LinkState.UP, LinkOutcome.ANSWERED): LinkState.UP,
    (LinkState.UP, LinkOutcome.FAILED): LinkState.LOST,
    (LinkState.UP, LinkOutcome.DIFFERS): LinkState.REPLACED,
    (LinkState.LOST, LinkOutcome.ANSWERED): LinkState.UP,
    (LinkState.LOST, LinkOutcome.FAILED): LinkState.LOST,
    (LinkState.LOST, LinkOutcome.EXPIRED): LinkState.AWAY,
    (LinkState.LOST, LinkOutcome.DIFFERS): LinkState.REPLACED,
    (LinkState.AWAY, LinkOutcome.ANSWERED): LinkState.UP,
    (LinkState.AWAY, LinkOutcome.FAILED): LinkState.AWAY,
    (LinkState.AWAY, LinkOutcome.DIFFERS): LinkState.REPLACED,
}
"""UP with DIFFERS: a read connects again after the previous one ended with an error of the other side."""
