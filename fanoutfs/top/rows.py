"""The readers on the page: a line of text for each, and a lane beside or below it.

The lines are assembled here and not by ``rich.table``: with it a full page of 200 by 60 took 48 ms of
processor time, without it 11 ms, and a page is drawn twice a second.
"""

from collections.abc import Callable, Iterator

import attrs
from rich.text import Text

from fanoutfs.status.document import ReaderEntry, StatusDocument
from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import countdown, fit, format_rate, shorten
from fanoutfs.status.wording import (
    Emphasis,
    behind_text,
    by_id,
    emphasis,
    label,
    state,
    time_left,
    waiting_for,
)
from fanoutfs.top import image_bar
from fanoutfs.top.image_bar import Glyphs
from fanoutfs.units import format_size

BRIEF = 120
"""Columns; a narrower terminal shows the brief form of a reader's state."""

BESIDE = 130
"""Columns; a wider terminal has room for lanes beside the text."""

STATE = 36
"""Columns for a reader's state if a lane is beside it."""

NAME = 8
"""The name of a reader gets this fraction of the columns of the terminal."""


@attrs.frozen
class Rows:
    """The readers of one status document, drawn in a given width."""

    document: StatusDocument
    speeds: Speeds
    width: int
    glyphs: Glyphs
    lanes_below: bool
    """Each reader has a lane of the whole width below its text."""

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.document.source.size

    def lines(self, shown: list[ReaderEntry]) -> Iterator[Text]:
        """Draw the titles and the readers in ``shown``."""
        beside = self.width >= BESIDE and not self.lanes_below
        columns = [column for column in COLUMNS if self.width >= column.from_width]
        texts = [[column.text(self, reader) for column in columns] for reader in shown]
        rows = [[column.title for column in columns], *texts]
        widths = [column.width or max(map(len, row)) for column, *row in zip(columns, *rows, strict=True)]
        used = sum(widths) + len(widths)
        widths.append(STATE if beside else max(1, self.width - used))
        right = [*(column.right for column in columns), False]

        def line(row: list[str], style: str) -> Text:
            cells = zip(row, widths, right, strict=True)
            fitted = " ".join(fit(text, size, right=aligned) for text, size, aligned in cells)
            return Text(fitted if beside else fitted.rstrip(), style, no_wrap=True, overflow="crop")

        yield line([*rows[0], "state"], image_bar.FAINT)
        readers = self.document.readers
        named, waiters = by_id(readers), waiting_for(readers)
        for reader, row in zip(shown, texts, strict=True):
            waiting = waiters[reader.id]
            doing = state(reader, named, waiting, brief=self.width < BRIEF or beside)
            text = line([*row, doing], STYLES[emphasis(reader, waiting)])
            if beside:
                text = Text.assemble(
                    text, " ", self._lane(reader, self.width - used - STATE - 1), no_wrap=True
                )
            yield text
            if self.lanes_below:
                yield self._lane(reader, self.width)

    def _lane(self, reader: ReaderEntry, width: int) -> Text:
        return image_bar.lane(reader, self.document.head, self.size, width, self.glyphs)

    def name(self, reader: ReaderEntry) -> str:
        """Return the name of a reader, shortened to its share of the width."""
        return shorten(label(reader), max(10, self.width // NAME))

    def position(self, reader: ReaderEntry) -> str:
        """Return the position of a reader in the image."""
        return f"{reader.position / self.size:.1%}"

    def rate(self, reader: ReaderEntry) -> str:
        """Return the rate at which a reader reads."""
        return format_rate(self.speeds.readers.get(reader.id))


@attrs.frozen
class Column:
    """A column of the table, shown in terminals of at least ``from_width`` columns."""

    title: str
    width: int
    """0: as wide as its contents."""
    from_width: int
    text: Callable[[Rows, ReaderEntry], str]
    right: bool = True


COLUMNS = (
    Column("id", 0, 0, lambda _, reader: str(reader.id)),
    Column("reader", 0, 50, Rows.name, right=False),
    Column("pid", 7, 100, lambda _, reader: str(reader.pid)),
    Column("kind", 8, 90, lambda _, reader: reader.kind, right=False),
    Column("at", 6, 0, Rows.position),
    Column("received", 9, 150, lambda _, reader: format_size(reader.delivered)),
    Column("to go", 9, 160, lambda _, reader: format_size(reader.left)),
    Column("behind", 9, 74, lambda rows, reader: behind_text(rows.document, reader)),
    Column("rate", 11, 60, Rows.rate),
    Column("ready in", 8, 60, lambda rows, reader: countdown(time_left(reader, rows.speeds))),
)

STYLES = {Emphasis.HOLDS: "bold red", Emphasis.WAITS: "magenta", Emphasis.IDLE: "dim", Emphasis.READS: ""}
