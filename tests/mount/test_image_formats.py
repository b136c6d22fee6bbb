"""Sources that are images in formats: QEMU shows the disk within them."""

import os
import re
from contextlib import closing
from pathlib import Path

import pytest

from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.settings import SourceSettings
from fanoutfs.source import watched
from fanoutfs.source.contract import LostError
from tests.mount.conftest import MountFactory, PatternFactory
from tests.pipes import read
from tests.rig.commands import fanoutfs, run
from tests.rig.images import MIB, assert_same

pytestmark = pytest.mark.tool("qemu-nbd", "qemu-img", "nbdfuse")

SIZE = 3 * MIB
MADE = {"vhd": ("vpc", "-o", "force_size=on")}
"""What qemu-img is told, where that is not the format's name."""


def image(source: Path, work: Path, kind: str, name: str = "disk") -> Path:
    """Make an image in a format, whose name says nothing."""
    path = work / name
    run("qemu-img", "convert", "-f", "raw", source, "-O", *MADE.get(kind, (kind,)), path)
    return path


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx", "vhd", "parallels", "qed"])
def test_the_disk_within_an_image_is_copied(pattern_image: PatternFactory, work: Path, kind: str) -> None:
    """Whatever its name is; one line says what it was taken for."""
    source = pattern_image(SIZE)
    done = fanoutfs("copy", image(source, work, kind), work / "target")

    assert_same(source, work / "target")
    assert re.search(rf"^fanoutfs: \S+ is an? {kind} image of 3 MiB$", done.stderr.decode(), re.MULTILINE)


def test_a_mount_of_an_image_and_copies_of_it(
    pattern_image: PatternFactory, mount: MountFactory, work: Path
) -> None:
    """Copies find the mount by the image, which is no target; as it lies it is a different source."""
    source = pattern_image(SIZE)
    disk = image(source, work, "qcow2")
    mounted = mount(disk)
    for target in ("one", "two"):
        fanoutfs("copy", disk, work / target)
        assert_same(source, work / target)
    assert_same(source, mounted.image)
    refused = fanoutfs("copy", "--yes", disk, disk, code=1).stderr.decode()
    fanoutfs("copy", f"raw:{disk}", work / "raw")

    assert "is the source" in refused
    assert_same(disk, work / "raw")
    assert mounted.status()["source"]["bytes_read"] == SIZE


@pytest.mark.parametrize(
    ("name", "prefix", "code"), [("disk", "", 1), ("disk", "qcow2:", 0), ("disk.qcow2", "", 0)]
)
def test_an_image_that_names_a_different_file(
    pattern_image: PatternFactory, work: Path, name: str, prefix: str, code: int
) -> None:
    """It is read only if its owner says what it is; nothing is written otherwise."""
    source = pattern_image(SIZE)
    run("qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", source, work / name)
    done = fanoutfs("copy", f"{prefix}{work / name}", work / "target", code=code)

    if code:
        assert f"if you trust it: qcow2:{work / name}" in done.stderr.decode()
        assert not (work / "target").exists()
    else:
        assert_same(source, work / "target")


@pytest.mark.soak
def test_what_an_image_names_is_no_target(pattern_image: PatternFactory, work: Path) -> None:
    """A copy to its own backing file is refused, after ten seconds: that may be a lock of a moment."""
    source = work / "base"
    run("cp", pattern_image(SIZE), source)
    run("qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", source, work / "disk.qcow2")
    done = fanoutfs("copy", "--yes", work / "disk.qcow2", source, code=1)

    assert "locked by qemu-nbd" in done.stderr.decode()
    assert_same(pattern_image(SIZE), source)


def test_a_format_that_no_program_serves_is_refused(work: Path) -> None:
    """In one line, that tells how to copy it as it lies; nothing is written."""
    archive = work / "disk.img"
    archive.write_bytes(b"7z\xbc\xaf\x27\x1c".ljust(MIB, b"\0"))
    done = fanoutfs("copy", archive, work / "target", code=1)

    assert done.stderr.decode() == (
        f"fanoutfs: the source {archive} is a 7z archive, which can't be read here; convert it, "
        f"or copy it as it lies: raw:{archive}\n"
    )
    assert not (work / "target").exists()
    fanoutfs("copy", f"raw:{archive}", work / "target")
    assert_same(archive, work / "target")


@pytest.mark.parametrize(("strict", "change"), [(True, "touch"), (False, "replace")])
def test_an_image_that_changes_while_it_is_read(
    pattern_image: PatternFactory, work: Path, monkeypatch: pytest.MonkeyPatch, *, strict: bool, change: str
) -> None:
    """It is an error for what is read from then on."""
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0)
    disk = image(pattern_image(SIZE), work, "qcow2")
    with closing(
        resolve(str(disk), RemoteKeys(), SourceSettings(strict_source=strict)).open().source
    ) as opened:
        read(opened, 0, MIB)
        if change == "touch":
            os.utime(disk)
        else:
            run("cp", disk, work / "other")
            (work / "other").rename(disk)
        with pytest.raises(LostError):
            read(opened, MIB, MIB)
