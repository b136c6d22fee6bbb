"""What prevents a mount, and whether the message has the remedy that works."""

import errno

import pytest

from fanoutfs.fuse.obstacle import obstacle
from fanoutfs.system.fuse_access import FuseAccess

ROOT = {"root": True, "may_mount": True}
USER = {"root": False, "may_mount": False}
BOXED = {"root": True, "may_mount": False, "may_gain": False}


@pytest.mark.parametrize(
    ("has", "remedy"),
    [
        ({"error": errno.ENOENT, "kernel": False}, "modprobe fuse"),
        ({"error": errno.ENODEV, "kernel": False}, "modprobe fuse"),
        ({"error": errno.ENOENT}, "--device /dev/fuse"),
        ({"error": errno.ENOENT}, "mknod -m 666 /dev/fuse"),
        ({"error": errno.EPERM}, "--device /dev/fuse"),
        ({"error": errno.EACCES}, "chmod 666 /dev/fuse"),
        ({"error": errno.ENXIO}, "no such device"),
        ({"is_device": False}, "mknod -m 666 /dev/fuse"),
    ],
)
@pytest.mark.parametrize("who", [ROOT, USER, BOXED])
def test_the_device_is_missing_or_closed(who: dict[str, bool], has: dict[str, object], remedy: str) -> None:
    """Whoever mounts needs it; a module is loaded only where the kernel has none."""
    said = obstacle(FuseAccess(**who, **has), set())  # type: ignore[arg-type]  # what each case has

    assert remedy in said
    assert ("modprobe" in said) == ("modprobe" in remedy)


@pytest.mark.parametrize(
    ("who", "has", "remedy"),
    [
        (BOXED, {}, "--cap-add SYS_ADMIN"),
        (USER, {"may_gain": False}, "NoNewPrivileges="),
        (USER, {"helper": None}, "apt install fuse3"),
        (USER, {"helper_is_privileged": False}, "chmod u+s /usr/bin/fusermount3"),
        (USER, {"all_may_share": False}, "user_allow_other"),
    ],
)
def test_nobody_may_mount_for_this_process(who: dict[str, bool], has: dict[str, object], remedy: str) -> None:
    """Neither it nor fusermount3, or not for all users."""
    access = FuseAccess(**who, **has)  # type: ignore[arg-type]  # what each case has

    assert remedy in obstacle(access, {"ro", "allow_other"})


@pytest.mark.parametrize(
    ("who", "has"),
    [
        (ROOT, {}),
        (USER, {}),
        (ROOT, {"helper": None, "all_may_share": False, "may_gain": False}),
        ({"root": False, "may_mount": True}, {"helper": None, "all_may_share": False}),
        ({"root": True, "may_mount": False}, {"all_may_share": False}),
    ],
)
def test_nothing_is_known_to_be_missing(who: dict[str, bool], has: dict[str, object]) -> None:
    """What is not needed may be missing; whatever else libfuse needs, it says."""
    access = FuseAccess(**who, **has)  # type: ignore[arg-type]  # what each case has

    assert "" == obstacle(access, {"ro", "allow_other"})
