"""The image as a line of cells. No I/O: status document in, text out.

    ```
                            ▼ head 43.1%
    ░░░░░░░░░░░░▒▓██████████░░░░░░░░░░░░░░░░░░░      resident in the ring
                   ▲       ▲                         readers,
                   3       1,4                       and their ids
    ══►────────────────────────────├════════════      a lane: one reader, which began at ├
    ```

Every line has the requested width, and a column of cells stands for the same part of the image in every line.
The glyphs exist on the Linux console and are distinguishable without colour. The colours are the terminal's
own, so they work on light and dark backgrounds.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

import attrs
from rich.text import Text

from fanoutfs.status.document import ReaderEntry
from fanoutfs.status.extents import extents
from fanoutfs.status.wording import has_all
from fanoutfs.units import format_size

RING, HEAD, READER, HAD, FAINT = "green", "bold red", "bold", "cyan", "dim"
"""Styles; yellow and the bright colours are unreadable on white."""

LONGEST_LABEL = 14
"""Characters; a longer list of ids is replaced by the number of readers."""

SCALE = 4
"""Parts of the image that the scale marks."""


@attrs.frozen
class Glyphs:
    """The characters that are drawn."""

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
    """The head, in a lane."""


LINES = Glyphs()
ASCII = Glyphs("#", "+", ":", ".", "v", "^", "=", "-", "[", ">", "|")
"""For terminals without UTF-8."""


def column(offset: int, size: int, width: int) -> int:
    """Return the cell that contains a byte; the end of the image belongs to the last cell."""
    return min(offset * width // size, width - 1)


def shares(arcs: Iterable[Sequence[int]], size: int, width: int) -> list[float]:
    """Return which share of each cell the arcs, which must not overlap, cover: 0 to 1."""
    found = [0.0] * width
    for begin, end in arcs:
        left, right = begin * width / size, end * width / size
        for cell in range(int(left), min(math.ceil(right), width)):
            found[cell] += min(right, cell + 1) - max(left, cell)
    return found


def ring_line(arcs: Iterable[Sequence[int]], size: int, width: int, glyphs: Glyphs) -> Text:
    """Draw which parts of the image are resident in the ring."""
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
    at, text = column(head, size, width), f"head {head / size:.1%}"
    if at + 2 + len(text) <= width:
        line = " " * at + f"{glyphs.head} {text}"
    else:
        line = f"{text} {glyphs.head}".rjust(at + 1)
    return Text(line, HEAD, no_wrap=True, overflow="crop")


def scale_line(size: int, width: int) -> Text:
    """Return the scale: the size of the image, and each quarter that fits."""
    line, whole = "0", format_size(size)
    last = width - len(whole)
    for part in range(1, SCALE):
        mark = format_size(size * part // SCALE)
        at = width * part // SCALE - len(mark) // 2
        if len(line) < at < last - len(mark):
            line = line.ljust(at) + mark
    return Text(line.ljust(last) + whole, FAINT, no_wrap=True, overflow="crop")


def mark_lines(readers: Iterable[ReaderEntry], size: int, width: int, glyphs: Glyphs) -> tuple[Text, Text]:
    """Draw the positions of the incomplete readers, and their ids below."""
    here: dict[int, list[int]] = {}
    for reader in readers:
        if reader.start is not None and not has_all(reader):
            here.setdefault(column(reader.position, size, width), []).append(reader.id)
    marks = _painted((glyphs.reader, READER) if cell in here else (" ", "") for cell in range(width))
    marks.rstrip()
    line = ""
    for at, label in _labels(here, width):
        line = line.ljust(at) + label
    return marks, Text(line, READER, no_wrap=True, overflow="crop")


def _labels(here: dict[int, list[int]], width: int) -> list[tuple[int, str]]:
    """Return the labels and their first cells; neighbours that would overlap share one label."""
    placed: list[tuple[int, str, int, list[int]]] = []
    for cell in sorted(here):
        first, ids = cell, sorted(here[cell])
        while True:
            label = _label(ids)
            at = max(0, min(first, width - len(label)))
            if not placed or placed[-1][0] + len(placed[-1][1]) < at:
                break
            _, _, first, before = placed.pop()
            ids = sorted(before + ids)
        placed.append((at, label, first, ids))
    return [(at, label) for at, label, _, _ in placed]


def _label(ids: list[int]) -> str:
    """Return the ids in ascending order, as 1-4,7, or the number of readers if that is too long."""
    runs: list[list[int]] = []
    for reader_id in ids:
        if runs and reader_id == runs[-1][-1] + 1:
            runs[-1].append(reader_id)
        else:
            runs.append([reader_id])
    label = ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return label if len(label) <= LONGEST_LABEL else f"{len(ids)} readers"


def lane(reader: ReaderEntry, head: int, size: int, width: int, glyphs: Glyphs) -> Text:
    """Draw one reader: where it began, what it has received, where it is, and what it still needs."""
    cells = [(" ", "")] * width
    had, to_go = extents(reader, size)
    for arcs, painted in ((to_go, (glyphs.to_go, FAINT)), (had, (glyphs.had, HAD))):
        for begin, end in arcs:
            for cell in range(column(begin, size, width), min(math.ceil(end * width / size), width)):
                cells[cell] = painted
    cells[column(head, size, width)] = glyphs.front, HEAD
    if reader.start is not None:
        cells[column(reader.start, size, width)] = glyphs.began, HAD
        if not has_all(reader):
            cells[column(reader.position, size, width)] = glyphs.at, READER
    return _painted(cells)


def legend(glyphs: Glyphs, *, lanes: bool) -> Text:
    """Return the meaning of the glyphs."""
    signs = [
        (glyphs.resident, RING, "in the ring"),
        (glyphs.partly, RING, "partly"),
        (glyphs.head, HEAD, "head"),
    ]
    if lanes:
        signs += [
            (glyphs.began, HAD, "began"),
            (glyphs.had, HAD, "received"),
            (glyphs.at, READER, "now"),
            (glyphs.to_go, FAINT, "to go"),
        ]
    else:
        signs.append((glyphs.reader, READER, "readers"))
    parts: list[tuple[str, str]] = []
    for sign, style, text in signs:
        parts += [(sign, style), (f" {text}  ", FAINT)]
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _painted(cells: Iterable[tuple[str, str]]) -> Text:
    """Join cells into a line; neighbours with the same style become one span."""
    runs = groupby(cells, key=lambda cell: cell[1])
    parts = [("".join(sign for sign, _ in run), style) for style, run in runs]
    return Text.assemble(*parts, no_wrap=True, overflow="crop")
