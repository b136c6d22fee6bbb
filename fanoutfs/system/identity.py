"""The identity of a disk or file, which decides whether a target is the source.

Many paths and links can name one disk or file; its identity is the same for all of them. It is valid on this
machine only, until the disk is unplugged or the file is removed.
"""

import os
import stat

from fanoutfs.system.mountinfo import Mount


def identity_of(status: os.stat_result) -> str:
    """Return the identity of the block device or file that stat(2) describes."""
    return disk_identity(status.st_rdev) if stat.S_ISBLK(status.st_mode) else file_identity(status)


def disk_identity(number: int | str) -> str:
    """Return the identity of a block device: by its st_rdev, or by "8:16" as /sys and lsblk write that."""
    return f"disk-{number if isinstance(number, str) else _device(number)}"


def file_identity(status: os.stat_result) -> str:
    """Return the identity of a file: the device number of its file system, and its inode."""
    return inode_identity(status.st_dev, status.st_ino)


def inode_identity(device: int, inode: int) -> str:
    """Return the identity of a file by the device number of its file system, as in st_dev, and its inode."""
    return f"file-{_device(device)}-{inode}"


def image_identity(file: str) -> str:
    """Return the identity of the disk within an image file, which is not that of the file as it lies."""
    return f"image-{file}"


def source_identities(status: os.stat_result) -> tuple[str, ...]:
    """Return the identities that a disk or file can have as a source."""
    found = identity_of(status)
    return found, image_identity(found)


def new_file_identity(folder: os.stat_result, name: str) -> str:
    """Return the identity of a file that does not exist yet: its folder's, and its name there."""
    return f"new-{_device(folder.st_dev)}-{folder.st_ino}-{name}"


def served_identity(mount: Mount, path: str) -> str:
    """Return the identity of a file in a mount that must not be touched to find it out."""
    return f"served-{mount.major}:{mount.minor}-{path}"


def mounted_device(mount: Mount) -> str:
    """Return the identity of the block device whose number a mounted file system has."""
    return disk_identity(f"{mount.major}:{mount.minor}")


def _device(number: int) -> str:
    return f"{os.major(number)}:{os.minor(number)}"
