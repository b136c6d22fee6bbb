"""What is around a source: it does one thing more, or in a different way, and is otherwise that source."""

from collections.abc import Sequence
from typing import TypeVar

import attrs

from fanoutfs.ranges import Range
from fanoutfs.source.contract import Source

Kind = TypeVar("Kind")


@attrs.define(eq=False)
class Wrapper:
    """A source around another, which it owns; a subclass has ``read_into``, and what else differs."""

    source: Source
    """The source within."""

    @property
    def path(self) -> str:
        """See ``Source.path``."""
        return self.source.path

    @property
    def identity(self) -> str:
        """See ``Source.identity``."""
        return self.source.identity

    @property
    def origin(self) -> str | None:
        """See ``Source.origin``."""
        return self.source.origin

    @property
    def size(self) -> int:
        """See ``Source.size``."""
        return self.source.size

    @property
    def sector(self) -> int:
        """See ``Source.sector``."""
        return self.source.sector

    @property
    def overlaps(self) -> bool:
        """See ``Source.overlaps``: most wrappers remember what was read."""
        return False

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``."""
        self.source.read_into(offset, length, slots)

    def data(self) -> Sequence[Range] | None:
        """See ``Source.data``."""
        return self.source.data()

    def limit_silence(self, seconds: float) -> None:
        """See ``Source.limit_silence``."""
        self.source.limit_silence(seconds)

    def descriptors(self) -> tuple[int, ...]:
        """See ``Source.descriptors``."""
        return self.source.descriptors()

    def close(self) -> None:
        """See ``Source.close``."""
        self.source.close()


def find_layer(source: Source, kind: type[Kind]) -> Kind | None:
    """Return the outermost layer of a source that is of this kind; None if it has no such layer."""
    layer = source
    while not isinstance(layer, kind):
        if not isinstance(layer, Wrapper):
            return None
        layer = layer.source
    return layer
