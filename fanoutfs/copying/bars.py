"""What is seen of copies while they go on: a line for each target, drawn over itself on a terminal.

No thread draws: the command does, between two messages of its workers, for it forks.
"""

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import attrs
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from fanoutfs.copying.progress import Phase, Progress
from fanoutfs.status.text import countdown, fit, printable, shorten
from fanoutfs.units import format_seconds, format_size

WIDE = 100
"""A terminal of so many columns has room for the bytes that are done."""

CROWD: dict[Phase, str] = {
    "joins": "joining",
    "copies": "copying",
    "flushes": "flushing",
    "verifies": "verifying",
    "done": "done",
    "failed": "failed",
}
"""What several do."""

STYLES = {"failed": "bold red", "done": "green"}


@attrs.frozen
class Bars:
    """The lines at one time, for rich to draw in any width; never higher than the terminal."""

    copies: Sequence[Progress]
    title: str = ""
    """What stands before the first line."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        # The first line, and below the last one the line where the cursor stands.
        shown, rest = _choose(self.copies, options.size.height - 2)
        yield _line(self._head())
        names = [printable(copy.target) for copy in shown]
        longest = min(max(map(len, names)), max(12, width // 5))
        size = width // 7
        for copy, name in zip(shown, names, strict=True):
            style = console.get_style(STYLES.get(copy.phase, ""))
            before = f"{fit(shorten(name, longest), longest)} {copy.phase:8} {copy.share:4.0%} "
            after = _after(copy, wide=width >= WIDE)
            # Without colours rich draws only the part of a bar that is done.
            bar = Segment.adjust_line_length(list(console.render(ProgressBar(1.0, copy.share, size))), size)
            room = max(1, width - cell_len(before) - size)
            after = after if cell_len(after) <= room else fit(after, room)
            line = [Segment(before, style), *bar, Segment(after, style)]
            yield from Segment.adjust_line_length(line, width, pad=False)
            yield Segment.line()
        if rest:
            phases = Counter(CROWD[copy.phase] for copy in rest).most_common()
            yield _line(f"and {len(rest)} more: {', '.join(f'{count} {phase}' for phase, count in phases)}")

    def _head(self) -> str:
        copies = self.copies
        said = [f"{self.title}{format_size(copies[0].size)} to {len(copies)} target{'s' * (len(copies) > 1)}"]
        rates = [copy.rate for copy in copies if copy.rate is not None]
        if rates:
            said.append(_per_second(sum(rates)))
        ended = Counter(copy.phase for copy in copies if copy.ended)
        said += [f"{count} {phase}" for phase, count in sorted(ended.items())]
        return ", ".join(said)


@attrs.define(eq=False)
class Display:
    """Draws how far copies are; where there is no terminal, or nobody wants it, nothing at all.

    Enter it when the workers are there, and leave it before anything else is written: it takes its lines
    away, and gives the cursor back.
    """

    copies: Sequence[Progress]
    """At least one, each updated by its owner."""
    console: Console
    """On standard error: the last lines go to standard output."""
    title: str = ""
    wanted: bool = True
    """False for ``--no-progress``."""
    _live: Live | None = attrs.field(default=None, init=False)

    def __enter__(self) -> Self:
        if self.wanted and self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Live(
                console=self.console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def refresh(self, now: float) -> None:
        """Draw what the copies are at, at a time in seconds; to be called some five times a second."""
        for copy in self.copies:
            copy.tick(now)
        if self._live is not None:
            self._live.update(Bars(self.copies, self.title), refresh=True)

    def say(self, line: str) -> None:
        """Write a line that stays, above those that are drawn; also where nothing is drawn."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _choose(copies: Sequence[Progress], rows: int) -> tuple[list[Progress], list[Progress]]:
    """Give those that have a line, and the rest: who failed first, then who is at work."""
    if len(copies) <= rows:
        return list(copies), []
    ranked = sorted(copies, key=lambda copy: (copy.phase != "failed", copy.ended))
    chosen = set(ranked[: max(1, rows - 1)])
    return [copy for copy in copies if copy in chosen], [copy for copy in copies if copy not in chosen]


def _after(copy: Progress, *, wide: bool) -> str:
    if copy.phase == "failed":
        return f" {copy.reason}"
    size = f" {format_size(round(copy.share * copy.size)):>9}" if wide else ""
    rate = "" if copy.rate is None else _per_second(copy.rate)
    left = "" if copy.time_left is None else countdown(copy.time_left)
    return f"{size} {rate:>11} {left:>8} {_note(copy)}".rstrip()


def _note(copy: Progress) -> str:
    """Say what is to be known of a copy beside its figures, what matters most first."""
    if copy.phase == "done":
        return f"in {format_seconds(copy.seconds(*copy.spent))}"
    said = [] if copy.waits is None else [printable(copy.waits)]
    if copy.phase == "copies" and copy.start:
        said.append(f"began at {copy.start / copy.size:.0%}")
    return "; ".join(said)


def _per_second(rate: float) -> str:
    return f"{format_size(round(rate))}/s"


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
