"""The runtime directory: locks, sockets, logs and links of running processes."""

import os
from pathlib import Path

from fanoutfs.errors import UnusableError


def runtime_folder() -> Path:
    """Return this user's runtime directory, created if missing; a reboot empties it."""
    if os.getuid() == 0:
        folder = Path("/run/fanoutfs")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        folder = Path(runtime) / "fanoutfs"
    else:
        folder = Path(f"/tmp/fanoutfs-{os.getuid()}")  # noqa: S108 (checked below)
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UnusableError(f"{folder} is not a folder that only this user can write; remove it")
    return folder
