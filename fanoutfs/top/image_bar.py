"""The image as a line of cells: the circle cut open at its first byte. Pure: status document in, text out.

    ```
                            ▼ head 43.1%
    ░░░░░░░░░░░░▒▓██████████░░░░░░░░░░░░░░░░░░░      what is in the ring
                   ▲       ▲                         readers,
                   3       1,4                       and which
    ══►────────────────────────────├════════════      a lane: one reader's way, begun at ├
    ```

Every line has the width that is asked for, and each of its cells stands for the same part of the image, so
that lines below one another can be compared. The signs are those that the Linux console has as well, and can
be told apart without colour. Colours are the terminal's own, for light and dark ones.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import attrs
from rich.text import Text

from fanoutfs.status.wording import Reader, has_all
from fanoutfs.units import format_size

RING, HEAD, READER, HAD, FAINT = "green", "bold red", "bold", "cyan", "dim"
"""Styles; yellow and the bright colours can't be read on white."""

LONGEST_LABEL = 14
"""Letters; more readers at one place than that names are counted."""

SCALE = 4
"""Parts into which the scale divides the image."""

Arc = tuple[int, int]
"""Bytes of the image, [begin, end); it does not go over the image's end."""


@attrs.frozen
class Glyphs:
    """The signs that are drawn."""

    resident: str = "█"
    mostly: str = "▓"
    partly: str = "▒"
    absent: str = "░"
    head: str = "▼"
    reader: str = "▲"
    had: str = "═"
    to_go: str = "─"
    began: str = "├"
    at: str = "►"
    front: str = "│"
    """Where the head is, in a lane."""


LINES = Glyphs()
ASCII = Glyphs("#", "+", ":", ".", "v", "^", "=", "-", "[", ">", "|")
"""For a terminal without UTF-8."""


def column(offset: int, size: int, width: int) -> int:
    """Give the cell in which a byte lies; the image's end counts to the last."""
    return min(offset * width // size, width - 1)


def shares(arcs: Iterable[Sequence[int]], size: int, width: int) -> list[float]:
    """Give for each cell how much of it the arcs, which do not overlap, cover: 0 to 1."""
    found = [0.0] * width
    for begin, end in arcs:
        left, right = begin * width / size, end * width / size
        for cell in range(int(left), min(math.ceil(right), width)):
            found[cell] += min(right, cell + 1) - max(left, cell)
    return found


def ring_line(arcs: Iterable[Sequence[int]], size: int, width: int, glyphs: Glyphs) -> Text:
    """Draw what is in the ring."""
    return _painted(_share(share, glyphs) for share in shares(arcs, size, width))


def _share(share: float, glyphs: Glyphs) -> tuple[str, str]:
    whole, half = 0.99, 0.5
    if share >= whole:
        return glyphs.resident, RING
    if share >= half:
        return glyphs.mostly, RING
    return (glyphs.partly, RING) if share > 0 else (glyphs.absent, FAINT)


def head_line(head: int, size: int, width: int, glyphs: Glyphs) -> Text:
    """Draw where the source is read next."""
    at, words = column(head, size, width), f"head {head / size:.1%}"
    if at + 2 + len(words) <= width:
        line = " " * at + f"{glyphs.head} {words}"
    else:
        line = f"{words} {glyphs.head}".rjust(at + 1)
    return Text(line, HEAD, no_wrap=True, overflow="crop")


def scale_line(size: int, width: int) -> Text:
    """Write what the cells stand for: the image's size, and each quarter that has room."""
    line, whole = "0", format_size(size)
    last = width - len(whole)
    for part in range(1, SCALE):
        words = format_size(size * part // SCALE)
        at = width * part // SCALE - len(words) // 2
        if len(line) < at < last - len(words):
            line = line.ljust(at) + words
    return Text(line.ljust(last) + whole, FAINT, no_wrap=True, overflow="crop")


def mark_lines(readers: Iterable[Reader], size: int, width: int, glyphs: Glyphs) -> tuple[Text, Text]:
    """Draw where those stand who still read, and below it who they are."""
    here: dict[int, list[int]] = {}
    for reader in readers:
        if reader["start"] is not None and not has_all(reader):
            here.setdefault(column(reader["position"], size, width), []).append(reader["id"])
    marks = _painted((glyphs.reader, READER) if cell in here else (" ", "") for cell in range(width))
    marks.rstrip()
    line = ""
    for at, label in _labels(here, width):
        line = line.ljust(at) + label
    return marks, Text(line, READER, no_wrap=True, overflow="crop")


def _labels(here: dict[int, list[int]], width: int) -> list[tuple[int, str]]:
    """Give the labels and where they begin; neighbours that would overlap share one."""
    placed: list[tuple[int, str, int, list[int]]] = []
    for cell in sorted(here):
        first, ids = cell, sorted(here[cell])
        while True:
            label = _named(ids)
            at = max(0, min(first, width - len(label)))
            if not placed or placed[-1][0] + len(placed[-1][1]) < at:
                break
            _, _, first, before = placed.pop()
            ids = sorted(before + ids)
        placed.append((at, label, first, ids))
    return [(at, label) for at, label, _, _ in placed]


def _named(ids: list[int]) -> str:
    """Name readers in the order of their numbers: 1-4,7, or how many they are when that is long."""
    runs: list[list[int]] = []
    for reader_id in ids:
        if runs and reader_id == runs[-1][-1] + 1:
            runs[-1].append(reader_id)
        else:
            runs.append([reader_id])
    label = ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return label if len(label) <= LONGEST_LABEL else f"{len(ids)} readers"


def way(reader: Reader, size: int) -> tuple[list[Arc], list[Arc]]:
    """Give what a reader has had since it began, and what is still to go, as arcs.

    One of ``image`` goes to the image's end, the others once round. One that has gone back behind its
    beginning or jumps about has had nothing that could be drawn.
    """
    start, position, left = reader["start"], reader["position"], reader["left"]
    if reader["kind"] != "image":
        return _arcs(start or 0, size - left, size), _arcs(position, left, size)
    had = [(start, position)] if start is not None and start < position and reader["sequential"] else []
    return had, [(position, size)] if position < size else []


def _arcs(begin: int, length: int, size: int) -> list[Arc]:
    end = begin + length
    arcs = [(begin, min(end, size)), (0, max(0, end - size))]
    return [arc for arc in arcs if arc[0] < arc[1]]


def lane(reader: Reader, head: int, size: int, width: int, glyphs: Glyphs) -> Text:
    """Draw one reader's way: where it began, what it has had, where it is, what is still to go."""
    cells = [(" ", "")] * width
    had, to_go = way(reader, size)
    for arcs, painted in ((to_go, (glyphs.to_go, FAINT)), (had, (glyphs.had, HAD))):
        for begin, end in arcs:
            for cell in range(column(begin, size, width), min(math.ceil(end * width / size), width)):
                cells[cell] = painted
    cells[column(head, size, width)] = glyphs.front, HEAD
    if reader["start"] is not None:
        cells[column(reader["start"], size, width)] = glyphs.began, HAD
        if not has_all(reader):
            cells[column(reader["position"], size, width)] = glyphs.at, READER
    return _painted(cells)


def legend(glyphs: Glyphs, *, lanes: bool) -> Text:
    """Say what the signs mean."""
    signs = [
        (glyphs.resident, RING, "in the ring"),
        (glyphs.partly, RING, "partly"),
        (glyphs.head, HEAD, "head"),
    ]
    if lanes:
        signs += [
            (glyphs.began, HAD, "began"),
            (glyphs.had, HAD, "had"),
            (glyphs.at, READER, "now"),
            (glyphs.to_go, FAINT, "to go"),
        ]
    else:
        signs.append((glyphs.reader, READER, "readers"))
    parts: list[Any] = []
    for sign, style, words in signs:
        parts += [(sign, style), (f" {words}  ", FAINT)]
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _painted(cells: Iterable[tuple[str, str]]) -> Text:
    """Join cells into a line, neighbours of one style together."""
    runs = groupby(cells, key=lambda cell: cell[1])
    parts = [("".join(sign for sign, _ in run), style) for style, run in runs]
    return Text.assemble(*parts, no_wrap=True, overflow="crop")
