"""Which targets are refused, and with which message."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.checking.confirm import confirm, overwritten, unconfirmed
from fanoutfs.checking.lsblk import Listed, listed
from fanoutfs.checking.safety import Candidate, RequestedTarget, TargetKind, refusals, repeated_target
from fanoutfs.checking.storage import Device, Kind, Mounted, Piece, StorageGraph
from fanoutfs.units import MIB

GIB = 1024 * MIB
ROOM = RequestedTarget(named="/root/image", path="/root/image", kind="file", identity="image")


def device(name: str, kind: Kind = "disk", size: int = GIB, **more: object) -> Device:
    return Device(name=name, kind=kind, size=size, **more)  # type: ignore[arg-type]


def part(base: str, begin: int, end: int) -> list[Piece]:
    return [Piece(base=base, begin=begin, end=end, exact=True)]


def on(*bases: str) -> list[Piece]:
    return [Piece(base=base) for base in bases]


def in_file_system(base: str) -> list[Piece]:
    return [Piece(base=base, files=True)]


DEVICES = {
    # The system's disk: a file system, and LVM with two volumes, one of them encrypted.
    "sda": device("sda"),
    "sda1": device("sda1", "partition"),
    "sda2": device("sda2", "partition"),
    "home": device("dm-0", "LVM", mapped="my--vg-home"),
    "swap": device("dm-1", "LVM", mapped="my--vg-swap"),
    "luks": device("dm-2", "crypt", mapped="secret"),
    # A disk with nothing in use.
    "sdb": device("sdb"),
    "sdb1": device("sdb1", "partition", GIB // 2),
    "sdb2": device("sdb2", "partition", GIB // 2),
    # The two halves of an array.
    "sdc": device("sdc"),
    "sdc1": device("sdc1", "partition"),
    "sdd": device("sdd"),
    "md0": device("md0", "md"),
    # Loop devices on a file of sda1: two on all of it, two on halves.
    "loop0": device("loop0", "loop"),
    "loop1": device("loop1", "loop"),
    "loop2": device("loop2", "loop", GIB // 2),
    "loop3": device("loop3", "loop", GIB // 2),
    # A disk, alone.
    "sde": device("sde"),
    "small": device("small", size=GIB - 1),
    "locked": device("locked", read_only=True),
    "empty": device("empty", size=0),
}

MACHINE = StorageGraph(
    devices=DEVICES,
    lies_on={
        "sda1": part("sda", 0, GIB // 2),
        "sda2": part("sda", GIB // 2, GIB),
        "home": on("sda2"),
        "swap": on("sda2"),
        "luks": on("home"),
        "sdb1": part("sdb", 0, GIB // 2),
        "sdb2": part("sdb", GIB // 2, GIB),
        "sdc1": part("sdc", MIB, GIB),
        "md0": on("sdc1", "sdd"),
        "image": in_file_system("sda1"),
        "other": in_file_system("sda1"),
        "backup": in_file_system("luks"),
        "loop0": part("image", 0, GIB),
        "loop1": part("image", 0, GIB),
        "loop2": part("image", 0, GIB // 2),
        "loop3": part("image", GIB // 2, GIB),
    },
    paths={"image": "/root/image", "other": "/root/other", "backup": "/home/backup"},
    mounted=[Mounted("sda1", "/", "ext4"), Mounted("luks", "/home", "ext4"), Mounted("sda1", "/srv", "ext4")],
    swaps=["swap"],
)


def target(storage: str, **more: object) -> RequestedTarget:
    """Return the target of a user who names a storage of the machine."""
    kind: TargetKind = "disk" if storage in DEVICES else "file"
    path = MACHINE.name(storage)
    fields = {"named": path, "path": path, "kind": kind, "identity": storage, **more}
    return RequestedTarget(**fields)  # type: ignore[arg-type]


def refused(
    source: str, *targets: str | RequestedTarget, machine: StorageGraph = MACHINE, size: int = GIB
) -> list[str]:
    all_targets = [target(one) if isinstance(one, str) else one for one in targets]
    return refusals(target(source), size, all_targets, machine, {"log": "the log"})


BACKUP = "/home/backup on /dev/mapper/secret on /dev/mapper/my--vg-home on /dev/sda2"


@pytest.mark.parametrize(
    ("source", "storage", "said"),
    [
        ("sde", "sde", "is the source /dev/sde"),
        ("sdb", "sdb1", "lies on the source /dev/sdb"),
        ("sdb1", "sdb", "holds the source /dev/sdb1"),
        ("image", "loop0", "lies on the source /root/image"),
        ("loop0", "image", "holds the source /dev/loop0"),
        ("loop0", "loop1", "shares bytes with the source /dev/loop0: both lie on /root/image"),
        ("loop2", "loop0", "shares bytes with the source /dev/loop2: both lie on /root/image"),
        ("sda", "home", "lies on the source /dev/sda (/dev/mapper/my--vg-home on /dev/sda2 on /dev/sda)"),
        ("md0", "sdd", "holds the source /dev/md0"),
        ("sdd", "md0", "lies on the source /dev/sdd"),
        ("sda1", "other", "lies on the source /dev/sda1"),
        ("sda", "backup", f"lies on the source /dev/sda ({BACKUP} on /dev/sda)"),
        ("backup", "sda2", f"holds the source /home/backup ({BACKUP})"),
    ],
)
def test_a_target_that_shares_bytes_with_the_source(source: str, storage: str, said: str) -> None:
    """It is refused; the message names what lies between the two."""
    assert [f"the target {MACHINE.name(storage)} {said}; choose a different target"] == refused(
        source, storage
    )


@pytest.mark.parametrize(
    ("source", "storage"),
    [
        ("sdb1", "sdb2"),
        ("sdb", "sde"),
        ("image", "other"),
        ("loop2", "loop3"),
        ("image", "sde"),
        ("home", "other"),
        ("sda2", "other"),
    ],
)
def test_a_target_beside_the_source(source: str, storage: str) -> None:
    """Partitions of one disk, files of one file system and parts of one file share no bytes."""
    assert [] == refused(source, storage, size=MIB)


ROOT = "is mounted on / and 1 more"
LV = "is a part of the LVM volume /dev/mapper/my--vg"
MD = "is a part of the md array /dev/md0"
HOME = "/dev/mapper/secret, which lies on it, is mounted on /home"
SWAP = "/dev/mapper/my--vg-swap, which lies on it, is swap"
FREE_ALL = "umount /home && swapoff /dev/mapper/my--vg-swap && vgchange --activate n my-vg"
LOOPS = [f"/dev/loop{number}" for number in range(4)]


@pytest.mark.parametrize(
    ("storage", "uses", "commands"),
    [
        ("sda1", f"it {ROOT}", "umount --all-targets /"),
        ("luks", "it is mounted on /home", "umount /home"),
        ("swap", "it is swap", "swapoff /dev/mapper/my--vg-swap"),
        ("sdd", f"it {MD}", "mdadm --stop /dev/md0"),
        ("sdc", f"its partition /dev/sdc1 {MD}", "mdadm --stop /dev/md0"),
        (
            "home",
            f"{HOME}, it is a part of the encrypted volume /dev/mapper/secret",
            "umount /home && cryptsetup close secret",
        ),
        ("sda2", f"{HOME}, {SWAP}, it {LV}-home, it {LV}-swap", FREE_ALL),
        (
            "sda",
            f"its partition /dev/sda1 {ROOT}, {HOME}, {SWAP}, its partition /dev/sda2 {LV}-home, and 1 more",
            f"umount --all-targets / && {FREE_ALL}",
        ),
        (
            "image",
            ", ".join(f"it is shown by {loop}" for loop in LOOPS),
            " && ".join(f"losetup --detach {loop}" for loop in LOOPS),
        ),
    ],
)
def test_a_target_in_use(storage: str, uses: str, commands: str) -> None:
    """It is refused: the message names each use, of a part of it too, and the commands that end them."""
    said = f"the target {MACHINE.name(storage)} is in use: {uses}; free it first: {commands}"
    assert [said] == refused("sde", storage)


def test_a_volume_on_a_disk_is_no_use_of_its_neighbour() -> None:
    """Of two volumes on one disk, the free one may be written."""
    machine = attrs.evolve(MACHINE, mounted=[], swaps=[])
    assert [] == refused("sde", "swap", "md0", machine=machine)


@pytest.mark.parametrize(
    ("uses", "storage", "said"),
    [
        (
            {"mounted": [Mounted("sdb", "/mnt/a b", "xfs")]},
            "sdb1",
            "/dev/sdb, on which it lies, is mounted on /mnt/a b; free it first: umount '/mnt/a b'",
        ),
        (
            {"mounted": [Mounted("loop0", "/mnt", "ext4")]},
            "loop1",
            "/dev/loop0, which shares bytes with it, is mounted on /mnt; free it first: umount /mnt",
        ),
        (
            {"mounted": [Mounted("sde", "/mnt/f", "fuse.fanoutfs")]},
            "sde",
            "it is served by fanoutfs on /mnt/f; free it first: fanoutfs umount /mnt/f",
        ),
        (
            {"mounted": [Mounted("sde", "", "btrfs")]},
            "sde",
            (
                "it belongs to a file system that is mounted elsewhere; free it first, "
                "or choose a different target"
            ),
        ),
        ({"swaps": ["other"]}, "other", "it is swap; free it first: swapoff /root/other"),
    ],
    ids=["a partition of a mounted disk", "a loop device's twin", "a source", "a member", "a swap file"],
)
def test_a_target_whose_use_is_less_plain(uses: dict[str, Any], storage: str, said: str) -> None:
    """Its disk or a loop device on the same file is mounted, fanoutfs reads it, it belongs to a btrfs."""
    lines = refused("sdd", storage, machine=attrs.evolve(MACHINE, **uses), size=MIB)
    assert [f"the target {MACHINE.name(storage)} is in use: {said}"] == lines


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("small", "is too small by 1 B: it has 1024 MiB, the image 1 GiB; choose a larger target"),
        ("sdb1", "is too small by 512 MiB: it has 512 MiB, the image 1 GiB; choose a larger target"),
        ("locked", "is read-only; make it writable, or choose a different target"),
        ("empty", "contains no medium; insert one"),
    ],
)
def test_a_disk_that_lacks_something(storage: str, said: str) -> None:
    """It is refused; the message names what it lacks."""
    assert [f"the target /dev/{storage} {said}"] == refused("sde", storage)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"kind": "folder"}, "is a folder; name a file in it"),
        ({"kind": "other"}, "is neither a disk nor a file; name a block device or an image file"),
        (
            {"kind": "in fanoutfs", "failure": "/mnt/f"},
            "lies in the fanoutfs mount /mnt/f, which is read-only; name a file elsewhere",
        ),
        (
            {"kind": "unseen", "failure": "permission denied"},
            "can't be examined: permission denied; check its name and rights",
        ),
        ({"kind": "disk"}, "has no disk behind it; see with lsblk which disks there are"),
        ({"pseudo_fs": "devtmpfs"}, "is a file in /dev, not a disk; see with lsblk which disks there are"),
        ({"pseudo_fs": "devtmpfs", "exists": False}, "is not there; see with lsblk which disks there are"),
        ({"pseudo_fs": "sysfs"}, "lies in a sysfs, which keeps no files; name a file elsewhere"),
        ({"writable": False}, "may not be written; check its rights, or work as root"),
        (
            {"exists": False, "parent": "missing"},
            "can't be created: its folder does not exist; create the folder first",
        ),
        (
            {"exists": False, "parent": "closed"},
            "can't be created: its folder is not writable; name a file in a different folder",
        ),
    ],
)
def test_a_target_that_is_no_place_for_an_image(more: dict[str, Any], said: str) -> None:
    """It is refused; the message says what to name instead."""
    unfit = attrs.evolve(ROOM, named="x", path="/x", identity="nothing", **more)
    assert [f"the target x (/x) {said}"] == refused("sde", unfit)


def test_all_bad_targets_are_named_at_once_and_the_good_ones_not() -> None:
    """Each bad target has a line, with all its reasons."""
    machine = attrs.evolve(MACHINE, mounted=[Mounted("small", "/mnt", "ext4")])
    folder = attrs.evolve(ROOM, kind="folder", identity="")
    lines = refused("sde", "sdb", "small", folder, machine=machine)
    assert [
        (
            "the target /dev/small is in use: it is mounted on /mnt; free it first: umount /mnt; "
            "and it is too small by 1 B: it has 1024 MiB, the image 1 GiB; choose a larger target"
        ),
        "the target /root/image is a folder; name a file in it",
    ] == lines


def test_targets_that_share_bytes_with_each_other() -> None:
    """A disk and its partition can't both be written, whichever is named first."""
    said = "the target /dev/sdb1 lies on the target /dev/sdb; choose a different target"
    assert [said] == refused("sde", "sdb", "sdb1", size=MIB)
    said = "the target /dev/sdb holds the target /dev/sdb1; choose a different target"
    assert [said] == refused("sde", "sdb1", "sdb", size=MIB)


def test_a_target_named_twice() -> None:
    """The message has both names where they differ. A folder has no identity: it is not named twice."""
    sdb, link = target("sdb"), target("sdb", named="/dev/disk/by-id/b")
    folder = attrs.evolve(ROOM, kind="folder", identity="")
    said = "the target /dev/sdb is named twice{}; name each target once"
    assert repeated_target([sdb, target("sdb1"), target("sde")]) is None
    assert said.format("") == repeated_target([sdb] * 2)
    assert said.format(", as /dev/sdb and as /dev/disk/by-id/b") == repeated_target(
        [sdb, target("sde"), link]
    )
    assert repeated_target([folder, folder]) is None


NAMES = [f"s{i}" for i in range(6)]
SPAN = 12


@st.composite
def windows(draw: st.DrawFn) -> tuple[StorageGraph, dict[str, set[int]]]:
    """Return storages that are windows on one another, and the bytes of the lowest that each one shows."""
    lies_on: dict[str, list[Piece]] = {}
    shows = {"s0": list(range(SPAN)), "s1": list(range(100, 100 + SPAN))}
    for name in NAMES[2:]:
        base = draw(st.sampled_from(list(shows)))
        length = len(shows[base])
        begin = draw(st.integers(0, max(0, length - 1)))
        end = draw(st.integers(min(begin + 1, length), length))
        lies_on[name] = part(base, begin, end)
        shows[name] = shows[base][begin:end]
    return StorageGraph(devices={}, lies_on=lies_on), {name: set(bytes_) for name, bytes_ in shows.items()}


@given(windows(), st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_windows_share_bytes_when_a_byte_is_shown_by_both(
    world: tuple[StorageGraph, dict[str, set[int]]], one: str, other: str
) -> None:
    """Compared with the bytes themselves; the same from either side."""
    machine, shows = world
    assert bool(shows[one] & shows[other]) == (machine.overlap(one, other) is not None)
    assert (machine.overlap(one, other) is None) == (machine.overlap(other, one) is None)


def test_windows_on_one_window() -> None:
    """Two loop devices on different parts of a partition share nothing, not even on its disk."""
    machine = StorageGraph(
        devices={},
        lies_on={"part": part("disk", 5, 25), "low": part("part", 0, 4), "high": part("part", 4, 9)},
    )
    assert machine.overlap("low", "high") is None
    assert machine.overlap("low", "disk") is not None


def test_a_graph_with_a_cycle_is_searched_to_an_end() -> None:
    """The kernel allows no such graph, but the graph may change while it is read."""
    machine = StorageGraph(devices={}, lies_on={"a": on("b"), "b": on("a")})
    assert machine.overlap("a", "b") is not None
    assert machine.overlap("a", "c") is None


STICK = Candidate(
    path="/dev/sdb",
    kind="disk",
    exists=True,
    size=32 * GIB,
    identity="disk-8:16",
    model="Ultra",
    serial="4C53",
    contents=("gpt table", "/dev/sdb1 31 GiB vfat “PHOTOS”"),
)
OLD = Candidate(path="/srv/old.img", kind="file", exists=True, size=GIB, identity="file-8:2-7")
NEW = Candidate(path="/srv/new.img", kind="file", exists=False, size=0, identity="new-8:2-2-new.img")


def asked(*candidates: Candidate, answer: str) -> tuple[bool, list[str]]:
    """Return what confirm returns, and all that it showed on the terminal."""
    lines: list[str] = []

    def ask(question: str) -> str:
        lines.append(question)
        return answer

    return confirm("/srv/source.img", candidates, GIB, ask, lines.append), lines


def test_a_target_that_messages_are_written_to() -> None:
    """They would go into the copy."""
    log = RequestedTarget("log", "/home/log", "file", "log")
    said = "the target log (/home/log) is the log; send messages elsewhere, to a file of their own"
    assert [said] == refused("sde", log)


def test_what_would_be_lost_is_shown_before_the_question() -> None:
    """Each disk is listed, and the question names the source."""
    expected = [
        "/dev/sdb  Ultra  serial 4C53  32 GiB",
        "    gpt table",
        "    /dev/sdb1 31 GiB vfat “PHOTOS”",
        "overwrite this disk with /srv/source.img, 1 GiB? type yes: ",
    ]
    assert (True, expected) == asked(STICK, answer="yes")
    assert asked(STICK, STICK, answer="yes")[1][-1].startswith("overwrite all 2 of these disks with ")


@pytest.mark.parametrize(("answer", "meant"), [(" Yes\n", True), ("y", False), ("", False), ("no", False)])
def test_only_yes_is_yes(answer: str, *, meant: bool) -> None:
    """A habit of pressing y writes over nothing."""
    assert meant is asked(STICK, answer=answer)[0]


def test_only_disks_that_are_not_blank_need_consent() -> None:
    """Files are overwritten as cp does it; without a terminal the line says what is on the disk."""
    assert [STICK] == overwritten([STICK, NEW, OLD, attrs.evolve(STICK, blank=True)])
    (line,) = unconfirmed([STICK])
    assert "the target /dev/sdb is not blank (gpt table; /dev/sdb1 31 GiB vfat “PHOTOS”), and" in line
    assert line.endswith("; to overwrite it, add --yes")


def test_lsblks_rows_are_read() -> None:
    """A partition has its disk's model, a disk lists its contents, a label can't control the terminal."""
    rows: list[dict[str, Any]] = [
        {"path": "/dev/sdb", "maj:min": "8:16", "kname": "sdb", "pkname": None, "size": GIB,
         "model": "Ultra ", "serial": "4C53", "fstype": None, "label": None, "pttype": "gpt"},
        {"path": "/dev/sdb1", "maj:min": "8:17", "kname": "sdb1", "pkname": "sdb", "size": MIB,
         "model": None, "serial": None, "fstype": "vfat", "label": "A\x1b[2J", "pttype": "gpt"},
        {"maj:min": "8:32", "kname": "sdc"},
    ]  # fmt: skip
    disk, partition, bare = listed(rows).values()
    assert Listed("Ultra", "4C53", ("gpt table", "/dev/sdb1 1 MiB vfat “A?[2J”")) == disk
    assert Listed("Ultra", "4C53", ("vfat “A?[2J”",)) == partition
    assert Listed() == bare
