"""Programs of others that fanoutfs runs, and the packages that they come with."""

import shutil

from fanoutfs.errors import UnusableError

PACKAGES = {
    "nbdfuse": ("libnbd-bin", "nbdfuse"),
    "nbdinfo": ("libnbd-bin", "libnbd"),
    "nbdkit": ("nbdkit", "nbdkit"),
    "qemu-nbd": ("qemu-utils", "qemu-img"),
    "xz": ("xz-utils", "xz"),
    "gzip": ("gzip", "gzip"),
    "zstd": ("zstd", "zstd"),
    "bzip2": ("bzip2", "bzip2"),
    "lz4": ("lz4", "lz4"),
    "unzip": ("unzip", "unzip"),
    "curl": ("curl", "curl"),
    "sfdisk": ("fdisk", "util-linux"),
    "blkid": ("util-linux", "util-linux"),
    "partclone": ("partclone", "partclone"),
    "dumpe2fs": ("e2fsprogs", "e2fsprogs"),
    "xfs_logprint": ("xfsprogs", "xfsprogs"),
    "btrfs": ("btrfs-progs", "btrfs-progs"),
    "fsck.hfsplus": ("hfsprogs", "hfsplus-tools"),
    "ssh": ("openssh-client", "openssh-clients"),
}
"""For each program its package in Debian and its package in Fedora."""


def require_programs(*programs: str) -> None:
    """Raise UnusableError, which names the packages, if one of these programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            raise UnusableError(missing(program))


def missing(program: str) -> str:
    """Return the message for a program that is not installed."""
    if program not in PACKAGES:
        return f"{program} is not installed"
    debian, fedora = PACKAGES[program]
    return f"{program} is not installed; install it with: apt install {debian} (Fedora: dnf install {fedora})"
