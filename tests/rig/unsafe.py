"""Targets that must be refused before a byte is written: a table of situations, which are set up for real.

    with SITUATIONS["a disk that is mounted"](folder) as case:
        ...  # copying case.source to case.targets must end with case.exit_code and a line like case.message

The files and devices in ``case.witnesses`` must be unchanged afterwards, byte for byte.
"""

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import attrs

from fanoutfs.units import PAGE
from tests.rig.commands import fanoutfs, run
from tests.rig.devices import (
    DISK,
    FILE_SYSTEM,
    IMAGE,
    SWAP,
    disk,
    image,
    mounted,
    partitioned,
    served,
    swapping,
)
from tests.rig.images import MIB
from tests.rig.loops import attached

Paths = dict[str, Path]
Ground = Callable[[Path], contextlib.AbstractContextManager[Paths]]
READ_ONLY = ("-o", "ro")


@attrs.frozen
class Case:
    """A source and its targets, and the expected message."""

    source: Path
    targets: Sequence[Path]
    message: str
    """A regular expression; in a terminal the program's name precedes it."""
    witnesses: Sequence[Path]
    exit_code: int
    swapped: bool
    """The kernel itself may write pages to the swap area at the beginning of the witnesses."""

    def digests(self) -> list[str]:
        """Return a digest of each witness, or that it is missing."""
        return [_digest(path, swapped=self.swapped) for path in self.witnesses]


def _digest(path: Path, *, swapped: bool) -> str:
    if not path.exists():
        return "missing"
    with path.open("rb") as file:
        if not swapped:
            return hashlib.file_digest(file, "sha256").hexdigest()
        header = file.read(PAGE)
        file.seek(SWAP)
        return hashlib.sha256(header + file.read()).hexdigest()


@attrs.frozen
class Situation:
    """A row of the table: all names are those of the ground's paths, or ``folder`` and ``image``."""

    ground: Ground
    targets: str
    message: str
    """What follows `the target X`, the first of the targets; or all of it, from ^ on."""
    witnesses: str | None = None
    """By default the targets."""
    source: str = "image"
    exit_code: int = 1
    swapped: bool = False

    @contextlib.contextmanager
    def __call__(self, folder: Path) -> Iterator[Case]:
        """Set the situation up in a folder."""
        source = image(folder)
        with self.ground(folder) as found:
            paths = {"folder": folder, "image": source, **found}
            targets = [paths[name] for name in self.targets.split()]
            witnesses = (
                targets if self.witnesses is None else [paths[name] for name in self.witnesses.split()]
            )
            begin = "" if self.message.startswith("^") else f"the target {targets[0]} "
            message = begin + self.message.format(**paths)
            yield Case(paths[self.source], targets, message, witnesses, self.exit_code, self.swapped)


@contextlib.contextmanager
def files(folder: Path) -> Iterator[Paths]:
    """Make files of several kinds, and paths without a file."""
    paths = {name: folder / name for name in ("hard", "pipe", "link", "new")}
    os.link(folder / "source.img", paths["hard"])
    os.mkfifo(paths["pipe"])
    paths["link"].symlink_to(".")
    missing = {"no_folder": folder / "no" / "where.img", "no_disk": Path("/dev/no-such-disk")}
    yield {**paths, **missing, "alias": paths["link"] / "new", "null": Path("/dev/null")}


@contextlib.contextmanager
def one_disk(folder: Path, size: int = DISK, options: Sequence[str] = ()) -> Iterator[Paths]:
    """Attach a disk with a symbolic link and a second device node."""
    with disk(folder, "disk.img", size, *options) as device:
        link, node = folder / "link", folder / "node"
        link.symlink_to(device)
        os.mknod(node, 0o600 | 0o060000, device.stat().st_rdev)
        yield {"disk": device, "file": folder / "disk.img", "link": link, "node": node}


@contextlib.contextmanager
def two_disks(folder: Path) -> Iterator[Paths]:
    """Attach two disks to one file."""
    with disk(folder) as first, attached(folder / "disk.img") as second:
        yield {"first": first, "second": second, "file": folder / "disk.img"}


@contextlib.contextmanager
def partitions(folder: Path, size: int = DISK) -> Iterator[Paths]:
    """Attach a disk with two partitions."""
    with partitioned(folder, size=size) as (whole, first, second):
        yield {"whole": whole, "first": first, "second": second}


@contextlib.contextmanager
def mounted_disk(folder: Path, options: Sequence[str] = (), *, remount: bool = False) -> Iterator[Paths]:
    """Mount a disk with one file; ``remount``: then make it read-only."""
    with disk(folder, size=FILE_SYSTEM) as device, mounted(device, folder / "mnt", *options) as point:
        paths = {"disk": device, "file": folder / "disk.img", "point": point, "new": point / "new.img"}
        if not options:
            paths["old"] = image(point, "old.img", MIB)
        if remount:
            run("mount", "-o", "remount,ro", point)
        yield paths


@contextlib.contextmanager
def mounted_partition(folder: Path, name: str = "first", options: Sequence[str] = ()) -> Iterator[Paths]:
    """Mount a partition, with a file if it is writable."""
    with (
        partitions(folder, 2 * FILE_SYSTEM) as paths,
        mounted(paths[name], folder / "mnt", *options) as point,
    ):
        old = {} if options else {"old": image(point, "old.img", MIB)}
        yield {**paths, **old, "point": point}


@contextlib.contextmanager
def swap_on(folder: Path, ground: Ground, name: str) -> Iterator[Paths]:
    """Use one of a ground's paths as swap."""
    with ground(folder) as paths:
        paths[name].chmod(0o600)
        with swapping(paths[name]):
            yield paths


@contextlib.contextmanager
def served_disk(folder: Path) -> Iterator[Paths]:
    """Serve a disk with fanoutfs."""
    with disk(folder) as device, served(device, folder / "mnt") as point:
        yield {"disk": device, "point": point}


@contextlib.contextmanager
def served_file(folder: Path, *, stopped: bool = False) -> Iterator[Paths]:
    """Serve a file with fanoutfs; ``stopped``: its daemon hangs."""
    with served(image(folder, "served.img"), folder / "mnt") as point:
        daemon = json.loads(fanoutfs("status", "--json", point).stdout)["pid"]
        if stopped:
            os.kill(daemon, signal.SIGSTOP)
        try:
            yield {"point": point, "served": point / "image", "new": point / "new"}
        finally:
            os.kill(daemon, signal.SIGCONT)


@contextlib.contextmanager
def good_and_bad(folder: Path) -> Iterator[Paths]:
    """Attach a good disk and a read-only one."""
    with disk(folder) as good, attached(image(folder, "other.img", DISK), "--read-only") as bad:
        yield {"good": good, "bad": bad, "new": folder / "new.img"}


READ_ONLY_DISK = partial(mounted_disk, options=READ_ONLY)
MOUNTED_PARTITION = partial(mounted_partition, name="second", options=READ_ONLY)
SWAP_DISK = partial(swap_on, ground=one_disk, name="disk")
SWAP_PARTITION = partial(swap_on, ground=partitions, name="first")
SWAP_FILE = partial(swap_on, ground=mounted_disk, name="old")
"""On a disk: the tests' own file system may be a tmpfs, which supports no swap files."""

SITUATIONS = {
    "the source itself": Situation(
        one_disk, "disk", "is the source {disk}; choose a different target", source="disk"
    ),
    "the source through a link": Situation(
        one_disk, "link", r"\({disk}\) is the source {disk}; choose a different target", "disk", source="disk"
    ),
    "the source by another node": Situation(
        one_disk, "node", "is the source {disk} by another name", "disk", source="disk"
    ),
    "the source file by a hard link": Situation(
        files, "hard", "is the source {image} by another name", "image"
    ),
    "a partition of the source": Situation(
        partitions, "first", "lies on the source {whole}; choose a different target", "whole", source="whole"
    ),
    "the whole disk of the source": Situation(
        partitions, "whole", "holds the source {first}; choose a different target", source="first"
    ),
    "the file behind the source": Situation(
        one_disk, "file", "holds the source {disk}; choose a different target", source="disk"
    ),
    "a loop device on the source": Situation(
        one_disk, "disk", "lies on the source {file}; choose a different target", "file", source="file"
    ),
    "a second loop device on the source's file": Situation(
        two_disks,
        "second",
        "shares bytes with the source {first}: both lie on {file}",
        "first",
        source="first",
    ),
    "a file on the source's file system": Situation(
        mounted_disk, "new", "lies on the source {disk}; choose a different target", source="disk"
    ),
    "a file on a file system in a partition of the source": Situation(
        mounted_partition,
        "old",
        r"lies on the source {whole} \({old} on {first} on {whole}\); choose a",
        source="whole",
    ),
    "a mounted disk": Situation(
        READ_ONLY_DISK, "disk", "is in use: it is mounted on {point}; free it first: umount {point}"
    ),
    "a disk with a mounted partition": Situation(
        MOUNTED_PARTITION, "whole", "is in use: its partition {second} is mounted on {point}; free it first"
    ),
    "a file behind a mounted loop device": Situation(
        READ_ONLY_DISK, "file", "is in use: {disk}, which lies on it, is mounted on {point}; free it"
    ),
    "swap": Situation(
        SWAP_DISK, "disk", "is in use: it is swap; free it first: swapoff {disk}", swapped=True
    ),
    "a disk with a swap partition": Situation(
        SWAP_PARTITION,
        "whole",
        "is in use: its partition {first} is swap; free it first: swapoff {first}",
        "first",
        swapped=True,
    ),
    "a swap file": Situation(
        SWAP_FILE, "old", "is in use: it is swap; free it first: swapoff {old}", swapped=True
    ),
    "a file behind a loop device": Situation(
        one_disk, "file", "is in use: it is shown by {disk}; free it first: losetup"
    ),
    "a disk that fanoutfs serves": Situation(
        served_disk, "disk", "is in use: it is served by fanoutfs on {point}; free it first: fanoutfs"
    ),
    "a file in a fanoutfs mount": Situation(
        served_file, "served", "lies in the fanoutfs mount {point}, which is read-only; name a file", ""
    ),
    "a file in a fanoutfs mount that hangs": Situation(
        partial(served_file, stopped=True), "new", "lies in the fanoutfs mount {point}, which", ""
    ),
    "a disk that is too small": Situation(
        partial(one_disk, size=IMAGE - 512),
        "disk",
        "is too small by 512 B: it has 4 MiB, the image 4 MiB; choose a larger",
    ),
    "a read-only disk": Situation(
        partial(one_disk, options=["--read-only"]), "disk", "is read-only; make it writable"
    ),
    "a file on a read-only file system": Situation(
        partial(mounted_disk, remount=True), "old", "may not be written; check its rights, or work as root"
    ),
    "a new file on a read-only file system": Situation(
        READ_ONLY_DISK, "new", "can't be created: its folder is not writable; name a file in a"
    ),
    "a folder": Situation(files, "folder", "is a folder; name a file in it", ""),
    "a character device": Situation(
        files, "null", "is neither a disk nor a file; name a block device or an image file", ""
    ),
    "a named pipe": Situation(files, "pipe", "is neither a disk nor a file; name a block device", ""),
    "a file in a folder that is missing": Situation(
        files, "no_folder", "can't be created: its folder does not exist; create the folder first"
    ),
    "a disk that is not there": Situation(
        files, "no_disk", "is not there; see with lsblk which disks there are"
    ),
    "a disk twice": Situation(
        one_disk,
        "disk link",
        "is named twice, as {disk} and as {link}; name each target once",
        "disk",
        exit_code=2,
    ),
    "a new file twice": Situation(
        files,
        "new alias",
        "is named twice, as {new} and as {alias}; name each target once",
        "new",
        exit_code=2,
    ),
    "a disk and its partition": Situation(
        partitions,
        "whole first",
        "^(fanoutfs: )?the target {first} lies on the target {whole}; choose",
        "whole",
    ),
    "one bad target of three": Situation(
        good_and_bad,
        "good bad new",
        "^(fanoutfs: )?the target {bad} is read-only; make it writable, or choose a different target$",
    ),
    "two bad targets of three": Situation(
        good_and_bad,
        "good bad folder",
        "^(fanoutfs: )?the target {bad} is read-only; .*\n"
        "(fanoutfs: )?the target {folder} is a folder; name a file in it$",
        "good bad",
    ),
}
