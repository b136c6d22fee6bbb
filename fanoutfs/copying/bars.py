"""The display of running copies: a line for each target, redrawn in place on a terminal.

The command draws it between two reports of its workers, not in a thread, because the command forks.
"""

from collections import Counter
from collections.abc import Sequence

import attrs
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from fanoutfs.copying.progress import Phase, Progress
from fanoutfs.status.text import countdown, fit, fit_rows, format_rate, printable, shorten
from fanoutfs.units import format_seconds, format_size

WIDE = 100
"""A terminal with this many columns also shows each copy's bytes."""

STYLES = {Phase.FAILED: "bold red", Phase.DONE: "green"}


@attrs.frozen
class Bars:
    """The lines at one moment, for rich to draw in any width; never higher than the terminal."""

    copies: Sequence[Progress]
    elapsed: float = 0.0
    """Seconds since the command began to copy."""
    source_rate: float | None = None
    """Bytes per second that the producer reads of the source; None: not known."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        # The heading, and the line below the last one, where the cursor stands.
        rows = max(2, options.size.height - 2)
        # Failed copies first, then running ones.
        shown, rest = fit_rows(self.copies, rows, lambda copy: (copy.phase is not Phase.FAILED, copy.ended))
        yield _line(self._heading())
        names = [printable(copy.target) for copy in shown]
        longest = min(max(map(len, names)), max(12, width // 5))
        size = width // 7
        for copy, name in zip(shown, names, strict=True):
            style = console.get_style(STYLES.get(copy.phase, ""))
            before = f"{fit(shorten(name, longest), longest)} {copy.activity:9} {copy.share:4.0%} "
            after = _figures(copy, wide=width >= WIDE)
            # Without colours rich draws only the finished part of a bar.
            bar = Segment.adjust_line_length(list(console.render(ProgressBar(1.0, copy.share, size))), size)
            room = max(1, width - cell_len(before) - size)
            after = after if cell_len(after) <= room else fit(after, room)
            line = [Segment(before, style), *bar, Segment(after, style)]
            yield from Segment.adjust_line_length(line, width, pad=False)
            yield Segment.line()
        if rest:
            counts = Counter(copy.activity for copy in rest).most_common()
            yield _line(f"and {len(rest)} more: {', '.join(f'{count} {what}' for what, count in counts)}")

    def _heading(self) -> str:
        copies = self.copies
        parts = [f"{format_size(copies[0].data)} to {len(copies)} target{'s' * (len(copies) > 1)}"]
        if self.source_rate is not None and any(copy.phase is Phase.COPYING for copy in copies):
            parts.append(f"source read at {format_rate(self.source_rate)}")
        ended = Counter(copy.activity for copy in copies if copy.ended)
        parts += [f"{count} {what}" for what, count in sorted(ended.items())]
        parts.append(f"{countdown(self.elapsed)} elapsed")
        if left := [copy.time_left for copy in copies if copy.time_left is not None]:
            parts.append(f"about {countdown(max(left))} left")
        return ", ".join(parts)


class Display(Live):
    """Draws the progress of copies; draws nothing where there is no terminal.

    Enter it when the workers have started, and leave it before anything else is written: it then clears its
    lines and shows the cursor again.
    """

    def __init__(self, copies: Sequence[Progress], console: Console) -> None:
        """Draw ``copies``, at least one, on standard error: the outcome goes to standard output."""
        super().__init__(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self.copies = copies
        self.source_rate: float | None = None
        """As in ``Bars``; the owner updates it."""

    def draw(self, now: float) -> None:
        """Draw the copies as they are at a time in seconds; call it about five times a second."""
        for copy in self.copies:
            copy.tick(now)
        elapsed = now - min(copy.began for copy in self.copies)
        self.update(Bars(self.copies, elapsed, self.source_rate), refresh=True)


def _figures(copy: Progress, *, wide: bool) -> str:
    if copy.phase is Phase.FAILED:
        return f" {copy.reason}"
    size = f" {format_size(round(copy.share * copy.phase_size)):>9}" if wide else ""
    rate = "" if copy.rate is None else format_rate(copy.rate)
    left = "" if copy.time_left is None else countdown(copy.time_left)
    return f"{size} {rate:>11} {left:>8} {_remark(copy)}".rstrip()


def _remark(copy: Progress) -> str:
    """Return what there is to know of a copy beside its figures, the most important first."""
    if copy.phase is Phase.DONE:
        return f"in {format_seconds(copy.seconds(*copy.spent))}"
    parts = [] if copy.waits is None else [printable(copy.waits)]
    if copy.phase is Phase.COPYING and copy.start:
        parts.append(f"began at {copy.start / copy.size:.0%}")
    return "; ".join(parts)


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
