"""Keeps the map of bad places: writes it to its file while the source is read, and at the end."""

import logging

import attrs
import trio

from fanoutfs.errors import UnusableError, reason
from fanoutfs.source.bad_map import BadMap
from fanoutfs.source.contract import Source
from fanoutfs.source.map_file import MapFile
from fanoutfs.source.mapfile import Mapfile
from fanoutfs.status.text import printable

log = logging.getLogger(__name__)

WRITE_SECONDS = 5.0
"""How often it is written, if it has changed."""

END_SECONDS = 5.0
"""How long the last time may take."""


@attrs.define(eq=False)
class MapTask:
    """The map of one source; with a file, or without."""

    source: Source
    map: BadMap
    _file: MapFile | None
    _failed: bool = attrs.field(default=False, init=False)

    @classmethod
    def open(cls, source: Source, file: MapFile | None, given: Mapfile) -> "MapTask":
        """Return the task, and write the map for the first time; raise UnusableError if that fails."""
        found = cls(source, BadMap.of(given, source.size), file)
        try:
            found._write()
        except OSError as error:
            assert file is not None
            file.close()
            raise UnusableError(
                f"--mapfile {file.path} can't be written: {reason(error)}; name a file elsewhere"
            ) from error
        return found

    def text(self) -> str:
        """Return the map as text."""
        return self.map.mapfile(self.source.size).format(self._comments())

    def _comments(self) -> tuple[str, ...]:
        return ("Mapfile. Created by fanoutfs", f"Source: {printable(self.source.path)}")

    def _write(self) -> None:
        if self._file is not None:
            self._file.write(self.map.mapfile(self.source.size), self._comments())

    async def run(self) -> None:
        """Write the map from time to time, until cancelled, and then once more."""
        try:
            while True:
                await trio.sleep(WRITE_SECONDS)
                await self.save()
        finally:
            with trio.move_on_after(END_SECONDS, shield=True) as ending:
                await self.save()
            if ending.cancelled_caught and self._file is not None:
                log.warning("%s has not been written within %g seconds", self._file.path, END_SECONDS)

    async def save(self) -> None:
        """Write the map if it has changed; a checkpoint. A failure is logged, once."""
        try:
            await trio.to_thread.run_sync(self._write, abandon_on_cancel=True)
        except OSError as error:
            if not self._failed and self._file is not None:
                log.warning("the map %s can't be written: %s", self._file.path, reason(error))
            self._failed = True
        else:
            self._failed = False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
