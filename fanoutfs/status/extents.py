"""The parts of the image that a reader has received and still needs. No I/O, no clock."""

from fanoutfs.status.document import ReaderEntry

Arc = tuple[int, int]
"""Bytes of the image, [begin, end); it does not cross the end of the image."""


def extents(reader: ReaderEntry, size: int) -> tuple[list[Arc], list[Arc]]:
    """Return what a reader has received since it began, and what it still needs, as arcs.

    A reader of ``image`` continues to the end of the image, the others go round once. What a reader
    of ``image`` has received is not known if it has seeked back behind its first read, or reads
    non-sequentially.
    """
    start, position, left = reader.start, reader.position, reader.left
    if reader.kind != "image":
        # From the positions: what is left of a copy does not count the holes.
        begin = start or 0
        had = size if left == 0 else (position - begin) % size
        return _arcs(begin, had, size), _arcs(position, size - had, size)
    received = [(start, position)] if start is not None and start < position and reader.sequential else []
    return received, [(position, size)] if position < size else []


def _arcs(begin: int, length: int, size: int) -> list[Arc]:
    end = begin + length
    arcs = [(begin, min(end, size)), (0, max(0, end - size))]
    return [arc for arc in arcs if arc[0] < arc[1]]
