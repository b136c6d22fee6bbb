"""Programs of others that fanoutfs runs, and the packages that they come with."""

import shutil

import attrs

from fanoutfs.errors import UnusableError


@attrs.frozen
class Packages:
    """The package of a program in each distribution; None: it has none there."""

    debian: str
    """In Ubuntu, too."""
    fedora: str
    arch: str | None


PACKAGES = {
    "fusermount3": Packages("fuse3", "fuse3", "fuse3"),
    "libfuse": Packages("fuse3", "fuse3-libs", "fuse3"),
    "nbdfuse": Packages("libnbd-bin", "nbdfuse", "libnbd"),
    "nbdinfo": Packages("libnbd-bin", "libnbd", "libnbd"),
    "nbdkit": Packages("nbdkit", "nbdkit", "nbdkit"),
    "nbdkit's ssh plugin": Packages("nbdkit", "nbdkit-ssh-plugin", "nbdkit"),
    "nbdkit's curl plugin": Packages("nbdkit", "nbdkit-curl-plugin", "nbdkit"),
    "qemu-nbd": Packages("qemu-utils", "qemu-img", "qemu-img"),
    "xz": Packages("xz-utils", "xz", "xz"),
    "gzip": Packages("gzip", "gzip", "gzip"),
    "zstd": Packages("zstd", "zstd", "zstd"),
    "bzip2": Packages("bzip2", "bzip2", "bzip2"),
    "lz4": Packages("lz4", "lz4", "lz4"),
    "unzip": Packages("unzip", "unzip", "unzip"),
    "curl": Packages("curl", "curl", "curl"),
    "ssh": Packages("openssh-client", "openssh-clients", "openssh"),
    "lsblk": Packages("util-linux", "util-linux", "util-linux"),
    "blkid": Packages("util-linux", "util-linux", "util-linux"),
    "sfdisk": Packages("fdisk", "util-linux", "util-linux"),
    "partclone": Packages("partclone", "partclone", "partclone"),
    "dumpe2fs": Packages("e2fsprogs", "e2fsprogs", "e2fsprogs"),
    "xfs_logprint": Packages("xfsprogs", "xfsprogs", "xfsprogs"),
    "btrfs": Packages("btrfs-progs", "btrfs-progs", "btrfs-progs"),
    "fsck.hfsplus": Packages("hfsprogs", "hfsplus-tools", None),
}
"""By program, or by what it consists of. docs/install.md lists them for each feature."""


def require_programs(*programs: str) -> None:
    """Raise UnusableError, which names the packages, if one of these programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            raise UnusableError(missing(program))


def missing(program: str) -> str:
    """Return the message for a program that is not installed."""
    remedy = install(program)
    return f"{program} is not installed" + (f"; install it with: {remedy}" if remedy else "")


def install(*programs: str) -> str:
    """Return the commands that install programs; empty if their packages are not known."""
    known = [PACKAGES[program] for program in programs if program in PACKAGES]
    if not known:
        return ""
    debian, fedora, arch = (" ".join(dict.fromkeys(filter(None, names))) for names in _columns(known))
    others = f"Fedora: dnf install {fedora}" + (f"; Arch: pacman -S {arch}" if arch else "")
    return f"apt install {debian} ({others})"


def _columns(packages: list[Packages]) -> list[list[str | None]]:
    return [
        [one.debian for one in packages],
        [one.fedora for one in packages],
        [one.arch for one in packages],
    ]
