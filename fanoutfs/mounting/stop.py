"""The command ``umount``: unmount, and wait until the daemon has ended."""

import os
import stat
import time
from pathlib import Path

from fanoutfs.engine.query import ask_status, read_status
from fanoutfs.engine.silence import is_alive
from fanoutfs.errors import NoAnswerError, UnusableError
from fanoutfs.status.document import ReaderEntry, StatusDocument
from fanoutfs.system import mountinfo, mountpoint
from fanoutfs.system.identity import identity_of
from fanoutfs.system.ready import readable

END_SECONDS = 15.0
"""How long the daemon may take to end after its mount is gone."""

POLL_SECONDS = 0.05


def umount(path: Path) -> int:
    """Unmount a mount point, or the mount of a source, and wait until the daemon has ended.

    If copies still use the producer, its daemon does not end: return their number without waiting. Raises
    UnusableError, which names the readers if the mount is busy.
    """
    point = _mount_point(path)
    mountpoint.require_fanoutfs_mount(point)
    if not is_alive(point):
        mountinfo.detach(point, lazy=True)
        return 0
    status = read_status(point)
    try:
        daemon = os.pidfd_open(status.pid)
    except ProcessLookupError:
        # The daemon is in a different PID namespace, so this process can't wait for its end.
        mountinfo.detach(point, lazy=False)
        return 0
    try:
        try:
            mountinfo.detach(point, lazy=False)
        except UnusableError as error:
            readers = ", ".join(_name(reader, status) for reader in _mount_readers(status))
            if not readers:
                raise
            raise UnusableError(f"{point} is in use by {readers}; let them finish or kill them") from error
        return _wait_for_end(daemon, status, point)
    finally:
        os.close(daemon)


def _mount_point(path: Path) -> Path:
    """Return ``path`` if it is a mount point or a folder, else where the source that it names is mounted."""
    point, mount = mountpoint.locate(path)
    if mountinfo.mount_at(point) is not None:
        return point
    document = None
    if mount is None:
        try:
            status = point.stat()
        except OSError:
            # It does not exist.
            return point
        if stat.S_ISDIR(status.st_mode):
            return point
        document = ask_status(identity_of(status))
    if document is None or document.mountpoint is None:
        raise UnusableError(
            f"{path} is neither a mount point nor a mounted source; "
            f"mounts are listed by: findmnt -t {mountinfo.FANOUTFS}"
        )
    served = Path(document.mountpoint)
    device = mountpoint.require_fanoutfs_mount(served).device
    points = [mount.point for mount in mountinfo.visible(mountinfo.mounts()) if mount.device == device]
    if len(points) > 1:
        raise UnusableError(f"{path} is mounted on {', '.join(points)}; name the mount point to unmount")
    return served


def _mount_readers(status: StatusDocument) -> list[ReaderEntry]:
    return [reader for reader in status.readers if reader.kind != "copy"]


def _name(reader: ReaderEntry, status: StatusDocument) -> str:
    export = status.export
    if export is not None and reader.command == "nbdkit":
        return f"an NBD client of the export at port {export.port} (nbdkit {reader.pid})"
    return f"{reader.command} ({reader.pid})"


def _wait_for_end(daemon: int, before: StatusDocument, point: Path) -> int:
    """Wait until the daemon has ended, or only copies use it; return the number of copies."""
    until = time.monotonic() + END_SECONDS
    while not readable([daemon], POLL_SECONDS):
        try:
            status = ask_status(before.source.identity)
        except NoAnswerError as error:
            raise NoAnswerError(f"{point} is unmounted, but {error}") from error
        if status is not None and status.pid == before.pid and status.mountpoint is None:
            copies = len(status.readers)
            if copies:
                return copies
        if time.monotonic() > until:
            raise UnusableError(f"{point} is unmounted, but daemon {before.pid} has not ended; see its log")
    return 0
