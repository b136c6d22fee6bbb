"""What this process needs for a FUSE mount: the device, and the right to mount or a program that has it.

libfuse mounts by itself where it may (CAP_SYS_ADMIN), else through fusermount3, which belongs to root and has
the setuid bit. Both open /dev/fuse with the rights of the user. See fuse(4), mount.fuse3(8), capabilities(7).
"""

import os
import shutil
import stat
from functools import partial
from pathlib import Path

import attrs

from fanoutfs.errors import NoAnswerError
from fanoutfs.system.bounded import ANSWER_SECONDS, call_within

FUSE = Path("/dev/fuse")
FUSE_CONF = Path("/etc/fuse.conf")

FUSECTL = Path("/sys/fs/fuse/connections")
BDI = Path("/sys/class/bdi")
"""Where a mount is tuned."""

DEVICE = os.makedev(10, 229)
"""Documentation/admin-guide/devices.txt in the kernel's sources."""

CAP_SYS_ADMIN = 1 << 21


@attrs.frozen(kw_only=True)
class FuseAccess:
    """What the machine and this process have."""

    error: int | None = None
    """Why the device can't be opened (errno)."""
    is_device: bool = True
    """What is at its path is the device of FUSE."""
    kernel: bool = True
    """The kernel has FUSE, built in or loaded."""
    root: bool
    may_mount: bool
    """It has CAP_SYS_ADMIN."""
    may_gain: bool = True
    """A program with the setuid bit gets CAP_SYS_ADMIN: no container or service prevents that."""
    helper: str | None = "/usr/bin/fusermount3"
    """The path of fusermount3."""
    helper_is_privileged: bool = True
    """It has the setuid bit or capabilities, and lies where these count."""
    all_may_share: bool = True
    """/etc/fuse.conf has user_allow_other, or can't be read."""


def fuse_access() -> FuseAccess:
    """Return what there is here. Raise NoAnswerError."""
    error, is_device = _open(FUSE)
    status = _status()
    helper = _helper()
    return FuseAccess(
        error=error,
        is_device=is_device,
        kernel="\tfuse\n" in Path("/proc/filesystems").read_text(),
        root=os.geteuid() == 0,
        may_mount=may_mount(),
        may_gain=bool(int(status["CapBnd"], 16) & CAP_SYS_ADMIN) and int(status.get("NoNewPrivs", 0)) == 0,
        helper=helper,
        helper_is_privileged=helper is not None and _is_privileged(helper),
        all_may_share=_all_may_share(),
    )


def _helper() -> str | None:
    try:
        return call_within(ANSWER_SECONDS, partial(shutil.which, "fusermount3"))
    except TimeoutError as error:
        if may_mount():
            # It needs no helper.
            return None
        raise NoAnswerError(
            f"fusermount3 can't be looked for: a folder of PATH has been silent for {ANSWER_SECONDS:g} "
            "seconds; take the folders on file systems that do not answer out of PATH"
        ) from error


def may_mount() -> bool:
    """Return whether this process has CAP_SYS_ADMIN."""
    return bool(int(_status()["CapEff"], 16) & CAP_SYS_ADMIN)


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _open(path: Path) -> tuple[int | None, bool]:
    """Open the device; return the error, and whether it is the device."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return error.errno, True
    try:
        status = os.fstat(fd)
        return None, stat.S_ISCHR(status.st_mode) and status.st_rdev == DEVICE
    finally:
        os.close(fd)


def _is_privileged(program: str) -> bool:
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        return False
    status = os.stat(program)  # noqa: PTH116 (its path is text)
    return bool(status.st_mode & stat.S_ISUID) or "security.capability" in os.listxattr(program)


def _all_may_share() -> bool:
    try:
        lines = FUSE_CONF.read_bytes().split(b"\n")
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return b"user_allow_other" in map(bytes.strip, lines)
