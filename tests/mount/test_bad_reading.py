"""Sources that fail while they are read: an error at that place, never short or wrong bytes."""

import os
from pathlib import Path

import pytest

from tests.mount.conftest import FaultFactory, LoopFactory, MountFactory
from tests.rig import faults
from tests.rig.commands import finish, run
from tests.rig.images import MIB, assert_same, check_pattern, pattern, write_pattern
from tests.rig.mounts import Mount
from tests.rig.readers import Spawn, read_in_pieces

SIZE = 16 * MIB + 1536
BAD_AT = 9 * MIB + 512 * 1024
BAD = (BAD_AT, 4096)
SHRUNK = 5 * MIB
WARNINGS = [r"source|reading|EIO"]


def errors(mounted: Mount) -> int:
    """Return the source errors that the status counts."""
    return int(mounted.status()["source"]["errors"])


def test_the_bytes_beside_a_bad_place(mount: MountFactory, faulty: FaultFactory) -> None:
    """Only the bad sectors themselves are lost: a direct read up to them and one behind them are right."""
    mounted = mount(faulty(SIZE, [BAD]).path, expected=WARNINGS)
    failures = read_in_pieces(mounted.image, SIZE, os.O_DIRECT, step=4096)
    assert {BAD_AT: "EIO"} == failures


def test_several_readers_of_a_bad_source(
    mount: MountFactory, faulty: FaultFactory, spawn: Spawn, work: Path
) -> None:
    """Every `dd` that comes to the bad place fails with an error; one that stays before it succeeds."""
    mounted = mount(faulty(SIZE, [BAD]).path, expected=WARNINGS)
    forms: list[list[str]] = [["bs=1M"], ["bs=4M", "iflag=direct"], []]
    whole = [spawn("dd", f"if={mounted.image}", f"of={work / str(n)}", *form) for n, form in enumerate(forms)]
    part = spawn("dd", f"if={mounted.image}", f"of={work / 'part'}", "bs=1M", "count=9", "iflag=direct")
    finish(part)
    check_pattern((work / "part").read_bytes(), 0)
    for process in whole:
        done = finish(process, code=1)
        assert b"Input/output error" in done.stderr


@pytest.mark.tool("ddrescue")
def test_ddrescue_saves_the_rest(mount: MountFactory, faulty: FaultFactory, work: Path) -> None:
    """`ddrescue` on the mount of a bad source saves everything but the bad sectors."""
    mounted = mount(faulty(SIZE, [BAD]).path, expected=WARNINGS)
    run("ddrescue", "--quiet", "--idirect", mounted.image, work / "copy", work / "map", code=None)
    saved = (work / "copy").read_bytes()
    assert SIZE == len(saved)
    check_pattern(saved[:BAD_AT], 0)
    after = BAD_AT + BAD[1]
    check_pattern(saved[after:], after)


def test_a_source_that_comes_back(mount: MountFactory, tmp_path: Path, work: Path) -> None:
    """When a source that had shrunk has its size again, the next reader gets it: errors are not kept."""
    source = write_pattern(tmp_path / "source.img", SIZE)
    mounted = mount(source, "--ring", "32M", expected=WARNINGS)
    os.truncate(source, SHRUNK)
    run("cp", mounted.image, work / "copy", code=1)
    with source.open("r+b") as image:
        image.seek(SHRUNK)
        image.write(pattern(SHRUNK, SIZE - SHRUNK))
    run("cp", mounted.image, work / "copy")
    assert_same(source, work / "copy")


@pytest.mark.parametrize(
    "command",
    ["cp IMAGE COPY", "cat IMAGE > COPY", "dd if=IMAGE of=COPY bs=1M iflag=direct", "tar -cf COPY IMAGE"],
)
def test_tools_on_a_source_that_has_shrunk(
    command: str, mount: MountFactory, tmp_path: Path, work: Path
) -> None:
    """No tool takes a source that became shorter for a success."""
    source = write_pattern(tmp_path / "source.img", SIZE)
    mounted = mount(source, "--ring", "2M", expected=WARNINGS)
    os.truncate(source, SHRUNK)
    script = command.replace("IMAGE", str(mounted.image)).replace("COPY", str(work / "copy"))
    assert run("sh", "-c", script, code=None).returncode != 0


def test_a_block_device_that_shrinks(mount: MountFactory, loop: LoopFactory, tmp_path: Path) -> None:
    """A block device that fails behind some place gives EIO from there on, right bytes before."""
    backing = write_pattern(tmp_path / "backing.img", SIZE)
    mounted = mount(loop(backing), "--ring", "2M", expected=WARNINGS)
    os.truncate(backing, SHRUNK)
    failures = read_in_pieces(mounted.image, SIZE, os.O_DIRECT)
    assert dict.fromkeys(range(SHRUNK, SIZE, MIB), "EIO") == failures


def test_a_source_that_disappears(
    mount: MountFactory, faulty: FaultFactory, spawn: Spawn, work: Path
) -> None:
    """When what serves the source dies, readers get an error, and the mount answers and unmounts."""
    served = faulty(SIZE)
    mounted = mount(served.path, "--ring", "2M", expected=WARNINGS)
    faults.kill(served)
    done = finish(spawn("dd", f"if={mounted.image}", f"of={work / 'copy'}", "bs=1M"), code=1)
    assert b"Input/output error" in done.stderr
    assert errors(mounted) > 0
