"""Many readers at one time: all right, and one pass over the source for all of them."""

from pathlib import Path

import pytest

from tests.mount.conftest import LoopFactory, MountFactory, PatternFactory
from tests.rig import loops
from tests.rig.commands import finish, wait_until
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount
from tests.rig.readers import AGAIN, Spawn, at_once, dd, hold

SIZE = 24 * MIB + 1234
DEVICE = 64 * MIB
FORMS = ("", "bs=1M", "bs=4M iflag=direct", "bs=1000003")


def twenty(mounted: Mount, work: Path) -> list[list[str]]:
    """Return twenty commands that read the whole image; those named 0 to 7 copy it."""
    compare = [["cmp", str(mounted.source), str(mounted.image)] for _ in range(12)]
    return compare + [dd(mounted.image, work / str(number), FORMS[number % 4]) for number in range(8)]


def run_together(mounted: Mount, spawn: Spawn, commands: list[list[str]]) -> None:
    """Run commands that all begin before any of them is done: a reader at the start holds them until then.

    One after the other, for those who open in the same instant may share a page cache, where one who has
    all that another asked for never asks.
    """
    holder = hold(spawn, mounted.image, mounted.point.parent / "held", 4096, direct=True)
    processes = []
    for command in commands:
        processes.append(spawn(*command))
        wait_until(lambda: len(readers_with_bytes(mounted)) > len(processes), "it has begun")
    holder.finish()
    for process in processes:
        finish(process)


def readers_with_bytes(mounted: Mount) -> list[int]:
    """Return the processes that have received something."""
    return [reader["pid"] for reader in mounted.status()["readers"] if reader["delivered"]]


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_six_cp_in_the_same_instant(rounds: int, mounted: Mount, spawn: Spawn, work: Path) -> None:
    """Six `cp` that look the image up at the same time all copy it; none sees a file replaced under it."""
    image = mounted.image
    for _ in range(rounds):
        copies = [work / str(number) for number in range(6)]
        for process in at_once(spawn, [["cp", image, copy] for copy in copies]):
            finish(process)
        for copy in copies:
            assert_same(mounted.source, copy)
            copy.unlink()


def test_eight_dd_of_a_block_device_read_it_once(
    mount: MountFactory, pattern_image: PatternFactory, loop: LoopFactory, spawn: Spawn, work: Path
) -> None:
    """Eight `dd` in four forms are all right, and the kernel has read the device once."""
    source = pattern_image(DEVICE)
    device = loop(source)
    mounted = mount(device, "--ring", "16M", "--patience", 300)
    before = loops.bytes_read(device)
    script = 'dd if="$1" status=none $3 | cmp - "$2"'
    forms = [form for form in FORMS for _ in range(2)]
    commands = [["sh", "-c", script, "sh", str(mounted.image), str(source), form] for form in forms]
    run_together(mounted, spawn, commands)
    read = loops.bytes_read(device) - before
    assert DEVICE <= read <= (1 + AGAIN) * DEVICE


def test_readers_at_different_places(mount: MountFactory, source: Path, spawn: Spawn, work: Path) -> None:
    """Five readers spread over the image, cached and direct by turns, all end right with a small ring."""
    mounted = mount(source, "--ring", "2M", "--patience", 1)
    held = [
        hold(spawn, mounted.image, work / str(number), number * 4 * MIB + 1, direct=bool(number % 2))
        for number in range(5)
    ]
    for reader in held:
        reader.say_go()
    for reader in held:
        reader.finish()
        assert_same(source, reader.copy)


def test_twenty_readers(mount: MountFactory, source: Path, spawn: Spawn, work: Path) -> None:
    """More readers than the kernel's default of 12 background requests all finish right, in about one pass.

    The kernel now and then asks again for a single page that it was given, any FUSE file system sees that
    when answers are slow; with this small a ring its block has mostly gone by then.
    """
    mounted = mount(source, "--ring", "4M", "--patience", 300)
    run_together(mounted, spawn, twenty(mounted, work))
    for number in range(8):
        assert_same(source, work / str(number))
    assert SIZE <= mounted.source_bytes() <= 2 * SIZE


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_twenty_readers_that_nobody_holds_together(
    rounds: int, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """Twenty readers that begin some milliseconds apart, so some beyond the ring, all finish right."""
    mounted = mount(source, "--ring", "2M")
    for _ in range(rounds):
        for process in at_once(spawn, twenty(mounted, work)):
            finish(process)
        for number in range(8):
            assert_same(source, work / str(number))
    assert mounted.source_bytes() <= rounds * 20 * SIZE
