"""The command ``umount``: unmount, and wait until the daemon has ended."""

import stat
import time
from collections.abc import Callable
from pathlib import Path

from fanoutfs.engine.query import ask_first, ask_status, read_status
from fanoutfs.engine.remains import remains, remains_elsewhere, remains_here
from fanoutfs.engine.silence import is_alive
from fanoutfs.errors import NoAnswerError, UnusableError
from fanoutfs.status.document import ReaderEntry, StatusDocument
from fanoutfs.system import mountinfo, mountpoint
from fanoutfs.system.identity import source_identities
from fanoutfs.system.process_end import ProcessEnd

END_SECONDS = 15.0
"""How long the daemon may take to end after its mount is gone."""

NAMESPACE_SECONDS = 3.0
"""After which time it is looked for in other mount namespaces: some last for a moment only."""

POLL_SECONDS = 0.05


def umount(path: Path) -> str:
    """Unmount a mount point, or the mount of a source, and wait until the daemon has ended.

    If copies still use the producer, or the mount is also elsewhere, its daemon does not end: return why,
    without waiting; else an empty string. Raises UnusableError, which names the readers if the mount is busy.
    """
    point = _mount_point(path)
    mount = mountpoint.require_fanoutfs_mount(point)
    if not is_alive(point):
        mountinfo.detach(point, lazy=True)
        return ""
    status = read_status(point)
    try:
        daemon = ProcessEnd.of(status.pid)
    except ProcessLookupError:
        # The daemon is in a different PID namespace, so this process can't wait for its end.
        mountinfo.detach(point, lazy=False)
        return ""
    try:
        try:
            mountinfo.detach(point, lazy=False)
        except UnusableError as error:
            readers = ", ".join(_name(reader, status) for reader in _mount_readers(status))
            if not readers:
                raise
            raise UnusableError(f"{point} is in use by {readers}; let them finish or kill them") from error
        return _wait_for_end(daemon, status, point, mount)
    finally:
        daemon.close()


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
        document = ask_first(source_identities(status))
    if document is None or document.mountpoint is None:
        raise UnusableError(
            f"{path} is neither a mount point nor a mounted source; "
            f"mounts are listed by: findmnt -t {mountinfo.FANOUTFS}"
        )
    served = Path(document.mountpoint)
    there = mountinfo.mount_at(served)
    if there is None or there.kind != mountinfo.FANOUTFS:
        readers = [_name(reader, document) for reader in _mount_readers(document)]
        left = remains(_is_of(document), document.pid, readers)
        raise UnusableError(f"{path} is not mounted on {served} here: {left}")
    device = there.device
    points = [mount.point for mount in mountinfo.visible(mountinfo.mounts()) if mount.device == device]
    if len(points) > 1:
        raise UnusableError(f"{path} is mounted on {', '.join(points)}; name the mount point to unmount")
    return served


def _is_of(document: StatusDocument) -> Callable[[mountinfo.Mount], bool]:
    """Return whether a mount is that of a producer, as far as names tell: its source, or where it was."""
    names = document.source.path, document.mountpoint
    return lambda mount: (
        mount.kind == mountinfo.FANOUTFS and (mount.source == names[0] or mount.point == names[1])
    )


def _mount_readers(status: StatusDocument) -> list[ReaderEntry]:
    return [reader for reader in status.readers if reader.kind != "copy"]


def _name(reader: ReaderEntry, status: StatusDocument) -> str:
    export = status.export
    if export is not None and reader.command == "nbdkit":
        return f"an NBD client of the export at port {export.port} (nbdkit {reader.pid})"
    return f"{reader.command} ({reader.pid})"


def _wait_for_end(daemon: ProcessEnd, before: StatusDocument, point: Path, was: mountinfo.Mount) -> str:
    """Wait until the daemon has ended, or goes on for others: only copies use it, or it is also elsewhere."""

    def is_it(mount: mountinfo.Mount) -> bool:
        # The kernel gives the number of a file system that is gone to the next one at once.
        return (mount.device, mount.kind, mount.source) == (was.device, was.kind, was.source)

    if left := remains_here(is_it):
        return left
    began = time.monotonic()
    while not daemon.within(POLL_SECONDS):
        try:
            status = ask_status(before.source.identity)
        except NoAnswerError as error:
            raise NoAnswerError(f"{point} is unmounted, but {error}") from error
        if status is not None and status.pid == before.pid and status.mountpoint is None:
            copies = len(status.readers)
            if copies:
                return f"its producer goes on for {copies} {'copy' if copies == 1 else 'copies'}"
        waited = time.monotonic() - began
        if waited > NAMESPACE_SECONDS and (left := remains_elsewhere(is_it, before.pid)):
            return left
        if waited > END_SECONDS:
            raise UnusableError(f"{point} is unmounted, but daemon {before.pid} has not ended; see its log")
    return ""
