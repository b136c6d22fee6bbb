"""Where memory is limited: the ring fits, or there is one line that says why it can't."""

import os
from pathlib import Path

import pytest

from tests.mount.conftest import Refused
from tests.rig import mounts
from tests.rig.commands import FANOUTFS, Argument, fanoutfs, run
from tests.rig.images import MIB
from tests.rig.limited import MEMORY, memory_group, within

cgroup = pytest.mark.skipif(not MEMORY.is_dir(), reason="no memory cgroup of version 1")

SIZE = 256 * MIB
LIMIT = 128 * MIB


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Make a source that is larger than the limit."""
    path = tmp_path / "source"
    with path.open("wb") as file:
        for _ in range(0, SIZE, MIB):
            file.write(bytes(MIB))
    return path


@cgroup
def test_the_ring_fits_the_cgroup(image: Path, point: Path) -> None:
    """A mount in a cgroup with less memory than the image is read to its end."""
    with memory_group("little", LIMIT) as group:
        try:
            run(*within([group], [FANOUTFS, "mount", image, point]))
            run("cmp", image, point / "image")
        finally:
            mounts.clear(point)
            fanoutfs("umount", image, code=None)


@cgroup
def test_the_buffers_of_many_targets_fit_the_cgroup(image: Path, work: Path) -> None:
    """Eight targets are verified in less memory than their largest buffers would take."""
    os.truncate(image, 32 * MIB)
    targets = [work / f"target{number}" for number in range(8)]
    with memory_group("buffers", LIMIT) as group:
        done = run(*within([group], [FANOUTFS, "copy", "--verify", "--sparse", image, *targets]))

    assert b"8 of 8 copies are good" in done.stdout


def ulimit(option: str, size: int) -> list[Argument]:
    """Return a command that sets a limit, in KiB or for files in blocks of 512 bytes, and runs another."""
    return ["sh", "-c", f'ulimit {option} {size // (512 if option == "-f" else 1024)} && exec "$@"', "sh"]


@pytest.mark.parametrize(("option", "size"), [("-v", 600 * MIB), ("-f", 24 * MIB)])
def test_the_ring_fits_the_limits_of_the_process(image: Path, point: Path, option: str, size: int) -> None:
    """Of address space, and of files, as one of which shared memory counts."""
    run(*ulimit(option, size), FANOUTFS, "mount", image, point)
    run("cmp", image, point / "image")
    fanoutfs("umount", point)


def test_a_ring_larger_than_the_memory(refused: Refused) -> None:
    """It is refused in one line, and nothing is mounted."""
    message = refused("--ring", "8T", "pattern:8T")

    assert 1 == message.count("\n")
    assert "does not fit: the memory" in message


def test_less_than_the_smallest_ring(image: Path, point: Path) -> None:
    """One line names the limit, for a copy as for a mount, which leave nothing."""
    target = image.with_name("target")
    commands: list[list[Argument]] = [["mount", image, point], ["copy", image, target]]
    for command in commands:
        done = run(*ulimit("-f", MIB), FANOUTFS, *command, code=1)

        assert 1 == done.stderr.count(b"\n")
        assert b"(ulimit -f) leaves 1 MiB" in done.stderr
    assert not target.exists()
