"""The frame of a measurement: its options, its rounds, and its result as a table and an exit code."""

import argparse
import math
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.units import parse_size

QUIET = 0.9  # idle share of the processors before a run starts
Scenario = TypeVar("Scenario")


@attrs.frozen
class Options:
    """Options of every measurement."""

    rounds: int
    size: int
    ring: str
    fanoutfs: Path
    picture: Path | None = None


def options(
    description: str | None,
    *,
    size: str,
    rounds: int = 1,
    ring: str | None = "64M",
    picture: bool = False,
) -> Options:
    """Parse the command line. From here on SIGTERM, too, runs the cleanup.

    ``ring`` None: there is no such option, as the measurement chooses its rings itself. ``picture``: the
    measurement can draw its result.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = Path(sys.executable).parent / "fanoutfs"
    parser.add_argument("--rounds", type=int, default=rounds, help="number of rounds [%(default)s]")
    parser.add_argument("--size", type=_size, default=size, help="size of the image [%(default)s]")
    if ring is not None:
        parser.add_argument("--ring", default=ring, help="size of the ring [%(default)s]")
    parser.add_argument("--fanoutfs", type=Path, default=beside, help="the program to measure [%(default)s]")
    if picture:
        parser.add_argument("--picture", type=Path, help="draw the result into this SVG file")
    signal.signal(signal.SIGTERM, _leave)
    return Options(**{"ring": "", **vars(parser.parse_args())})


def choose(scenarios: Mapping[str, Scenario], description: str | None) -> Scenario:
    """Take the scenario's name from the command line, before :func:`options` parses the rest."""
    if sys.argv[1:2] == [] or sys.argv[1] not in scenarios:
        sys.exit(f"{description}\nusage: {Path(sys.argv[0]).stem} {{{','.join(scenarios)}}} [--help]")
    return scenarios[sys.argv.pop(1)]


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _leave(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


@attrs.frozen
class Row:
    """One line of a result."""

    what: str
    figure: str
    bar: str
    holds: bool


def at_most(what: str, figures: Sequence[float], bar: float, unit: str = "") -> Row:
    """Require the median of several rounds to be at most ``bar``; if that is infinite, only report it."""
    found = statistics.median(figures)
    spread = f" ({min(figures):.3f} to {max(figures):.3f})" if len(figures) > 1 else ""
    limit = f"at most {bar:.3f}{unit}" if math.isfinite(bar) else ""
    return Row(what, f"{found:.3f}{unit}{spread}", limit, found <= bar)


def at_least(what: str, figure: float, bar: float, unit: str = "") -> Row:
    """Require a figure to be at least ``bar``."""
    return Row(what, f"{figure:.3f}{unit}", f"at least {bar:.2f}{unit}", figure >= bar)


def exactly(what: str, found: object, expected: object) -> Row:
    """Require one value."""
    return Row(what, f"{found}", f"{expected}", found == expected)


def measured(what: str, figures: Sequence[float], unit: str = "") -> Row:
    """Report the median of several rounds without a bar."""
    return at_most(what, figures, math.inf, unit)


def info(what: str, figure: str) -> Row:
    """Report a figure without a bar."""
    return Row(what, figure, "", holds=True)


def all_of(what: str, found: Sequence[bool]) -> Row:
    """Require something to be true each time."""
    return Row(what, f"{sum(found)} of {len(found)}", "all", all(found))


def finish(title: str, rows: Sequence[Row]) -> NoReturn:
    """Print the table; exit 0 if every bar holds, else 1."""
    table = [("", "figure", "bar", "")]
    verdict = {True: "holds", False: "FALLS SHORT"}
    table += [
        (row.what, row.figure, row.bar, verdict[row.holds] if row.bar or not row.holds else "")
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(4)]
    print(title)
    for line in table:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    sys.exit(0 if all(row.holds for row in rows) else 1)


def alternate(rounds: int, runs: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Run each in turn, `rounds` times after one round to warm up; return the median of each.

    In turn, so that other load on the machine affects all of them alike.
    """
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for count in range(rounds + 1):
        for name, run in runs.items():
            wait_for_quiet()
            figure = run()
            if count:
                figures[name].append(figure)
    for name, found in figures.items():
        spread = f"{min(found):.0f} to {max(found):.0f} in {len(found)} rounds"
        print(f"  {name}: median {statistics.median(found):.0f} MiB/s ({spread})")
    return {name: statistics.median(found) for name, found in figures.items()}


def wait_for_quiet(seconds: float = 10.0) -> bool:
    """Wait until the machine is idle, for at most some seconds; return whether it is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        idle, total = _processors()
        time.sleep(0.2)
        idle_later, total_later = _processors()
        if idle_later - idle >= QUIET * (total_later - total):
            return True
    return False


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, in seconds (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _processors() -> tuple[int, int]:
    """Return the ticks that all processors were idle, and all their ticks, since the machine started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
