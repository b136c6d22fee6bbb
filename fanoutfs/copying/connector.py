"""What is copied: a mount's image, or a source named by its own path or address; and its producer."""

import sys
from functools import partial
from pathlib import Path

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.engine.find import claim_or_find, connect
from fanoutfs.engine.lock import ProducerLock
from fanoutfs.engine.query import ask_status, read_status
from fanoutfs.errors import UnusableError
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.remote.source_argument import local_path
from fanoutfs.settings import Settings, SourceSettings
from fanoutfs.source.formats import split_prefix
from fanoutfs.source.pipe_argument import require_plain
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.wrapper import find_layer
from fanoutfs.status.text import printable
from fanoutfs.system import mountpoint
from fanoutfs.system.undo import undone_on_failure

IMAGE_NAMES = ("image", "carousel")
"""The files of a mount that stand for its source."""


@attrs.frozen
class NamedSource:
    """The source that the user named."""

    path: str
    """Of the source itself, also where a mount was named."""
    identity: str
    origin: str | None
    """What identifies its bytes where they come from; None: not known."""
    size: int
    """Bytes."""
    argument: str = attrs.field(kw_only=True, default=attrs.Factory(lambda self: self.path, takes_self=True))
    """The argument that names it for every process here."""
    mounted: Path | None = None
    """The mount that was named; its producer is running, and none can replace it."""
    is_pipe: bool = False

    @property
    def local_path(self) -> str | None:
        """Return the path of its disk or file if it has one on this computer."""
        return None if self.is_pipe else local_path(self.path)


def find_source(
    argument: str, keys: RemoteKeys, how: SourceSettings
) -> tuple[NamedSource, OpenSource | None]:
    """Return the source that an argument names; raise UsageError or UnusableError when it can't be one.

    The size of an NBD export is known to its producer, or once the export is open: it is opened only when it
    has no producer here, and returned open for the producer to start.
    """
    _, name = split_prefix(argument)
    point = _mount_of(Path(name)) if local_path(name) == name else None
    if point is not None:
        found = read_status(point).source
        return NamedSource(found.path, found.identity, None, found.size, mounted=point), None
    resolved = resolve(argument, keys, how)
    if resolved.warning is not None:
        print(f"fanoutfs: warning: {resolved.warning}", file=sys.stderr)
    named = partial(
        NamedSource,
        resolved.path,
        resolved.identity,
        argument=resolved.argument,
        is_pipe=resolved.once,
    )
    if resolved.size is not None:
        return named(resolved.origin, resolved.size), None
    document = ask_status(resolved.identity)
    if document is not None:
        found = document.source
        return named(found.origin or found.identity, found.size), None
    opened = resolved.open()
    source = opened.source
    if (pipe := find_layer(source, PipeSource)) is not None:
        # Nothing is written before it is known that there is something to write.
        with undone_on_failure(source.close):
            raw = bool(resolved.prefix) or not resolved.once
            require_plain(pipe, resolved.path, raw=raw, waits=True)
    if (line := opened.taken_for(argument)) is not None:
        print(f"fanoutfs: {printable(line)}", file=sys.stderr)
    return named(source.origin, source.size), opened


def _mount_of(path: Path) -> Path | None:
    """Return the fanoutfs mount that a path is, or the image of; raise UnusableError for its other files."""
    place, mount = mountpoint.locate(path)
    if mount is None:
        return None
    point = Path(mount.point)
    if place not in (point, *(point / name for name in IMAGE_NAMES)):
        raise UnusableError(f"{path} is not the image of the mount on {point}; name {point / 'image'}")
    return point


@attrs.frozen
class ProducerConnector:
    """Finds the producer of a source, or starts one."""

    source: NamedSource
    keys: RemoteKeys
    settings: Settings
    """For the producer, if it has to be started."""
    log_path: Path | None
    replaces: bool = True
    """Whether a producer that has ended can be replaced; a pipe can't be read again."""

    def connect(self, opened: OpenSource | None = None) -> ControlConnection:
        """Connect to the running producer, or start one; raise UnusableError.

        ``opened`` is for a producer that is started; otherwise it is closed here.
        """
        if self.source.mounted is not None:
            producer = connect(self.source.identity)
            if producer is None:
                raise UnusableError(
                    f"the mount on {self.source.mounted} belongs to another user, or has just ended"
                )
            return producer
        while not isinstance(
            found := claim_or_find(self.source.identity, self.source.path), ControlConnection
        ):
            self._start(found, opened)
            opened = None
        if opened is not None:
            opened.source.close()
        return found

    def _start(self, claim: ProducerLock, opened: OpenSource | None) -> None:
        """Start a producer, which takes over the lock and the open source."""
        if not self.replaces:
            claim.release()
            raise UnusableError(
                f"the process that read the pipe {self.source.path} has ended, and a pipe can't be read again"
            )
        # Only a command that starts a producer needs trio and pyfuse3.
        from fanoutfs.engine import daemon  # noqa: PLC0415

        with undone_on_failure(claim.release):
            # Resolved anew: while the user was asked, a service may have got a different source.
            opened = opened or resolve(self.source.argument, self.keys, self.settings.source).open()
        pipe, pid = daemon.start(claim, opened, self.settings, daemon.wait_for_users, self.log_path)
        try:
            daemon.receive_start(pipe, f"{self.source.path} was read", pid)
        finally:
            pipe.close()
