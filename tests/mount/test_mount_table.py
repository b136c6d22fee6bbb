"""Mount tables as machines have them: odd names, and mounts that others cover."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory
from tests.rig.commands import fanoutfs, run
from tests.rig.copies import Copies
from tests.rig.images import MIB, assert_same, write_pattern

SIZE = MIB
ODD_NAMES = "A\rB", "A\fB", "A\x1cB", "A\x85B", "A\u2028B", "caf\udce9", "A\nB", "A\\012B"


@pytest.fixture
def odd_points(mount: MountFactory, work: Path) -> Iterator[list[Path]]:
    """Mount file systems in memory on folders with odd names."""
    del mount  # named so that it ends later
    with contextlib.ExitStack() as mounted:
        points = [work / name for name in ODD_NAMES]
        for point in points:
            point.mkdir()
            run("mount", "-t", "tmpfs", "tmpfs", point)
            mounted.callback(run, "umount", "--lazy", point)
        yield points


@pytest.mark.tool("mount")
def test_odd_names_of_mount_points_elsewhere(
    odd_points: list[Path], copies: Copies, source: Path, mount: MountFactory, work: Path
) -> None:
    """They make no difference to any command; test_proc_texts.py has them one by one."""
    targets = [folder / "target" for folder in (work, *odd_points)]
    copies.run(source, *targets)
    mounted = mount(source)
    assert_same(source, mounted.image)
    fanoutfs("status", mounted.point)
    mounted.unmount()
    for target in targets:
        assert_same(source, target)


@pytest.mark.tool("mount")
def test_files_where_a_covered_mount_is(
    copies: Copies, source: Path, mount: MountFactory, work: Path, tmp_path: Path
) -> None:
    """A path leads to what is visible there: plain files as source and target, and a folder to mount on."""
    above = tmp_path / "above"
    folder = above / "mount"
    folder.mkdir(parents=True)
    covered = mount(source, point=folder)
    run("mount", "-t", "tmpfs", "tmpfs", above)
    try:
        folder.mkdir()
        real = write_pattern(folder / "real", SIZE)
        copies.run(real, work / "target")
        copies.run(source, folder / "new")
        assert_same(real, work / "target")
        assert_same(source, folder / "new")
        assert b"nothing mounted" in fanoutfs("umount", folder, code=1).stderr
    finally:
        run("umount", above)
    assert_same(source, covered.image)


@pytest.mark.parametrize(
    "command",
    [
        "copy LOOP TARGET",
        "copy SOURCE LOOP",
        "mount LOOP POINT",
        "mount SOURCE LOOP",
        "umount LOOP",
        "top LOOP",
    ],
)
def test_links_that_lead_to_themselves(command: str, source: Path, point: Path, work: Path) -> None:
    """One line names the link."""
    loop = work / "loop"
    loop.symlink_to("there")
    (work / "there").symlink_to("loop")
    names = {"LOOP": loop, "SOURCE": source, "POINT": point, "TARGET": work / "target"}
    done = fanoutfs(*(names.get(word, word) for word in command.split()), code=1)
    assert str(loop) in done.stderr.decode()
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert not (work / "target").exists()
