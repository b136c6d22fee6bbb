"""The readers on the page: a line of words for each, and beside or below it a lane.

The lines are put together here and not by ``rich.table``: with that a full page of 200 by 60 took 48 ms of a
processor, without it 11, and a page is drawn twice a second.
"""

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from rich.text import Text

from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import countdown, fit, format_rate, shorten
from fanoutfs.status.wording import Reader, has_all, held_up, state, time_left, who
from fanoutfs.top import image_bar
from fanoutfs.top.image_bar import Glyphs
from fanoutfs.units import format_size

BRIEF = 120
"""In a narrower terminal, in columns, a reader's state is said in short."""

BESIDE = 130
"""A wider one has room for lanes beside the words."""

STATE = 36
"""Columns for a reader's state where a lane is beside it."""

NAME = 8
"""A reader's name gets one in so many columns of the terminal."""


@attrs.frozen
class Rows:
    """The readers of one status document, as they are drawn in one width."""

    document: dict[str, Any]
    speeds: Speeds
    width: int
    glyphs: Glyphs
    lanes_below: bool
    """Each has a lane of the whole width below its words."""

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return int(self.document["source"]["size"])

    def lines(self, shown: list[Reader]) -> Iterator[Text]:
        """Draw the titles and these readers."""
        beside = self.width >= BESIDE and not self.lanes_below
        columns = [column for column in COLUMNS if self.width >= column.from_width]
        texts = [[column.text(self, reader) for column in columns] for reader in shown]
        rows = [[column.title for column in columns], *texts]
        widths = [column.width or max(map(len, row)) for column, *row in zip(columns, *rows, strict=True)]
        words = sum(widths) + len(widths)
        widths.append(STATE if beside else max(1, self.width - words))
        right = [*(column.right for column in columns), False]

        def line(row: list[str], style: str) -> Text:
            cells = zip(row, widths, right, strict=True)
            fitted = " ".join(fit(text, size, right=aligned) for text, size, aligned in cells)
            return Text(fitted if beside else fitted.rstrip(), style, no_wrap=True, overflow="crop")

        yield line([*rows[0], "state"], image_bar.FAINT)
        readers = self.document["readers"]
        named = {reader["id"]: reader for reader in readers}
        holds = held_up(readers)
        for reader, row in zip(shown, texts, strict=True):
            held = holds[reader["id"]]
            doing = state(reader, named, held, brief=self.width < BRIEF or beside)
            text = line([*row, doing], _style(reader, held))
            if beside:
                text = Text.assemble(
                    text, " ", self._lane(reader, self.width - words - STATE - 1), no_wrap=True
                )
            yield text
            if self.lanes_below:
                yield self._lane(reader, self.width)

    def _lane(self, reader: Reader, width: int) -> Text:
        return image_bar.lane(reader, self.document["head"], self.size, width, self.glyphs)

    def who(self, reader: Reader) -> str:
        """Name a reader in the width that there is for that."""
        return shorten(who(reader), max(10, self.width // NAME))

    def place(self, reader: Reader) -> str:
        """Say where a reader's next byte lies."""
        return f"{reader['position'] / self.size:.1%}"

    def behind(self, reader: Reader) -> str:
        """Say how far the head is ahead of a reader, going round."""
        if has_all(reader) or reader["start"] is None:
            return "-"
        return format_size((self.document["head"] - reader["position"]) % self.size)

    def rate(self, reader: Reader) -> str:
        """Say how fast a reader takes its bytes."""
        return format_rate(self.speeds.readers.get(reader["id"]))


@attrs.frozen
class Column:
    """A column of what is said of readers, in terminals of at least ``from_width`` columns."""

    title: str
    width: int
    """0: as wide as what is in it."""
    from_width: int
    text: Callable[[Rows, Reader], str]
    right: bool = True


COLUMNS = (
    Column("id", 0, 0, lambda _, reader: str(reader["id"])),
    Column("reader", 0, 50, Rows.who, right=False),
    Column("pid", 7, 100, lambda _, reader: str(reader["pid"])),
    Column("kind", 8, 90, lambda _, reader: str(reader["kind"]), right=False),
    Column("at", 6, 0, Rows.place),
    Column("had", 9, 150, lambda _, reader: format_size(reader["delivered"])),
    Column("to go", 9, 160, lambda _, reader: format_size(reader["left"])),
    Column("behind", 9, 74, Rows.behind),
    Column("rate", 11, 60, Rows.rate),
    Column("ready in", 8, 60, lambda rows, reader: countdown(time_left(reader, rows.speeds))),
)


def _style(reader: Reader, holds: int) -> str:
    """Give a row's style: who holds others up stands out, who has nothing to do stands back."""
    if holds:
        return "bold red"
    if isinstance(reader["waiting"], int):
        return "magenta"
    idle = reader["start"] is None or has_all(reader) or not reader["live"]
    return "dim" if idle and reader["waiting"] is None else ""
