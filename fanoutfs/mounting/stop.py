"""Taking a mount down from outside, as ``fanoutfs umount`` does."""

import json
import os
import select
from pathlib import Path
from typing import Any

from fanoutfs.errors import UnusableError
from fanoutfs.mounting import mountpoint

END_SECONDS = 15.0
"""The daemon is given so long to end once its mount is gone."""


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
            f"the mount on {point} does not answer ({error.strerror}); take it off with: umount -l {point}"
        ) from error
    return document


def umount(point: Path) -> None:
    """Unmount, and wait until its daemon has ended; raises UnusableError, naming who still reads."""
    point = mountpoint.absolute(point)
    mountpoint.ours(point)
    if not mountpoint.alive(point):
        mountpoint.detach(point, lazy=True)
        return
    status = read_status(point)
    try:
        daemon = os.pidfd_open(status["pid"])
    except ProcessLookupError:
        # The mount belongs to another namespace of processes: its end can't be waited for.
        mountpoint.detach(point, lazy=False)
        return
    try:
        try:
            mountpoint.detach(point, lazy=False)
        except UnusableError as error:
            readers = ", ".join(f"{reader['command']} ({reader['pid']})" for reader in status["readers"])
            if not readers:
                raise
            raise UnusableError(f"{point} is in use by {readers}; let them finish or end them") from error
        if not select.select([daemon], [], [], END_SECONDS)[0]:
            raise UnusableError(
                f"{point} is unmounted, but daemon {status['pid']} has not ended; see its log"
            )
    finally:
        os.close(daemon)
