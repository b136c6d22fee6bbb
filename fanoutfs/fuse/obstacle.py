"""What is known in advance to prevent a FUSE mount, and the remedy. No I/O.

libfuse reports why it can't mount on stderr alone, in words that fit few of the causes.
"""

import errno
import os

from fanoutfs.system.fuse_access import FuseAccess
from fanoutfs.system.programs import install

CONTAINER = "a container needs --device /dev/fuse --cap-add SYS_ADMIN"


def obstacle(access: FuseAccess, options: set[str]) -> str:
    """Return what is missing for a mount with these options, and what to do; empty if nothing is known."""
    return _device(access) or _rights(access, options)


def _device(access: FuseAccess) -> str:
    if not access.is_device:
        return "/dev/fuse is not the device of FUSE; as root: rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229"
    match access.error:
        case None:
            return ""
        case errno.ENOENT | errno.ENODEV | errno.ENXIO if not access.kernel:
            said = (
                "the kernel has no FUSE; load its module as root, in a container on its host: modprobe fuse"
            )
        case errno.ENOENT:
            said = f"there is no /dev/fuse; {CONTAINER}, elsewhere as root: mknod -m 666 /dev/fuse c 10 229"
        case errno.EPERM:
            said = f"/dev/fuse can't be opened: a container or service may not use it; {CONTAINER}"
        case errno.EACCES:
            said = "/dev/fuse can't be opened: you lack the rights; as root: chmod 666 /dev/fuse"
        case number:
            said = f"/dev/fuse can't be opened: {os.strerror(number).lower()}; see dmesg"
    return said


def _rights(access: FuseAccess, options: set[str]) -> str:
    if access.may_mount:
        return ""
    if not access.may_gain:
        return (
            f"this process may not mount, nor get the right to; {CONTAINER}, a service no NoNewPrivileges= "
            "and CAP_SYS_ADMIN in its CapabilityBoundingSet="
        )
    if access.helper is None:
        return "fusermount3 is not installed, without which only root can mount; install it with: " + install(
            "fusermount3"
        )
    if not access.helper_is_privileged:
        return (
            f"{access.helper} has no setuid bit, without which only root can mount, or lies on a file system "
            f"with nosuid; as root: chmod u+s {access.helper}"
        )
    if "allow_other" in options and not access.root and not access.all_may_share:
        return "--allow-other needs the line user_allow_other in /etc/fuse.conf; add it, or mount without"
    return ""
