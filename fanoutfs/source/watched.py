"""A disk or file that is compared with what it was, each time it is read."""

import os
import stat
import time
from pathlib import Path

import attrs

from fanoutfs.source.changes import ChangeWatch, Stamp
from fanoutfs.source.contract import LostError
from fanoutfs.source.local import PositionedSource
from fanoutfs.system.identity import identity_of

LOOK_SECONDS = 1.0
"""How often its path is looked at. The open file is asked after each read, which takes a microsecond."""


@attrs.define(eq=False)
class WatchedSource(PositionedSource):
    """A block device or a regular file whose changes are errors."""

    watch: ChangeWatch = attrs.field(init=False)
    _look_at: float = attrs.field(default=0.0, init=False)

    @watch.default
    def _begin(self) -> ChangeWatch:
        return ChangeWatch(self._stamp())

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``. Raises LostError when the source is not the one that was opened."""
        try:
            super().read_into(offset, length, slots)
        finally:
            # After the read: what was read before a change is right.
            trouble = self._look()
        if trouble:
            raise LostError(None, trouble)

    def require_unchanged(self) -> None:
        """Raise LostError if it is not what was opened: a program has just read it."""
        if trouble := self._look():
            raise LostError(None, trouble)

    def _look(self) -> str:
        return self.watch.look(self._stamp(), replaced=self._is_replaced())

    def _stamp(self) -> Stamp:
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            return Stamp(os.lseek(self._fd, 0, os.SEEK_END))
        return Stamp(status.st_size, status.st_mtime_ns)

    def _is_replaced(self) -> bool:
        """Return whether its path names something else; one that was removed is still what it was."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        try:
            return identity_of(Path(self.path).stat()) != self.identity
        except OSError:
            return False
