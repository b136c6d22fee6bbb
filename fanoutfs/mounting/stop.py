"""Taking a mount down from outside, as ``fanoutfs umount`` does."""

import os
import select
import time
from pathlib import Path
from typing import Any

from fanoutfs.engine.find import ask_status
from fanoutfs.engine.query import read_status
from fanoutfs.errors import UnusableError
from fanoutfs.system import mountinfo, mountpoint

END_SECONDS = 15.0
"""The daemon is given so long to end once its mount is gone."""

LOOK_SECONDS = 0.05


def umount(point: Path) -> int:
    """Unmount, and wait until its daemon has ended, or goes on for copies alone; says how many these are.

    Raises UnusableError, naming who still reads.
    """
    point = mountpoint.absolute(point)
    mountpoint.ours(point)
    if not mountpoint.alive(point):
        mountinfo.detach(point, lazy=True)
        return 0
    status = read_status(point)
    try:
        daemon = os.pidfd_open(status["pid"])
    except ProcessLookupError:
        # The mount belongs to another namespace of processes: its end can't be waited for.
        mountinfo.detach(point, lazy=False)
        return 0
    try:
        try:
            mountinfo.detach(point, lazy=False)
        except UnusableError as error:
            readers = ", ".join(_name(reader, status) for reader in _of_mount(status))
            if not readers:
                raise
            raise UnusableError(f"{point} is in use by {readers}; let them finish or end them") from error
        return _wait_for_end(daemon, status, point)
    finally:
        os.close(daemon)


def _of_mount(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [reader for reader in status["readers"] if reader["kind"] != "copy"]


def _name(reader: dict[str, Any], status: dict[str, Any]) -> str:
    export = status.get("export")
    if export is not None and reader["command"] == "nbdkit":
        return f"an NBD client of the export at port {export['port']} (nbdkit {reader['pid']})"
    return f"{reader['command']} ({reader['pid']})"


def _wait_for_end(daemon: int, before: dict[str, Any], point: Path) -> int:
    """Wait until the daemon has ended, or its mount has and copies keep it; says how many."""
    until = time.monotonic() + END_SECONDS
    while not select.select([daemon], [], [], LOOK_SECONDS)[0]:
        status = ask_status(before["source"]["identity"])
        if status is not None and status["pid"] == before["pid"] and status["mountpoint"] is None:
            copies = len(status["readers"])
            if copies:
                return copies
        if time.monotonic() > until:
            raise UnusableError(
                f"{point} is unmounted, but daemon {before['pid']} has not ended; see its log"
            )
    return 0
