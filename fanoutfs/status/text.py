"""Text that fits a given width and is safe to print on a terminal. No I/O, no clock."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from fanoutfs.units import format_seconds, format_size

T = TypeVar("T")

DAY = 86400.0


def printable(text: str) -> str:
    """Replace what is not printable: the name of a process or file may contain an escape sequence."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def escaped(text: str) -> str:
    """Escape what is not printable, except bytes that are no text: a log has these as they are.

    Of those, 0x80 to 0x9f are control characters to some terminals.
    """
    return "".join(
        letter if letter.isprintable() or "\udca0" <= letter <= "\udcff" else _escape(letter)
        for letter in text
    )


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def shorten(text: str, width: int) -> str:
    """Cut a path at its left to ``width`` characters: the end distinguishes it from others."""
    return text if len(text) <= width else "…" + text[len(text) - max(0, width - 1) :]


def countdown(seconds: float | None) -> str:
    """Return the remaining time as 0:12:03, or with days and hours; "-" if it is not known."""
    if seconds is None:
        return "-"
    return str(timedelta(seconds=round(seconds))) if seconds < DAY else format_seconds(seconds)


def format_rate(rate: float | None) -> str:
    """Return bytes per second as text: 85 MiB/s; "-" when the rate is not known."""
    return "-" if rate is None else f"{format_size(round(rate))}/s"


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cut or pad a text to exactly ``width`` columns; an ellipsis marks a cut."""
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 (only what draws needs it)

    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return text.rjust(width) if right else set_cell_size(text, width)


def fit_rows(items: Sequence[T], rows: int, rank: Callable[[T], Any]) -> tuple[list[T], list[T]]:
    """Return the items that get a row, the lowest rank first, and the rest, each in the order of ``items``.

    If not all items fit, one row is kept for the summary of the rest.
    """
    if len(items) <= rows:
        return list(items), []
    ranked = sorted(range(len(items)), key=lambda i: rank(items[i]))
    chosen = set(ranked[: max(0, rows - 1)])
    return [items[i] for i in sorted(chosen)], [items[i] for i in sorted(ranked) if i not in chosen]
