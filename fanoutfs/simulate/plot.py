"""Draws one run of the model: the position of each reader over time. Only this file needs matplotlib."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanoutfs.errors import UnusableError, UsageError, reason
from fanoutfs.simulate.result import Outcome, Recording, Track
from fanoutfs.units import KIB, format_size

try:
    import matplotlib as mpl
    import numpy as np
    from matplotlib.figure import Figure
except ImportError as error:
    raise UnusableError(
        "a picture needs matplotlib; install it with: pip install 'fanoutfs[plot]'"
    ) from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png")

COLUMNS, ROWS = 600, 300
"""The resolution of the drawing in time and in position; finer changes are omitted."""

FEW = 8
"""Up to this number of readers, each has a line in the legend."""

STYLE: dict[Any, Any] = {
    # Without it the names in an SVG are random, and a drawing changes with every run.
    "svg.hashsalt": "fanoutfs",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

RING, HEAD, DETOUR = "#cfe3f5", "#000000", "#d40000"

Points = list[tuple[float, float]]


def ready(path: Path) -> None:
    """Check, before anything is computed, that a file can be drawn to.

    Raises UsageError for a suffix that is not known.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--picture {path}: the name must end in {' or '.join(SUFFIXES)}")


def draw(outcome: Outcome, path: Path, *, title: str | None = None) -> None:
    """Draw the recording of a run into a file, whose suffix selects the format.

    An SVG is the same for the same run. Raises UnusableError when the file can't be written.
    """
    recording = outcome.recording
    assert recording is not None
    with axes_for(path) as axes:
        _Drawing(outcome, recording, axes).all(title)


@contextmanager
def axes_for(path: Path, *, height: float = 4.8) -> Iterator["Axes"]:
    """Yield axes to draw on, and write them to a file, whose suffix selects the format; an SVG has no date.

    ``height`` is in inches. Raises UnusableError when the file can't be written.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, height), layout="constrained")
        yield figure.add_subplot()
        metadata = {"Date": None, "Creator": "fanoutfs simulate"} if path.suffix.lower() == ".svg" else {}
        try:
            figure.savefig(path, dpi=150, metadata=metadata)
        except OSError as error:
            raise UnusableError(f"{path}: {reason(error)}") from error


class _Drawing:
    """The axes of one drawing, in suitable units."""

    def __init__(self, outcome: Outcome, recording: Recording, axes: "Axes") -> None:
        self.outcome, self.recording, self.axes = outcome, recording, axes
        self.blocks, self.seconds = outcome.grain.blocks, outcome.seconds
        self.time, self.time_unit = time_unit(self.seconds)
        size, self.size_unit = _size_unit(outcome.scenario.size)
        self.place = outcome.grain.block / size

    def all(self, title: str | None) -> None:
        """Draw everything, the most important on top."""
        scenario, axes = self.outcome.scenario, self.axes
        count = len(scenario.readers)
        default = f"{count} reader{'s' * (count != 1)}, ring {format_size(scenario.ring)}"
        read = f"source read {self.outcome.passes:.2f} times"
        axes.set_title(f"{title or default}: {read}", loc="left", fontweight="bold")
        axes.set_xlabel(f"time ({self.time_unit})")
        axes.set_ylabel(f"position in the image ({self.size_unit})")
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        self._band()
        self._readers()
        self._source()
        axes.set_xlim(0, self.seconds / self.time)
        axes.set_ylim(0, self.blocks * self.place)
        figure = axes.get_figure()
        assert figure is not None
        figure.legend(loc="outside right upper", frameon=False)

    def _band(self) -> None:
        """Draw the resident blocks as a grid of cells."""
        cells = np.zeros((ROWS, COLUMNS), dtype=bool)
        changes = self.recording.resident
        for (begin, arcs), end in zip(changes, [*(c[0] for c in changes[1:]), self.seconds], strict=True):
            left, right = (round(t / self.seconds * COLUMNS) for t in (begin, end))
            for first, stop in arcs if left < right else ():
                low, high = int(first / self.blocks * ROWS), -int(-stop / self.blocks * ROWS)
                cells[low:high, left:right] = True
        extent = (0, self.seconds / self.time, 0, self.blocks * self.place)
        colours = mpl.colors.ListedColormap(["#ffffff00", RING])
        self.axes.imshow(
            cells, colours, origin="lower", extent=extent, aspect="auto", interpolation="nearest"
        )
        self.axes.fill_between([], [], color=RING, label="in the ring")

    def _source(self) -> None:
        """Draw the write head as a line, and reads out of order as marks."""
        reads = self.recording.reads
        head: Points = []
        at = None
        for read in reads:
            if not read.detour:
                if at != read.blocks.start:
                    head.append((read.begin, np.nan))
                head += [(read.begin, read.blocks.start), (read.end, read.blocks.stop)]
                at = read.blocks.stop
        self._line(head, color=HEAD, linewidth=0.7, linestyle=(0, (4, 2)), label="write head")
        marks = {self._cell(read.begin, read.blocks.start): read for read in reads if read.detour}
        if marks:
            x = [read.begin / self.time for read in marks.values()]
            y = [read.blocks.start * self.place for read in marks.values()]
            self.axes.plot(x, y, ".", color=DETOUR, markersize=2.5, label="read out of order")

    def _readers(self) -> None:
        tracks = self.recording.tracks
        few = len(tracks) <= FEW
        colours = mpl.colormaps["tab10" if few else "viridis"]
        for number, track in enumerate(tracks):
            colour = colours(number if few else 0.9 * number / len(tracks))
            label = f"reader {number + 1}" if few else "readers" if number == 0 else None
            # Lines of readers that stay together cover one another: the first is the widest, at the bottom.
            width = 1.6 + 1.3 * (len(tracks) - 1 - number) if few else 1.0
            self._line(self._way(track), color=colour, linewidth=width, label=label, solid_capstyle="butt")

    def _way(self, track: Track) -> Points:
        """Return the positions of a reader; the line is broken where the reader wraps round."""
        way: Points = []
        rounds = 0
        before: tuple[float, int] | None = None
        for time, had in track.had:
            place = track.start + had
            if before is not None and place > (rounds + 1) * self.blocks:
                way += [(before[0], self.blocks), (before[0], np.nan), (before[0], 0)]
                rounds += 1
            way.append((time, place - rounds * self.blocks))
            before = time, place
        return way

    def _line(self, points: Points, **style: object) -> None:
        points = list(self._thinned(points))
        x = [time / self.time for time, _ in points]
        y = [place * self.place for _, place in points]
        self.axes.plot(x, y, **style)  # type: ignore[arg-type]

    def _thinned(self, points: Points) -> Iterable[tuple[float, float]]:
        """Omit points in the same cell as the point before; keep the ends of lines."""
        last = None
        for i, (time, place) in enumerate(points):
            ends = i + 1 == len(points) or np.isnan(points[i + 1][1]) or np.isnan(place)
            cell = None if ends else self._cell(time, place)
            if ends or cell != last:
                yield time, place
            last = cell

    def _cell(self, time: float, place: float) -> tuple[int, int]:
        return int(time / self.seconds * COLUMNS), int(place / self.blocks * ROWS)


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the unit, in seconds and by name, in which a time of ``seconds`` is drawn."""
    for unit, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds > 3 * unit:
            return unit, name
    return 1.0, "seconds"


def _size_unit(size: int) -> tuple[float, str]:
    unit, names = 1.0, iter(("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"))
    name = next(names)
    while size >= 2 * KIB * unit and name != "PiB":
        unit, name = unit * KIB, next(names)
    return unit, name
