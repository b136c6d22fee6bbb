"""The runtime directory: locks, sockets, logs and links of running processes."""

import os
from collections.abc import Iterator
from pathlib import Path

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.paths import find

LONGEST = 60
"""Bytes. A longer path would leave too little of a socket's 107 (unix(7)) for the name of a source."""


def runtime_folder() -> Path:
    """Return this user's runtime directory, created if missing; a reboot empties it.

    Where the usual place is missing, read-only or another user's, the folder is in /tmp. Raise UnusableError;
    NoAnswerError when the file system of a place does not answer.
    """
    failures = []
    for folder in _candidates():
        try:
            find(str(folder))
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
            if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
                failures.append(f"{folder} (not a folder that only this user can write; remove it)")
            elif os.access(folder, os.W_OK | os.X_OK):
                # Rights say nothing of a file system that is read-only.
                return folder
            else:
                failures.append(f"{folder} (not writable)")
        except OSError as error:
            failures.append(f"{folder} ({reason(error)})")
    raise UnusableError(
        f"locks and sockets need a folder, and none of these can be used: {', '.join(failures)}; make one "
        "of them writable"
    )


def _candidates() -> Iterator[Path]:
    """Yield the places for the folder, the best first."""
    user = os.getuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if user == 0:
        yield Path("/run/fanoutfs")
    elif runtime.startswith("/") and len(os.fsencode(runtime)) <= LONGEST:
        yield Path(runtime) / "fanoutfs"
    yield Path(f"/tmp/fanoutfs-{user}")  # noqa: S108 (only used if no other user can write to it)
