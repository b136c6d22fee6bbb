"""``pattern:SIZE``: a source whose every 8 bytes hold their own offset, as those of nbdkit's pattern plugin.

The numbers are big-endian. A byte at the wrong place says where it belongs.
"""

import threading
from collections.abc import Sequence
from typing import Self

import attrs

from fanoutfs.ranges import Range
from fanoutfs.units import KIB, SECTOR, parse_size

PREFIX = "pattern:"

WORD = 8

TEMPLATE = 64 * KIB
"""Bytes. In a template the last two bytes of each word stay as they are: they count up to 64 KiB."""


def _template() -> bytearray:
    return bytearray(b"".join(offset.to_bytes(WORD) for offset in range(0, TEMPLATE, WORD)))


@attrs.define(eq=False)
class PatternSource:
    """A pattern of ``size`` bytes."""

    path: str
    size: int
    _template: bytearray = attrs.field(factory=_template, init=False)
    """The pattern from a multiple of TEMPLATE on."""
    _at: int = attrs.field(default=0, init=False)
    """That multiple, in templates."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    """Of the template."""

    @classmethod
    def open(cls, argument: str) -> Self:
        """Open what ``argument``, with the prefix, names; raise UsageError for what is no size."""
        return cls(argument, parse_size(argument.removeprefix(PREFIX)))

    @property
    def identity(self) -> str:
        """The same for all patterns of this size."""
        return f"pattern-{self.size}"

    @property
    def origin(self) -> str:
        """The same on every computer."""
        return self.identity

    @property
    def sector(self) -> int:
        """See ``Source.sector``."""
        return SECTOR

    @property
    def overlaps(self) -> bool:
        """See ``Source.overlaps``."""
        return True

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``."""
        end = offset + length
        for slot in slots:
            done, room = 0, min(len(slot), end - offset)
            while done < room:
                begin = offset % TEMPLATE
                count = min(TEMPLATE - begin, room - done)
                with self._lock:
                    self._move_to(offset // TEMPLATE)
                    slot[done : done + count] = memoryview(self._template)[begin : begin + count]
                done += count
                offset += count

    def _move_to(self, at: int) -> None:
        """Change the bytes of the template that differ there, of all words at once."""
        changed, number = self._at ^ at, WORD - 3
        while changed:
            if changed & 0xFF:
                self._template[number::WORD] = bytes([at >> 8 * (WORD - 3 - number) & 0xFF]) * (
                    TEMPLATE // WORD
                )
            changed >>= 8
            number -= 1
        self._at = at

    def data(self) -> Sequence[Range] | None:
        """See ``Source.data``."""
        return None

    def limit_silence(self, seconds: float) -> None:
        """See ``Source.limit_silence``: it is never silent."""

    def descriptors(self) -> tuple[int, ...]:
        """Return none."""
        return ()

    def close(self) -> None:
        """Do nothing."""
