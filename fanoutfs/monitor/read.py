"""Asking for the status document: of a mount, by reading its file; of a source, at its producer's door."""

import json
import os
from pathlib import Path
from typing import Any

from fanoutfs.coordinator.find import ask_status
from fanoutfs.errors import UnusableError, reason
from fanoutfs.sink import mountpoint
from fanoutfs.sink.mounts import FANOUTFS, mount_at
from fanoutfs.source.positioned import identity_of


def status_of(path: Path) -> dict[str, Any]:
    """Give the status document of the mount on ``path``, or of the producer of the source that it names.

    Raises UnusableError when it is neither.
    """
    point = mountpoint.absolute(path)
    mount = mount_at(point)
    if mount is not None and mount.kind == FANOUTFS:
        return read_status(point)
    try:
        status = path.stat()
    except OSError as error:
        raise UnusableError(f"{path} can't be looked at: {reason(error)}; check its name") from error
    if path.is_dir():
        mountpoint.ours(point)
        return read_status(point)
    document = ask_status(identity_of(status))
    if document is None:
        raise UnusableError(
            f"nobody replicates {path}; name a mount, or a source that a mount or a copy is reading"
        )
    return document


def read_status(point: Path) -> dict[str, Any]:
    """Read the status document of the fanoutfs mount on ``point``; raises UnusableError."""
    mountpoint.ours(mountpoint.absolute(point))
    try:
        document: dict[str, Any] = json.loads((point / ".fanoutfs" / "status").read_bytes())
    except PermissionError as error:
        raise UnusableError(
            f"{point} is another user's; ask as that user, or mount with --allow-other"
        ) from error
    except OSError as error:
        raise UnusableError(
            f"the mount on {point} does not answer ({os.strerror(error.errno or 0)}); "
            f"take it off with: umount -l {point}"
        ) from error
    return document
