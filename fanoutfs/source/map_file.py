"""The file of ``--mapfile``: read at the start, and replaced as a whole while the source is read."""

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path
from typing import Self

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.source.mapfile import Mapfile, MapfileError

LARGEST = 256 * 1024 * 1024
"""Bytes: a file that is larger is no map."""


@attrs.define(eq=False)
class MapFile:
    """A map of bad places on disk.

    Its folder stays open: its path may lie below the mount by the time it is written, and a daemon that
    touches its own mount waits for itself.
    """

    path: Path
    _folder: int
    _name: str
    _mode: int
    _written: str = attrs.field(default="", init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    """An attempt to write may hang when the next one is made, in a different thread."""

    @classmethod
    def open(cls, path: Path, size: int) -> tuple[Self, Mapfile]:
        """Return the file, and what it says of a source of ``size`` bytes. Raise UnusableError.

        A file that does not exist, or is empty, says nothing.
        """
        real = Path(os.path.realpath(path))
        with contextlib.ExitStack() as undo:
            try:
                folder = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                undo.callback(os.close, folder)
                text, mode = _read(folder, real.name)
            except OSError as error:
                raise UnusableError(
                    f"--mapfile {path} can't be read: {reason(error)}; name a file"
                ) from error
            try:
                found = Mapfile.parse(text) if _says_something(text) else Mapfile(())
            except MapfileError as error:
                raise UnusableError(
                    f"--mapfile {path} is not a map of GNU ddrescue: {error}; name a different file"
                ) from error
            if found.regions and found.end != size:
                raise UnusableError(
                    f"--mapfile {path} is of a source of {found.end} bytes, this one has {size}; "
                    "name a different file"
                )
            undo.pop_all()
        return cls(path, folder, real.name, mode), found

    def write(self, mapfile: Mapfile, comments: tuple[str, ...]) -> None:
        """Replace the file, unless it is as it was written last. Raise OSError.

        There is always a whole map: the new one gets the name when it is on the disk.
        """
        text = mapfile.format(comments)
        with self._lock:
            if text == self._written:
                return
            new = f".{self._name}.fanoutfs-new"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(new, flags, self._mode, dir_fd=self._folder)
            try:
                with os.fdopen(fd, "w") as file:
                    os.fchmod(fd, self._mode)
                    file.write(text)
                    file.flush()
                    os.fsync(fd)
                os.rename(new, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                os.fsync(self._folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(new, dir_fd=self._folder)
                raise
            self._written = text

    def close(self) -> None:
        """Close its folder."""
        os.close(self._folder)


def _read(folder: int, name: str) -> tuple[str, int]:
    """Return the text of a file, and its mode; without such a file, what a new one has."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return "", 0o600
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        return file.read(min(status.st_size, LARGEST)).decode(errors="replace"), status.st_mode & 0o777


def _says_something(text: str) -> bool:
    return any(line.partition("#")[0].strip() for line in text.split("\n"))
