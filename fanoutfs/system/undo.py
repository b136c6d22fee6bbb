"""What is taken back when a step fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def undone_on_failure(undo: Callable[[], object]) -> Iterator[None]:
    """Call ``undo`` when an exception leaves the block, then let it pass.

    Any exception: after a signal, too, no source may stay open or locked, and no program may stay behind.
    """
    try:
        yield
    except BaseException:
        undo()
        raise
