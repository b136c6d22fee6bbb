"""What a mount shows besides the image's bytes: names, modes, sizes, status, write head."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.mount.conftest import LoopFactory, MountFactory, PatternFactory
from tests.rig.commands import fanoutfs, run, wait_until
from tests.rig.images import MIB
from tests.rig.mounts import Mount
from tests.rig.readers import Spawn, hold

SIZE = 8 * MIB + 1234


@pytest.fixture
def mounted(shared: MountFactory, source: Path) -> Mount:
    """Mount a pattern image of 8 MiB and a bit with a ring of 4 blocks."""
    return shared(source, "--ring", "4M", "--block", "1M")


def test_the_image_is_a_read_only_file_of_the_right_size(mounted: Mount) -> None:
    """The image is a regular file of mode 0400 and the source's size."""
    shown = mounted.image.stat()
    assert (stat.S_IFREG | 0o400, SIZE) == (shown.st_mode, shown.st_size)


def test_the_image_of_a_block_device(mount: MountFactory, small: Path, loop: LoopFactory) -> None:
    """A block device is shown as a regular file of its size."""
    shown = mount(loop(small)).image.stat()
    assert (stat.S_IFREG | 0o400, MIB) == (shown.st_mode, shown.st_size)


def test_the_inode_number_stays(mounted: Mount) -> None:
    """Each look-up and each handle shows one and the same inode number."""
    with mounted.image.open("rb") as first, mounted.image.open("rb") as second:
        handles = [os.fstat(first.fileno()).st_ino, os.fstat(second.fileno()).st_ino]
    assert {mounted.image.stat().st_ino} == {*handles, mounted.image.stat().st_ino}


def test_the_folders_list_what_is_there(mounted: Mount) -> None:
    """Listing the mount shows the image and the control folder, and nothing else."""
    shown = {path.name for path in mounted.point.iterdir()}
    assert {"image", ".fanoutfs"} == shown - {"carousel"}
    assert {"status", "head"} <= {path.name for path in (mounted.point / ".fanoutfs").iterdir()}


def test_status_alone_lists_the_running_producers(mounted: Mount) -> None:
    """One line for each, as JSON a list of documents; other tests may run producers, too."""
    lines = fanoutfs("status", code=None).stdout.decode().splitlines()
    documents = json.loads(fanoutfs("status", "--json", code=None).stdout)

    assert f"{mounted.source}  on {mounted.point}, pid {mounted.pid}, 0 readers" in lines
    assert str(mounted.point) in [document["mountpoint"] for document in documents]


def test_the_kernel_knows_the_mount(mounted: Mount) -> None:
    """`findmnt` shows the type, the source and that it is read-only."""
    columns = "FSTYPE,SOURCE,OPTIONS"
    shown = json.loads(run("findmnt", "--json", "--output", columns, mounted.point).stdout)["filesystems"][0]
    assert ("fuse.fanoutfs", str(mounted.source)) == (shown["fstype"], shown["source"])
    assert "ro" in shown["options"].split(",")


def test_df_works(mounted: Mount) -> None:
    """`df` answers, and leaves no room to write."""
    assert run("df", "--output=avail", mounted.point).stdout.split()[1] == b"0"


def test_the_write_head(mounted: Mount, work: Path) -> None:
    """The head is a decimal number and a newline, somewhere on the image."""
    run("cp", mounted.image, work / "copy")
    text = (mounted.point / ".fanoutfs" / "head").read_text()
    assert f"{int(text)}\n" == text
    assert 0 <= int(text) <= SIZE


def test_the_status_of_an_idle_mount(mount: MountFactory, pattern_image: PatternFactory) -> None:
    """The status has the contract's keys; nobody reads, and nothing was read."""
    size = SIZE + MIB
    mounted = mount(pattern_image(size), "--ring", "4M", "--block", "1M")
    status = mounted.status()
    source, ring = status["source"], status["ring"]
    assert (str(mounted.source), size, 0, 0) == tuple(
        source[key] for key in ("path", "size", "bytes_read", "errors")
    )
    assert (MIB, 4, 0) == (ring["block_size"], ring["slots"], ring["resident"])
    assert status["readers"] == []
    assert Path(f"/proc/{status['pid']}/cmdline").exists()


def test_the_status_of_a_reader(mounted: Mount, spawn: Spawn, work: Path) -> None:
    """A reader is shown with its process, its command and where it is."""
    reader = hold(spawn, mounted.image, work / "copy", 2 * MIB, direct=True)
    (shown,) = mounted.status()["readers"]
    assert {"id", "kind", "pid", "command", "start", "position", "delivered", "live", "waiting"} <= set(shown)
    assert ("image", reader.pid, 0) == (shown["kind"], shown["pid"], shown["start"])
    assert Path(f"/proc/{reader.pid}/comm").read_text().strip() in shown["command"]
    assert (2 * MIB, 2 * MIB) == (shown["position"], shown["delivered"])
    reader.finish()
    wait_until(mounted.is_idle, "the reader is forgotten")


def without_moving_parts(status: dict[str, Any]) -> set[str]:
    """Return the keys of a status, which do not change from one snapshot to the next."""
    return {
        f"{key}.{inner}"
        for key, value in status.items()
        for inner in (value if isinstance(value, dict) else [""])
    }


def test_the_status_command_prints_the_same_document(mounted: Mount) -> None:
    """`status --json` and `.fanoutfs/status` have the same keys and the same source."""
    printed = json.loads(fanoutfs("status", "--json", mounted.point).stdout)
    read = mounted.status()
    assert without_moving_parts(read) == without_moving_parts(printed)
    assert read["source"] == printed["source"]


def test_the_status_command_for_people(mounted: Mount, spawn: Spawn, work: Path) -> None:
    """`status` names the source and the reader's process."""
    reader = hold(spawn, mounted.image, work / "copy", 2 * MIB)
    shown = fanoutfs("status", mounted.point).stdout.decode()
    assert str(mounted.source) in shown
    assert str(reader.pid) in shown
    reader.finish()


def test_one_snapshot_per_open(mounted: Mount) -> None:
    """A status read in tiny pieces is one whole document."""
    status = mounted.point / ".fanoutfs" / "status"
    with status.open("rb", buffering=0) as handle:
        pieces = list(iter(lambda: handle.read(7), b""))
    assert "source" in json.loads(b"".join(pieces))
    assert "source" in json.loads(run("cat", status).stdout)


def test_the_daemon_keeps_nothing_of_its_caller(mounted: Mount) -> None:
    """The daemon stands in its own session and in the root folder, with no pipe of its caller."""
    assert mounted.pid == os.getsid(mounted.pid)
    assert Path("/") == Path(f"/proc/{mounted.pid}/cwd").readlink()


def test_mount_is_quiet(small: Path, point: Path, tmp_path: Path) -> None:
    """A mount that works prints nothing."""
    done = fanoutfs("mount", "--log", tmp_path / "quiet.log", small, point)
    fanoutfs("umount", point)
    assert (b"", b"") == (done.stdout, done.stderr)


def test_a_relative_mount_point(small: Path, point: Path, tmp_path: Path) -> None:
    """Relative paths mean what they mean to the caller."""
    os.link(small, tmp_path / "source.img")
    fanoutfs("mount", "--log", "log", "source.img", "mnt", cwd=tmp_path)
    assert MIB == (point / "image").stat().st_size
    assert (tmp_path / "log").exists()
    fanoutfs("umount", "mnt", cwd=tmp_path)
