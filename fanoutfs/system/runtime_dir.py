"""Where what lives as long as we do lies: locks, sockets, logs, links."""

import os
from pathlib import Path

from fanoutfs.errors import UnusableError


def runtime_folder() -> Path:
    """Give, made when missing, this user's folder for locks and logs, which a reboot empties."""
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
