"""What is found of a machine, read from its /sys, /proc and files; what is refused on it in the end."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from fanoutfs.checking import inspection, lsblk, sysfs
from fanoutfs.checking.check import check
from fanoutfs.checking.claimed import claim_all, open_exclusive
from fanoutfs.checking.inspection import System
from fanoutfs.checking.safety import Candidate, RefusedError, refusals, repeated_target
from fanoutfs.checking.storage import Device, Mounted, Piece
from fanoutfs.errors import NoAnswerError, UnusableError, UsageError
from fanoutfs.source.local import PositionedSource
from fanoutfs.system.mountinfo import mounts, visible
from fanoutfs.system.paths import follow
from fanoutfs.units import MIB
from tests.adapter.fake_machine import FakeMachine
from tests.rig.hanging import let_hang

SIZE = 100 * MIB


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    """Make a machine with two disks, one of them with two partitions."""
    made = FakeMachine(tmp_path)
    made.device("sda", "8:0", SIZE, diskseq=7)
    made.device("sda1", "8:1", SIZE // 2, disk="sda", partition=1, start=2048)
    made.device("sda2", "8:2", SIZE // 4, disk="sda", partition=2, start=2048 + SIZE // 2 // 512)
    made.device("sdb", "8:16", SIZE)
    return made


def number_of(folder: Path) -> str:
    """Return the device number of a folder's file system."""
    device = folder.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def refused(fake: FakeMachine, source: object, *targets: object) -> list[str]:
    """Return the refusals of the targets, with all paths as they are on the fake machine."""
    found = inspection.read(str(source), [str(one) for one in targets], fake.system())
    lines = refusals(found.source, MIB, found.targets, found.machine, found.outputs)
    return [line.replace(str(fake.root), "") for line in lines]


def test_a_disk_and_its_partition(fake: FakeMachine) -> None:
    """Sizes and places are bytes, a partition is byte for byte on its disk."""
    disk, first, *_ = sysfs.entries(fake.root / "sys")
    assert ("disk-8:0", Device(name="sda", kind="disk", size=SIZE, generation=7)) == (
        disk.identity,
        disk.device,
    )
    assert Device(name="sda1", kind="partition", size=SIZE // 2, generation=7) == first.device
    assert ("disk-8:0", MIB) == (first.disk, first.begin)
    found = inspection.read(str(fake.node("sda")), [], fake.system()).machine
    assert [Piece(base="disk-8:0", begin=MIB, end=MIB + SIZE // 2, exact=True)] == found.lies_on["disk-8:1"]


def test_partitions_of_the_source_and_beside_it(fake: FakeMachine) -> None:
    """The disk of a source and its partition are refused, the partition beside it is not."""
    one, two, disk = fake.node("sda1"), fake.node("sda2"), fake.node("sda")
    said = "choose a different target"
    assert [f"the target /dev/sda holds the source /dev/sda1; {said}"] == refused(fake, one, disk)
    assert [f"the target /dev/sda1 lies on the source /dev/sda; {said}"] == refused(fake, disk, one)
    assert [] == refused(fake, one, two)


@pytest.mark.parametrize(
    ("uuid", "word", "remedy"),
    [
        ("LVM-x", "LVM volume", "vgchange --activate n vg"),
        ("CRYPT-LUKS2-x", "encrypted volume", "cryptsetup close vg-lv"),
        ("mpath-x", "multipath device", "multipath -f vg-lv"),
        ("", "device-mapper volume", "dmsetup remove vg-lv"),
    ],
)
def test_a_member_of_a_volume(fake: FakeMachine, uuid: str, word: str, remedy: str) -> None:
    """Its partition is held: which volume holds it, and how to end that, is said."""
    fake.device("dm-0", "254:0", SIZE, dm__name="vg-lv", dm__uuid=uuid)
    fake.takes("dm-0", "sda1")
    said = f"its partition /dev/sda1 is a part of the {word} /dev/mapper/vg-lv; free it first: {remedy}"
    assert [f"the target /dev/sda is in use: {said}"] == refused(fake, fake.node("sdb"), fake.node("sda"))
    assert [] == refused(fake, fake.node("sdb"), fake.node("sda2"))


def test_a_member_of_an_md_array(fake: FakeMachine) -> None:
    """Each half of a mirror is refused; the mirror itself, with nothing on it, is not."""
    fake.device("md0", "9:0", SIZE, md__level="raid1")
    fake.takes("md0", "sda2", "sdb")
    said = "is in use: it is a part of the md array /dev/md0; free it first: mdadm --stop /dev/md0"
    source = fake.file("image", MIB)
    lines = [f"the target /dev/sda2 {said}", f"the target /dev/sdb {said}"]
    assert lines == refused(fake, source, fake.node("sda2"), fake.node("sdb"))
    assert [] == refused(fake, source, fake.node("md0"))


@pytest.mark.parametrize("side", ["slaves", "holders"])
def test_a_member_that_is_told_of_on_one_side_alone(fake: FakeMachine, side: str) -> None:
    """Either side is enough to refuse it."""
    fake.device("md0", "9:0", SIZE, md__level="raid1")
    fake.takes("md0", "sdb", said_by=[side])
    (line,) = refused(fake, fake.node("sda"), fake.node("sdb"))
    assert "it is a part of the md array /dev/md0" in line


def test_a_volume_on_the_sources_disk(fake: FakeMachine) -> None:
    """It lies on the source, through the partition that its group has."""
    fake.device("dm-0", "254:0", SIZE, dm__name="vg-lv", dm__uuid="LVM-x")
    fake.takes("dm-0", "sda1")
    said = (
        "lies on the source /dev/sda (/dev/mapper/vg-lv on /dev/sda1 on /dev/sda); choose a different target"
    )
    found = refused(fake, fake.node("sda"), fake.node("dm-0"))
    assert [f"the target /dev/dm-0 {said}"] == found


def test_a_partition_that_is_mounted(fake: FakeMachine) -> None:
    """Its disk is in use: which partition it is, and where it is mounted, is said."""
    fake.mount("8:2", "/mnt/a\\040b", "ext4", "/dev/sda2")
    said = "its partition /dev/sda2 is mounted on /mnt/a b; free it first: umount '/mnt/a b'"
    assert [f"the target /dev/sda is in use: {said}"] == refused(fake, fake.node("sdb"), fake.node("sda"))


def test_a_btrfs_is_mounted_on_all_its_devices(fake: FakeMachine) -> None:
    """Its mount has no device number, and names one device of several."""
    fake.btrfs("sda1", "sdb")
    fake.mount("0:45", "/data", "btrfs", fake.node("sda1"))
    source = fake.file("image", MIB)
    said = "is in use: it is mounted on /data; free it first: umount /data"
    assert [f"the target /dev/sdb {said}"] == refused(fake, source, fake.node("sdb"))
    assert [f"the target /dev/sda1 {said}"] == refused(fake, source, fake.node("sda1"))


def test_a_btrfs_that_is_mounted_out_of_sight(fake: FakeMachine) -> None:
    """The kernel lists its devices, though no mount is seen."""
    fake.btrfs("sdb")
    found = inspection.read(str(fake.node("sda")), [], fake.system()).machine
    assert [Mounted("disk-8:16", "", "btrfs")] == found.mounted


def test_a_file_on_a_btrfs_lies_on_its_devices(fake: FakeMachine) -> None:
    """The file's own device number leads nowhere; its path leads to the mount."""
    fake.btrfs("sda1", "sdb")
    fake.mount("0:45", fake.root / "files", "btrfs", fake.node("sda1"))
    target = fake.root / "files" / "new"
    said = "lies on the source /dev/sdb; choose a different target"
    assert [f"the target /files/new {said}"] == refused(fake, fake.node("sdb"), target)
    said = "lies on the source /dev/sda (/files/new on /dev/sda1 on /dev/sda); choose a different target"
    assert [f"the target /files/new {said}"] == refused(fake, fake.node("sda"), target)
    assert [] == refused(fake, fake.node("sda2"), target)


def test_a_file_on_the_sources_file_system(fake: FakeMachine) -> None:
    """Whether it is there already or not."""
    fake.device("sdc", number_of(fake.root), SIZE)
    old, new = fake.file("old", 1), fake.root / "files" / "new"
    said = "lies on the source /dev/sdc; choose a different target"
    lines = [f"the target /files/old {said}", f"the target /files/new {said}"]
    assert lines == refused(fake, fake.node("sdc"), old, new)


def test_files_of_one_file_system(fake: FakeMachine) -> None:
    """The file system keeps them apart."""
    fake.device("sdc", number_of(fake.root), SIZE)
    assert [] == refused(fake, fake.file("source", MIB), fake.file("old"), fake.root / "files" / "new")


def test_a_loop_device_and_its_file(fake: FakeMachine) -> None:
    """Each is refused where the other is the source, and the file where nothing else is."""
    file = fake.file("image\nfile", SIZE)
    fake.device("loop0", "7:0", SIZE, loop__backing_file=file)
    node = fake.node("loop0")
    assert [(f"the target {str(file).replace(str(fake.root), '')} holds the source /dev/loop0; "
            "choose a different target")] == refused(fake, node, file)  # fmt: skip
    (line,) = refused(fake, file, node)
    assert line.startswith("the target /dev/loop0 lies on the source ")
    (line,) = refused(fake, fake.node("sdb"), file)
    assert line.endswith("is in use: it is shown by /dev/loop0; free it first: losetup --detach /dev/loop0")
    assert [] == refused(fake, fake.node("sdb"), node)


def test_a_loop_device_on_another_part_of_the_sources_file(fake: FakeMachine) -> None:
    """Offsets keep two loop devices apart, or do not."""
    file = fake.file("image", SIZE)
    for i, offset in enumerate((0, 10 * MIB, 20 * MIB)):
        fake.device(f"loop{i}", f"7:{i}", 15 * MIB, loop__backing_file=file, loop__offset=offset)
    first, overlapping, beside = (fake.node(f"loop{i}") for i in range(3))
    said = "shares bytes with the source /dev/loop0: both lie on /files/image; choose a different target"
    assert [f"the target /dev/loop1 {said}"] == refused(fake, first, overlapping)
    assert [] == refused(fake, first, beside)


def test_a_loop_device_on_a_disk(fake: FakeMachine) -> None:
    """At a partition's place it is that partition."""
    fake.device("loop0", "7:0", MIB, loop__backing_file=fake.node("sda"), loop__offset=MIB)
    assert [
        (
            "the target /dev/loop0 shares bytes with the source /dev/sda1: both lie on /dev/sda; "
            "choose a different target"
        )
    ] == refused(fake, fake.node("sda1"), fake.node("loop0"))
    assert [] == refused(fake, fake.node("sda2"), fake.node("loop0"))


def test_a_loop_device_whose_file_was_deleted(fake: FakeMachine) -> None:
    """Nothing can be said of its file, and nobody can name it."""
    fake.device("loop0", "7:0", SIZE, loop__backing_file=f"{fake.root}/gone (deleted)")
    assert [] == refused(fake, fake.node("loop0"), fake.node("sdb"))


def test_swap_on_a_partition_and_in_a_file(fake: FakeMachine) -> None:
    """The kernel lists both by path, with blanks as octal numbers."""
    file = fake.file("swap file", MIB)
    fake.swaps += [str(fake.node("sda2")), str(file).replace(" ", "\\040")]
    assert [
        "the target /dev/sda is in use: its partition /dev/sda2 is swap; free it first: swapoff /dev/sda2",
        "the target /files/swap file is in use: it is swap; free it first: swapoff '/files/swap file'",
    ] == refused(fake, fake.node("sdb"), fake.node("sda"), file)


def test_a_read_only_disk(fake: FakeMachine) -> None:
    """A partition is read-only when its disk is."""
    fake.device("sdc", "8:32", SIZE, ro=1)
    fake.device("sdc1", "8:33", SIZE, disk="sdc", partition=1, start=2048)
    said = "is read-only; make it writable, or choose a different target"
    lines = [f"the target /dev/sdc1 {said}"]
    assert lines == refused(fake, fake.node("sda"), fake.node("sdc1"))


def test_nothing_is_known_of_disks(fake: FakeMachine) -> None:
    """Where /sys is not mounted, as in some containers, the line says what is needed."""
    shutil.rmtree(fake.root / "sys")
    with pytest.raises(UnusableError, match=r"sys/class/block can't be read: .* mount -t sysfs sysfs /sys$"):
        refused(fake, fake.node("sda"), fake.node("sdb"))


def test_a_node_without_a_disk(fake: FakeMachine) -> None:
    """A node may outlive its disk."""
    (fake.root / "sys/class/block/sdb").unlink()
    said = "has no disk behind it; see with lsblk which disks there are"
    assert [f"the target /dev/sdb {said}"] == refused(fake, fake.node("sda"), fake.node("sdb"))


def test_a_target_in_a_fanoutfs_mount_is_not_looked_at(fake: FakeMachine) -> None:
    """Its daemon may hang: by path alone it is known, through links and dots too."""
    point = fake.root / "mnt"
    point.mkdir()
    (fake.root / "link").symlink_to("mnt/../mnt")
    fake.mount("0:50", point, "fuse.fanoutfs", "/dev/nothing")
    said = "lies in the fanoutfs mount /mnt, which is read-only; name a file elsewhere"
    lines = [f"the target /mnt/image {said}", f"the target /link/x/y (/mnt/x/y) {said}"]
    assert lines == refused(fake, fake.node("sda"), point / "image", fake.root / "link/x/y")
    assert [] == [path for path in fake.looked_at if "mnt" in path]


@pytest.fixture
def net(fake: FakeMachine) -> Path:
    """Give the folder of a file system with a server; two loop devices are on one file there."""
    point = fake.root / "net"
    point.mkdir()
    (point / "image").touch()
    fake.mount("0:51", point, "nfs4", "server:/x")
    for number in range(2):
        fake.device(f"loop{number}", f"7:{number}", SIZE, loop__backing_file=point / "image")
    fake.mount("7:0", "/data", "ext4", fake.node("loop0"))
    return point


@pytest.mark.parametrize("root", [False, True])
def test_a_server_that_has_nothing_to_do_with_the_copy(fake: FakeMachine, net: Path, *, root: bool) -> None:
    """Nothing in its file system is accessed: it may hang. Loop devices on one file there share bytes."""
    if root:
        fake.backing_files = {"loop0": "file-0:51-7", "loop1": "file-0:51-7"}
    fake.swaps.append(str(net / "swap"))
    fake.mount("0:52", "/other", "fuse.bindfs", net / "folder")
    assert [] == refused(fake, fake.node("sda"), fake.node("sdb"), fake.file("new"))
    (line,) = refused(fake, fake.node("loop0"), fake.node("loop1"))
    assert "shares bytes with the source /dev/loop0: both lie on /net/image" in line
    assert [] == [path for path in fake.looked_at if "net" in path]


def test_a_target_in_a_file_system_with_a_server(fake: FakeMachine, net: Path) -> None:
    """Then what is on that file system counts: the target is behind a loop device that is mounted."""
    (line,) = refused(fake, fake.node("sda"), net / "image")
    assert "is in use: /dev/loop0, which lies on it, is mounted on /data" in line


def test_a_target_in_a_file_system_that_hangs(
    fake: FakeMachine, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is refused, with the place that does not answer; this process has accessed nothing there."""
    let_hang(net, monkeypatch)
    with pytest.raises(NoAnswerError, match=rf"{net}/new does not answer: the file system on {net} \(nfs4\)"):
        refused(fake, fake.node("sda"), net / "new")
    assert [] == [path for path in fake.looked_at if "net" in path]


def test_what_fanoutfs_serves_is_in_use_and_lies_behind_its_image(fake: FakeMachine) -> None:
    """A copy of the image, or of a loop device on it, can't go to the disk that is served."""
    point = fake.root / "mnt"
    fake.mount("0:50", point, "fuse.fanoutfs", fake.node("sda"))
    fake.device("loop0", "7:0", SIZE, loop__backing_file=point / "image")
    said = "is in use: it is served by fanoutfs on /mnt; free it first: fanoutfs umount /mnt"
    assert [f"the target /dev/sda {said}"] == refused(fake, fake.node("sdb"), fake.node("sda"))
    said = "holds the source /mnt/image; choose a different target"
    assert [f"the target /dev/sda {said}"] == refused(fake, point / "image", fake.node("sda"))
    said = "holds the source /dev/loop0 (/dev/loop0 on /mnt/image on /dev/sda); choose a different target"
    assert [f"the target /dev/sda {said}"] == refused(fake, fake.node("loop0"), fake.node("sda"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("devtmpfs", ["is not there; see with lsblk which disks there are"]),
        ("proc", ["lies in a proc, which keeps no files; name a file elsewhere"]),
        ("tmpfs", []),
    ],
)
def test_a_file_where_no_files_are_kept(fake: FakeMachine, kind: str, said: list[str]) -> None:
    """A mistyped disk would fill the memory, and /proc is no folder; a tmpfs is one."""
    fake.mount("0:51", fake.root / "files", kind, kind)
    target = fake.root / "files" / "sdz"
    assert [f"the target /files/sdz {one}" for one in said] == refused(fake, fake.node("sda"), target)


def test_targets_that_are_no_places(fake: FakeMachine) -> None:
    """Folders, pipes, terminals, missing folders: what is there is said."""
    os.mkfifo(fake.root / "pipe")
    (fake.root / "round").symlink_to("round")
    targets = {
        "files": "is a folder; name a file in it",
        "new/": "is a folder; name a file in it",
        "pipe": "is neither a disk nor a file; name a block device or an image file",
        "no/where": "can't be created: its folder does not exist; create the folder first",
        "round": "can't be examined: too many levels of symbolic links; check its name and rights",
    }
    lines = refused(fake, fake.node("sda"), *(f"{fake.root}/{name}" for name in targets))
    assert [line.partition(" /")[2].replace(" (/new)", "") for line in lines] == [
        f"{name} {said}" for name, said in targets.items()
    ]


def test_a_target_by_several_names(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link, a relative path, a hard link, and a file that is not there yet by two ways."""
    old = fake.file("old", 1)
    os.link(old, fake.root / "hard")
    (fake.root / "way").symlink_to("files")
    monkeypatch.chdir(fake.root)
    for one, other in (
        ("files/old", "hard"),
        ("files/old", "way/old"),
        ("files/new", f"{fake.root}/way/new"),
    ):
        targets = inspection.read(str(old), [one, other], fake.system()).targets
        assert f"as {one} and as {other}" in (repeated_target(targets) or "")


def test_a_machine_that_cant_be_looked_at(tmp_path: Path) -> None:
    """Without /sys nothing is known to be safe."""
    with pytest.raises(UnusableError, match=r"mountinfo can't be read: .* no target is known to be safe"):
        inspection.read("/dev/sda", [], System(sys=tmp_path, proc=tmp_path))


def test_lsblk_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is known of models and labels, and nothing fails."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert {} == lsblk.ask(["/dev/sda"])


def test_each_disk_is_read_once_to_describe_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lsblk knows nothing, or is missing, its content tells; a disk with contents is not blank."""
    probed: list[str] = []
    rows = [
        {"path": "/dev/sda", "maj:min": "8:0", "kname": "sda"},
        {"path": "/dev/sdb", "maj:min": "8:16", "kname": "sdb", "fstype": "ext4"},
    ]

    def probe(path: str) -> dict[str, str]:
        probed.append(path)
        return {"PTTYPE": "gpt"} if path == "/dev/sdc" else {}

    monkeypatch.setattr(lsblk, "probe", probe)
    monkeypatch.setattr(lsblk, "begins_with_zeros", lambda path: path == "/dev/sda")
    monkeypatch.setattr(lsblk, "ask", lambda _: lsblk.listed([lsblk._probed(row) for row in rows]))
    disks = [
        Candidate(path=path, kind="disk", exists=True, size=MIB, identity=f"disk-{number}", disk=path)
        for path, number in (("/dev/sda", "8:0"), ("/dev/sdb", "8:16"), ("/dev/sdc", "8:32"))
    ]
    file = attrs.evolve(disks[0], path="/srv/image", kind="file", disk="")

    blank, listed, unlisted, same = lsblk.described([*disks, file])

    assert [(), ("ext4",), ("gpt table",)] == [disk.contents for disk in (blank, listed, unlisted)]
    assert [True, False, False] == [disk.blank for disk in (blank, listed, unlisted)]
    assert same == file
    assert ["/dev/sda", "/dev/sdc"] == probed


def test_lsblk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old one knows not all columns, and says so in place of JSON."""
    command = tmp_path / "lsblk"
    command.write_text("#!/bin/sh\necho unknown column; exit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert {} == lsblk.ask(["/dev/sda"])


def candidate(path: Path) -> Candidate:
    """Check a file as a target; its source is beside it."""
    source = path.parent / "source"
    source.write_bytes(bytes(10))
    (found,) = check(str(source), 10, [str(path)])
    return found


def test_a_new_file_is_made_when_it_is_opened(tmp_path: Path) -> None:
    """Not when it is checked; with the permissions that the umask leaves."""
    path = tmp_path / "new"
    found = candidate(path)
    assert not path.exists()
    before = os.umask(0o027)
    try:
        claimed = open_exclusive(found, direct=False)
    finally:
        os.umask(before)
    assert (0o640, True, False) == (path.stat().st_mode & 0o777, claimed.made, claimed.direct)
    claimed.close()
    assert path.exists()


def test_an_unwritten_new_file_goes_and_an_old_one_stays(tmp_path: Path) -> None:
    """A file that was created and not written is removed."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("mine\n")
    for path in (old, new):
        open_exclusive(candidate(path), direct=False).undo()
    assert "mine\n" == old.read_text()
    assert not new.exists()


def test_a_file_that_another_copy_writes(tmp_path: Path) -> None:
    """The second that opens it is refused; when the first has closed it, it is free."""
    found = candidate(tmp_path / "target")
    first = open_exclusive(found, direct=False)
    again = candidate(tmp_path / "target")
    with pytest.raises(UnusableError, match="target is being read or written: locked by a different program"):
        open_exclusive(again, direct=False)
    first.close()
    open_exclusive(again, direct=False).close()


def test_a_file_that_is_being_copied(tmp_path: Path) -> None:
    """The source of one copy is no target of another, nor the target a source."""
    image = tmp_path / "image"
    image.write_text("x")
    source = PositionedSource.open(str(image))
    with pytest.raises(UnusableError, match="image is being read or written: locked by a different program"):
        open_exclusive(candidate(image), direct=False)
    source.close()
    target = open_exclusive(candidate(image), direct=False)
    with pytest.raises(UnusableError, match="image is being written"):
        PositionedSource.open(str(image))
    target.close()


@pytest.mark.parametrize("change", ["replaced", "removed", "made", "disk"])
def test_a_file_that_is_not_what_was_checked(tmp_path: Path, change: str) -> None:
    """Between the check and the opening somebody did something: nothing is written."""
    path = tmp_path / "target"
    if change != "made":
        path.touch()
    found = candidate(path)
    if change == "made":
        path.touch()
    else:
        path.rename(tmp_path / "elsewhere")
    if change == "replaced":
        path.touch()
    elif change == "disk":
        path.symlink_to("/dev/null")
    with pytest.raises(UnusableError, match=r"; start again$"):
        open_exclusive(found, direct=False)


def test_a_file_that_another_copy_made_and_took_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was open before it was removed, and locked after: nobody would ever find the copy."""
    path = tmp_path / "target"
    path.touch()
    found = candidate(path)
    monkeypatch.setattr(fcntl, "flock", lambda *_: path.unlink())
    with pytest.raises(UnusableError, match="was replaced after it was checked"):
        open_exclusive(found, direct=False)


def test_all_targets_or_none(tmp_path: Path) -> None:
    """One that can't be opened has those given back that could; all that failed are named."""
    good = candidate(tmp_path / "good")
    bad = [candidate(tmp_path / name) for name in ("bad1", "bad2")]
    for one in bad:
        Path(one.path).touch()
    with pytest.raises(RefusedError) as refusal:
        claim_all([good, *bad], direct=True)
    assert [f"the target {one.path} was created after it was checked; start again" for one in bad] == list(
        refusal.value.lines
    )
    assert not Path(good.path).exists()


def test_the_check_of_files(tmp_path: Path) -> None:
    """What may be written is given in order; what may not is named; to name one twice is wrong usage."""
    source, old, new = tmp_path / "source", tmp_path / "old", tmp_path / "new"
    source.write_bytes(bytes(10))
    old.write_bytes(bytes(3))
    found = check(str(source), 10, [str(old), str(new)])
    assert [("file", True, 3), ("file", False, 0)] == [(one.kind, one.exists, one.size) for one in found]
    with pytest.raises(
        RefusedError, match=f"^the target {source} is the source {source}; choose a different target$"
    ):
        check(str(source), 10, [str(source), str(new)])
    with pytest.raises(UsageError, match="named twice"):
        check(str(source), 10, [str(source), str(source)])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "it does not exist"),
        ("no/where", "it does not exist"),
        (".", "it is neither a disk nor a file"),
    ],
)
def test_a_source_that_is_none(tmp_path: Path, name: str, why: str) -> None:
    """It is named; the targets are not judged."""
    source = f"{tmp_path}/{name}"
    with pytest.raises(UnusableError) as refusal:
        check(source, 10, [str(tmp_path / "new")])
    assert f"the source {source} can't be read: {why}; check its name and rights" == str(refusal.value)


def test_the_identity_is_the_sources(tmp_path: Path) -> None:
    """Source and target are compared by identity, so both must say it alike."""
    path = tmp_path / "image"
    path.write_bytes(bytes(4096))
    source = PositionedSource.open(str(path))
    source.close()
    found = inspection.read(str(path), []).source
    assert found is not None
    assert source.identity == found.identity


def test_links_of_proc_that_stand_for_something_else(fake_proc_file: tuple[Path, int]) -> None:
    """A file that was deleted is meant itself, not a new one of the name that the link's text gives."""
    path, fd = fake_proc_file
    link = f"/proc/self/fd/{fd}"
    assert (str(path), None) == follow(link, visible(mounts()))
    path.unlink()
    assert (link.replace("self", str(os.getpid())), None) == follow(link, visible(mounts()))
    (path.parent / f"{path.name} (deleted)").touch()
    source = path.parent / "source"
    source.write_bytes(bytes(10))
    (found,) = check(str(source), 10, [link])
    claimed = open_exclusive(found, direct=False)
    os.write(claimed.fd, b"the copy")
    claimed.close()
    assert b"the copy" == os.pread(fd, 100, 0)
    assert not (path.parent / f"{path.name} (deleted)").read_bytes()


@pytest.fixture
def fake_proc_file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """Return a file, and a descriptor of it."""
    path = tmp_path / "file"
    path.touch()
    fd = os.open(path, os.O_RDWR)
    yield path, fd
    os.close(fd)


def test_a_pipe_for_messages_is_no_target(tmp_path: Path) -> None:
    """What is neither a disk nor a file has no identity, and is not taken for the next of its kind."""
    (tmp_path / "source").write_bytes(bytes(10))
    with pytest.raises(RefusedError, match="is neither a disk nor a file"):
        check(str(tmp_path / "source"), 10, ["/dev/null"], {"/dev/zero": "standard output"})


@pytest.mark.parametrize("source", ["/proc/cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_a_source_that_the_kernel_makes_up(source: str, tmp_path: Path) -> None:
    """Its size, if it has one, is not that of its content."""
    with pytest.raises(UnusableError, match=f"the source {source} lies in a .*, which keeps no files"):
        check(source, 10, [str(tmp_path / "target")])


@pytest.mark.parametrize(("name", "role"), [("target", "standard output"), ("source", "the log")])
def test_messages_must_not_go_into_source_or_target(tmp_path: Path, name: str, role: str) -> None:
    """They would change what is copied."""
    for file in ("source", "target"):
        (tmp_path / file).write_bytes(bytes(10))
    with pytest.raises(
        UnusableError, match=f"the {name} {tmp_path / name} is {role}.*; send messages elsewhere"
    ):
        check(str(tmp_path / "source"), 10, [str(tmp_path / "target")], {str(tmp_path / name): role})
