"""Whether the daemon of a mount lives, and what to do about one that does not answer."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fanoutfs.engine.find import connect
from fanoutfs.errors import FanoutError, NoAnswerError
from fanoutfs.remote.address import is_url
from fanoutfs.remote.file_address import identities
from fanoutfs.remote.file_address import parse as parse_address
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.remote.source_argument import is_made
from fanoutfs.system import bounded, mountpoint
from fanoutfs.system.identity import source_identities
from fanoutfs.system.mountinfo import Mount, mount_at
from fanoutfs.system.proc import why_silent


def is_alive(point: Path) -> bool:
    """Return whether the daemon of the mount on ``point`` lives; raise NoAnswerError if it is silent."""
    try:
        return mountpoint.responds(point)
    except TimeoutError as error:
        raise silent(point) from error


def silent(point: Path) -> NoAnswerError:
    """Return the error for the mount on ``point``; it names the daemon, where that can be found."""
    mount = mount_at(point)
    pid = None if mount is None else _daemon(mount)
    why = "its daemon is stopped or hangs" if pid is None else why_silent(pid)
    return NoAnswerError(
        f"the mount on {point} has not answered for {bounded.ANSWER_SECONDS:g} seconds: {why}; "
        f"to take the mount down: umount -l {point}"
    )


def _daemon(mount: Mount) -> int | None:
    """Return the process that listens for this mount's source; None if that is not known."""
    try:
        producer = next((found for one in _identities(mount.source) if (found := connect(one))), None)
    except (OSError, FanoutError):
        return None
    if producer is None:
        return None
    pid = producer.peer
    producer.close()
    return pid


def _identities(source: str) -> Sequence[str]:
    """Return the identities that a source can have, by its path or address; raise OSError or FanoutError."""
    if is_made(source):
        return [resolve(source, RemoteKeys()).identity]
    if is_url(source):
        return identities(parse_address(source))
    status = bounded.call_within(bounded.ANSWER_SECONDS, partial(Path.stat, Path(source)))
    return source_identities(status)
