"""Places of a copy that hold zeros in place of data, because the source can't be read there. No I/O."""

from collections.abc import Iterable
from typing import Any, Self

import attrs

from fanoutfs.ranges import Extent, merged

MOST_NAMED = 20
"""How many places are named; of all others, their number is."""


@attrs.frozen
class BlockZeros:
    """Those of one block."""

    places: tuple[Extent, ...]
    """Bytes of the image: [begin, end)."""
    is_final: bool
    """False: the producer has left some of them for later; they may be read at the end."""

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Self:
        """Read them from a "zeros" message."""
        return cls(tuple((begin, end) for begin, end in message["places"]), bool(message["final"]))


@attrs.frozen
class CopyZeros:
    """Those of a whole copy."""

    places: tuple[Extent, ...]
    """The first of them."""
    count: int
    """How many there are."""
    size: int
    """Their bytes together."""

    @classmethod
    def of(cls, blocks: Iterable[BlockZeros]) -> Self:
        """Return the places of all blocks, with those merged that adjoin."""
        places = merged(place for block in blocks for place in block.places)
        return cls(tuple(places[:MOST_NAMED]), len(places), sum(end - begin for begin, end in places))

    @property
    def text(self) -> str:
        """Where they are, for a message."""
        named = ", ".join(f"{begin} to before {end}" for begin, end in self.places)
        more = self.count - len(self.places)
        return f"bytes {named}{f', and {more} other places' if more else ''}"
