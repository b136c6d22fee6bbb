"""What is tuned in the kernel once a mount answers: set too early, INIT's reply undoes it without a word."""

import re
from pathlib import Path

from fanoutfs.fuse.kernel import MAX_BACKGROUND, READ_AHEAD_KIB
from tests.mount.conftest import MountFactory, PatternFactory
from tests.rig import mountinfo
from tests.rig.commands import run
from tests.rig.images import MIB


def test_a_new_mount_is_tuned(mount: MountFactory, pattern_image: PatternFactory) -> None:
    """Read-ahead and background requests are as we set them by the time that the command returns."""
    made = mount(pattern_image(8 * MIB))
    device = f"{made.image.stat().st_dev >> 8}:{made.image.stat().st_dev & 0xFF}"

    read_ahead = Path(f"/sys/class/bdi/{device}/read_ahead_kb").read_text()
    background = (mountinfo.CONNECTIONS / device.split(":")[1] / "max_background").read_text()

    assert (int(read_ahead), int(background)) == (READ_AHEAD_KIB, MAX_BACKGROUND)


def test_the_ring_is_of_huge_pages(mount: MountFactory, pattern_image: PatternFactory) -> None:
    """All of the ring is mapped by huge pages once it is full, or the log says that it can't be."""
    made = mount(pattern_image(24 * MIB), "--ring", "8M")
    run("cp", made.image, "/dev/null")

    usage = Path(f"/proc/{made.pid}/smaps_rollup").read_text()
    huge = re.search(r"ShmemPmdMapped:\s+(\d+) kB", usage)

    assert huge is not None
    assert int(huge[1]) == 8 * 1024 or "small pages" in made.log.read_text()
