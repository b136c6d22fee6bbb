"""An image in a format, such as qcow2: QEMU shows the disk within it.

The file itself stays open and locked, as any other source does, so that no copy is written to it. What it
names besides itself (a backing file) is locked by QEMU.
"""

from typing import Self

import attrs

from fanoutfs.errors import UnusableError
from fanoutfs.remote.file_address import ImageAddress
from fanoutfs.remote.nbd_source import ExportedSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.source.changes import ChangeWatch
from fanoutfs.source.formats import ImageFormat
from fanoutfs.source.image_header import facts
from fanoutfs.source.local import require_same
from fanoutfs.source.watched import WatchedSource
from fanoutfs.source.wrapper import Wrapper
from fanoutfs.system.identity import image_identity
from fanoutfs.system.undo import undone_on_failure


@attrs.define(eq=False)
class ImageSource(Wrapper):
    """The disk within an image, as QEMU shows it; owns the file of the image, and the link to QEMU."""

    path: str
    """Of the image."""
    identity: str
    _file: WatchedSource | ExportedSource

    @classmethod
    def open(cls, path: str, kind: ImageFormat, *, strict: bool) -> Self:
        """Open an image of this computer; raises UnusableError, or SourceChangedError.

        ``strict``: a file that is written to meanwhile is not read on.
        """
        file = WatchedSource.open(path)
        file.watch.strict = strict
        with undone_on_failure(file.close):
            disk = ExportedSource.open(ImageAddress(path, kind.qemu_driver), RemoteKeys())
            with undone_on_failure(disk.close):
                # QEMU opens it by its name.
                require_same(path, file)
        return cls(disk, path, image_identity(file.identity), file)

    @classmethod
    def over(cls, link: ExportedSource, kind: ImageFormat) -> Self:
        """Open an image that a link shows; on failure the link stays open. Raises UnusableError."""
        address = ImageAddress(link.shown_at, kind.qemu_driver, direct=True)
        disk = ExportedSource.open(address, RemoteKeys(), path=link.path)
        return cls(disk, link.path, link.identity, link)

    @property
    def watch(self) -> ChangeWatch | None:
        """What becomes of the file; None: that is not looked at."""
        return self._file.watch if isinstance(self._file, WatchedSource) else None

    @property
    def origin(self) -> str:
        """Its identity: nobody else has these bytes."""
        return self.identity

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``."""
        try:
            super().read_into(offset, length, slots)
        finally:
            if isinstance(self._file, WatchedSource):
                self._file.require_unchanged()

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors of the link, and of the file."""
        return (*super().descriptors(), *self._file.descriptors())

    def close(self) -> None:
        """Close both in this process."""
        super().close()
        self._file.close()


def require_served(kind: ImageFormat, named: str, head: bytes, tail: bytes, *, vouched: bool) -> None:
    """Raise UnusableError for an image that is encrypted, or that may name any file of this computer.

    ``vouched``: its owner has said that it is of this format.
    """
    found = facts(kind, head, tail)
    if found.obstacle:
        raise UnusableError(
            f"the source {named} is {kind.what}, and {found.obstacle}; "
            f"convert it with qemu-img, or copy it as it lies: raw:{named}"
        )
    if found.others and not vouched:
        raise UnusableError(
            f"the source {named} is {kind.what} that names {found.others}, which may be any file of "
            f"this computer; if you trust it: {kind.name}:{named}; to copy it as it lies: raw:{named}"
        )
