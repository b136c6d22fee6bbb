"""Which file systems a server answers for, so that they may hang: by kind and device number."""

import pytest

from fanoutfs.system.mountinfo import Mount
from fanoutfs.system.paths import has_server


@pytest.mark.parametrize(
    ("kind", "device", "expected"),
    [
        ("ext4", (8, 1), False),
        ("xfs", (253, 0), False),
        ("btrfs", (0, 40), False),
        ("tmpfs", (0, 25), False),
        ("overlay", (0, 50), False),
        ("proc", (0, 5), False),
        ("fuse.fanoutfs", (0, 60), True),
        ("fuse.sshfs", (0, 61), True),
        ("fuse", (0, 62), True),
        ("fuseblk", (8, 2), True),
        ("nfs4", (0, 63), True),
        ("cifs", (0, 64), True),
        ("9p", (0, 65), True),
        ("autofs", (0, 66), True),
        ("of the year 2040", (0, 67), True),
    ],
)
def test_who_answers(kind: str, device: tuple[int, int], *, expected: bool) -> None:
    """FUSE and networks have servers, also FUSE with a block device; a kind that is unknown may have one."""
    assert has_server(Mount(2, 1, *device, "/mnt", kind, "source", ())) is expected
