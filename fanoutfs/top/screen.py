"""The page that ``top`` shows: a header, the picture of the ring, and the readers.

Each drawing lays the page out for the current size of the terminal.
"""

from collections.abc import Iterator

import attrs
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from fanoutfs.status.document import StatusDocument
from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import format_rate, printable, shorten
from fanoutfs.status.wording import bad_text, choose, limit_text, ring_text, source_text, summary, time_left
from fanoutfs.top import image_bar
from fanoutfs.top.image_bar import ASCII, LINES, Glyphs
from fanoutfs.top.rows import Rows
from fanoutfs.units import format_seconds, format_size

FIXED = 10
"""Lines that are always there: four of the header; head, ring, marks and ids; legend; titles of the rows."""

FEW = 20
"""Where the height is unlimited, as in a file, readers have lanes if there are at most this many."""


@attrs.frozen
class ScreenLayout:
    """What a page has room for, in lines."""

    rows: int
    """For readers, and for the summary of readers without a row."""
    lanes: bool
    """Each reader has a lane below its row."""
    scale: bool
    gaps: int
    """Empty lines, above and below the picture."""

    @classmethod
    def of(cls, readers: int, height: int | None) -> "ScreenLayout":
        """Lay out a page: rows take precedence over lanes, lanes over the scale, the scale over gaps."""
        if height is None:
            return cls(rows=readers, lanes=readers <= FEW, scale=True, gaps=2)
        rows = max(0, height - FIXED)
        spare = max(0, rows - readers)
        lanes = readers <= spare
        if lanes:
            spare -= readers
        return cls(rows=rows, lanes=lanes, scale=spare > 0, gaps=max(0, min(2, spare - 1)))


@attrs.frozen
class Screen:
    """A status document and the rates at its time, which rich can draw in any size."""

    document: StatusDocument
    speeds: Speeds
    fills: bool = False
    """It must fit the height of the terminal; otherwise its height is unlimited."""
    note: str = ""
    """A message that replaces the summary of the readers."""
    keys: str = ""
    """The keys that work."""

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.document.source.size

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, glyphs = options.max_width, ASCII if options.ascii_only else LINES
        readers = self.document.readers
        layout = ScreenLayout.of(len(readers), options.size.height if self.fills else None)
        shown, rest = choose(readers, layout.rows)
        yield from self._header(width)
        if layout.gaps:
            yield Text()
        yield from self._picture(width, glyphs, layout)
        if layout.gaps > 1:
            yield Text()
        if shown:
            rows = Rows(self.document, self.speeds, width, glyphs, layout.lanes)
            yield from rows.lines(shown)
        if rest:
            places = sorted(reader.position / self.size for reader in rest)
            yield _line(
                f"and {len(rest)} more, at {places[0]:.1%} to {places[-1]:.1%}: {summary(rest, readers)}"
            )

    def _header(self, width: int) -> Iterator[Text]:
        source, ring, readers = self.document.source, self.document.ring, self.document.readers
        rate = "" if self.speeds.source is None else f", {format_rate(self.speeds.source)}"
        figures = f", {format_size(self.size)}; read {source_text(source)}{rate}{limit_text(source)}"
        path = shorten(printable(source.path), max(12, width - 9 - len(figures)))
        yield Text.assemble("source   ", (path, "bold"), figures, no_wrap=True, overflow="ellipsis")
        share = sum(end - begin for begin, end in ring.arcs) / self.size
        bad = f"; {bad_text(source)}" if source.errors or source.bad_places else ""
        yield Text.assemble(
            f"ring     {ring_text(ring)}, {share:.1%} of the image",
            (bad, "bold red"),
            no_wrap=True,
            overflow="ellipsis",
        )
        yield _line(f"readers  {self._together()}")
        yield _line(f"         {self.note or summary(readers, readers)}", "bold red" if self.note else "")

    def _together(self) -> str:
        readers = self.document.readers
        if not readers:
            return "none"
        text = str(len(readers))
        if self.speeds.together is not None:
            text += f", {format_rate(self.speeds.together)}{' together' * (len(readers) > 1)}"
        times = [time_left(reader, self.speeds) for reader in readers]
        known = [seconds for seconds in times if seconds is not None]
        if known:
            last = "ready" if len(readers) == 1 else "the last is ready"
            text += f"; {last} in about {format_seconds(round(max(known)))}"
        return text

    def _picture(self, width: int, glyphs: Glyphs, layout: ScreenLayout) -> Iterator[Text]:
        document = self.document
        yield image_bar.head_line(document.head, self.size, width, glyphs)
        yield image_bar.ring_line(document.ring.arcs, self.size, width, glyphs)
        yield from image_bar.mark_lines(document.readers, self.size, width, glyphs)
        if layout.scale:
            yield image_bar.scale_line(self.size, width)
        legend = image_bar.legend(glyphs, lanes=layout.lanes and bool(document.readers))
        legend.append(self.keys)
        legend.rstrip()
        yield legend


def _line(text: str, style: str = "") -> Text:
    return Text(text.rstrip(), style, no_wrap=True, overflow="ellipsis")
