"""Sources that change: who may write to them, and what reads get once they have changed."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fanoutfs.checking.source_use import SourceUse, find_use
from fanoutfs.errors import UnusableError
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.settings import SourceSettings
from fanoutfs.source import watched
from fanoutfs.source.contract import LostError
from fanoutfs.source.watched import WatchedSource
from fanoutfs.system.open_files import FileNode, writers
from fanoutfs.units import MIB, PAGE
from tests.adapter.fake_machine import FakeMachine

HOLDER = "import sys, time; f = open(sys.argv[1], sys.argv[2]); print(flush=True); time.sleep(600)"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"x" * 4 * PAGE)
    return path


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine(tmp_path)
    machine.device("sda", "8:0", 8 * MIB)
    machine.device("sda1", "8:1", 4 * MIB, disk="sda", partition=1, start=2048)
    machine.device("sda2", "8:2", MIB, disk="sda", partition=2, start=10240)
    return machine


def read(source: WatchedSource) -> bytes:
    memory = mmap.mmap(-1, PAGE)
    source.read_into(PAGE, PAGE, [memoryview(memory)])
    return bytes(memory)


@pytest.mark.parametrize(("mode", "expected"), [("rb", False), ("r+b", True), ("ab", True)])
def test_a_program_that_may_write_it_is_found(image: Path, mode: str, expected: bool) -> None:
    """By the flags of its descriptor; one that reads is nobody's business."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, image, mode], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = writers([FileNode.of(image.stat())])
        use = find_use(str(image))
        holder.kill()

    assert [pid for pid, _ in found] == ([holder.pid] if expected else [])
    assert bool(use) is expected
    if expected:
        assert f"(process {holder.pid}) has it open for writing" in str(use)


def test_this_process_is_not_told_of_itself(image: Path) -> None:
    """And of a file with the same inode elsewhere nothing is said."""
    with image.open("r+b"):
        assert writers([FileNode.of(image.stat())]) == []
    node = FileNode(os.makedev(999, 9), Path("/proc/self/mountinfo").stat().st_ino)
    assert writers([node]) == []


@pytest.mark.parametrize(
    ("source", "mounted", "options", "expected"),
    [
        ("sda", "sda1", "rw", ("its partition /dev/sda1 is mounted read-write on /mnt",)),
        ("sda", "sda1", "ro", ()),
        ("sda2", "sda1", "rw", ()),
        ("sda1", "sda1", "rw", ("it is mounted read-write on /mnt",)),
    ],
)
def test_a_mount_that_may_write_it_is_found(
    fake: FakeMachine, source: str, mounted: str, options: str, expected: tuple[str, ...]
) -> None:
    """Of the disk, or of a part of it; one that is read-only does not count."""
    number = {"sda1": "8:1"}[mounted]
    fake.mounts.append(f"40 39 {number} / /mnt rw - ext4 /dev/{mounted} {options}\n")
    assert find_use(str(fake.node(source)), fake.system()).mounts == expected


def test_nothing_is_told_where_sys_is_hidden(fake: FakeMachine, tmp_path: Path) -> None:
    """A container may read its source all the same."""
    (tmp_path / "sys" / "class" / "block").rename(tmp_path / "hidden")
    assert not find_use(str(fake.file("image", MIB)), fake.system())


def test_swap_may_write_it(fake: FakeMachine) -> None:
    """It changes all the time."""
    fake.swaps.append(str(fake.node("sda2")))
    assert find_use(str(fake.node("sda")), fake.system()).others == ("/dev/sda2 is swap",)


def test_many_uses_are_one_line() -> None:
    """Only some are named."""
    use = SourceUse(("it is mounted",), tuple(f"{n} writes" for n in range(6)))
    assert str(use) == "it is mounted, 0 writes, 1 writes, 2 writes, 3 writes, and 2 more"
    assert str(SourceUse(("a",), ("b",))) == "a and b"
    assert not SourceUse()


def test_a_source_that_may_change_is_refused_on_request(image: Path) -> None:
    """With --strict-source; otherwise the user is warned."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, image, "r+b"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            found = resolve(str(image), RemoteKeys(), SourceSettings())
            with pytest.raises(UnusableError, match="open for writing; refused because of --strict-source"):
                resolve(str(image), RemoteKeys(), SourceSettings(strict_source=True))
        finally:
            holder.kill()

    assert f"{image} may change while it is read" in str(found.warning)


def test_a_source_that_grows_is_an_error(image: Path) -> None:
    """Until it has its size again."""
    source = WatchedSource.open(str(image))
    assert read(source) == b"x" * PAGE
    os.truncate(image, 5 * PAGE)
    with pytest.raises(LostError, match=f"grown from {4 * PAGE} to {5 * PAGE} bytes"):
        read(source)
    os.truncate(image, 4 * PAGE)
    assert read(source) == b"x" * PAGE
    source.close()


def test_a_source_that_was_replaced_is_an_error(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was removed is still read: it is what it was."""
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)
    source = WatchedSource.open(str(image))
    image.unlink()
    assert read(source) == b"x" * PAGE
    image.write_bytes(b"y" * 4 * PAGE)
    with pytest.raises(LostError, match="replaced"):
        read(source)
    source.close()


@pytest.mark.parametrize("strict", [False, True])
def test_a_source_that_is_written_to(image: Path, strict: bool) -> None:
    """It is read on, unless the user has asked for a strict source."""
    source = WatchedSource.open(str(image))
    source.watch.strict = strict
    os.utime(image, ns=(1, 1))
    if strict:
        with pytest.raises(LostError, match="written to"):
            read(source)
    else:
        read(source)
    assert source.watch.was_written
    source.close()
