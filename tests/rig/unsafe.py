"""Targets that must be refused before a byte is written: each situation is set up for real, and taken down.

    with SITUATIONS["a target that is mounted"](folder) as case:
        ...  # copying case.source to case.targets must end with case.exit_code and a line like case.message

What stands in ``case.witnesses`` must be there unchanged afterwards, byte for byte.
"""

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from fanoutfs.units import PAGE
from tests.rig import mountinfo
from tests.rig.commands import fanoutfs, run, wait_until
from tests.rig.images import MIB, write_pattern
from tests.rig.loops import attached

IMAGE = 4 * MIB
DISK = 16 * MIB
FILE_SYSTEM = 32 * MIB
SWAP = 64 * 1024
"""Of which the first page says what it is; the kernel takes ten pages at least."""

TOOLS = ("losetup", "partx", "sfdisk", "mkfs.ext4", "mkswap", "swapon", "mount")


@attrs.frozen
class Case:
    """What to copy where, and what is said to that."""

    source: Path
    targets: tuple[Path, ...]
    message: str
    """A regular expression for what is said; the program's name stands before it in a terminal."""
    witnesses: tuple[Path, ...] = ()
    exit_code: int = 1
    swapped: bool = False
    """The kernel itself may write pages to the swap area at the beginning of the witnesses."""

    def digests(self) -> list[str]:
        """Give a digest of each witness; of one that is not there, that it is not."""
        return [_digest(path, swapped=self.swapped) for path in self.witnesses]


Situation = Callable[[Path], contextlib.AbstractContextManager[Case]]
SITUATIONS: dict[str, Situation] = {}


def situation(make: Callable[[Path], Iterator[Case]]) -> Callable[[Path], Iterator[Case]]:
    """Enter a situation under its name."""
    SITUATIONS[make.__name__.replace("_", " ")] = contextlib.contextmanager(make)
    return make


def _digest(path: Path, *, swapped: bool) -> str:
    if not path.exists():
        return "missing"
    with path.open("rb") as file:
        if not swapped:
            return hashlib.file_digest(file, "sha256").hexdigest()
        header = file.read(PAGE)
        file.seek(SWAP)
        return hashlib.sha256(header + file.read()).hexdigest()


def image(folder: Path, name: str = "source.img", size: int = IMAGE) -> Path:
    """Make a file whose every byte matters."""
    return write_pattern(folder / name, size)


@contextlib.contextmanager
def disk(folder: Path, name: str = "disk.img", size: int = DISK, *options: str) -> Iterator[Path]:
    """Make a disk."""
    with attached(image(folder, name, size), *options) as device:
        yield device


@contextlib.contextmanager
def partitioned(folder: Path, name: str = "disk.img", size: int = DISK) -> Iterator[tuple[Path, Path, Path]]:
    """Make a disk with two partitions, and give the three.

    The kernel may know no partition tables, so partx tells it; and where nobody makes the nodes, we do.
    """
    path = image(folder, name, size)
    half = size // 2 // MIB - 1
    run(
        "sh",
        "-ec",
        f'printf "size={half}MiB\\nsize={half}MiB\\n" | sfdisk --quiet --wipe=never "$1"',
        "sh",
        path,
    )
    with attached(path) as device:
        run("partx", "--add", device)
        made = []
        try:
            nodes = [Path(f"{device}p{number}") for number in (1, 2)]
            for node in nodes:
                with contextlib.suppress(FileExistsError):
                    major, _, minor = Path("/sys/class/block", node.name, "dev").read_text().partition(":")
                    os.mknod(node, 0o600 | 0o060000, os.makedev(int(major), int(minor)))
                    made.append(node)
            yield device, nodes[0], nodes[1]
        finally:
            run("partx", "--delete", device)
            for node in made:
                node.unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(device: Path, point: Path, *options: str) -> Iterator[Path]:
    """Make a file system on a disk and mount it."""
    point.mkdir()
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", *options, device, point)
    try:
        yield point
    finally:
        run("umount", point)


@contextlib.contextmanager
def swapping(area: Path) -> Iterator[None]:
    """Have the machine swap there."""
    run("mkswap", "--force", area, SWAP // 1024)
    run("swapon", area)
    try:
        yield
    finally:
        run("swapoff", area)


@contextlib.contextmanager
def served(source: Path, point: Path) -> Iterator[Path]:
    """Have fanoutfs serve a source."""
    point.mkdir()
    fanoutfs("mount", "--ring", "2M", "--log", point.with_suffix(".log"), source, point)
    try:
        yield point
    finally:
        run("umount", "--lazy", point)
        wait_until(lambda: mountinfo.at(point) == [], f"{point} is unmounted")


@situation
def the_source_itself(folder: Path) -> Iterator[Case]:
    with disk(folder) as device:
        yield Case(
            device,
            (device,),
            f"the target {device} is the source {device}; choose a different target",
            (device,),
        )


@situation
def the_source_through_a_link(folder: Path) -> Iterator[Case]:
    with disk(folder) as device:
        link = folder / "link"
        link.symlink_to(device)
        said = rf"the target {link} \({device}\) is the source {device}; choose a different target"
        yield Case(device, (link,), said, (device,))


@situation
def the_source_by_another_node(folder: Path) -> Iterator[Case]:
    with disk(folder) as device:
        node = folder / "node"
        os.mknod(node, 0o600 | 0o060000, device.stat().st_rdev)
        yield Case(device, (node,), f"the target {node} is the source {device} by another name", (device,))


@situation
def the_source_file_by_a_hard_link(folder: Path) -> Iterator[Case]:
    source = image(folder)
    link = folder / "link"
    os.link(source, link)
    yield Case(source, (link,), f"the target {link} is the source {source} by another name", (source,))


@situation
def a_partition_of_the_source(folder: Path) -> Iterator[Case]:
    with partitioned(folder) as (whole, first, _):
        yield Case(
            whole,
            (first,),
            f"the target {first} lies on the source {whole}; choose a different target",
            (whole,),
        )


@situation
def the_whole_disk_of_the_source(folder: Path) -> Iterator[Case]:
    with partitioned(folder) as (whole, first, _):
        yield Case(
            first,
            (whole,),
            f"the target {whole} holds the source {first}; choose a different target",
            (whole,),
        )


@situation
def the_file_behind_the_source(folder: Path) -> Iterator[Case]:
    with disk(folder) as device:
        file = folder / "disk.img"
        yield Case(
            device,
            (file,),
            f"the target {file} holds the source {device}; choose a different target",
            (file,),
        )


@situation
def a_loop_device_on_the_source(folder: Path) -> Iterator[Case]:
    with disk(folder) as device:
        file = folder / "disk.img"
        yield Case(
            file,
            (device,),
            f"the target {device} lies on the source {file}; choose a different target",
            (file,),
        )


@situation
def a_second_loop_device_on_the_sources_file(folder: Path) -> Iterator[Case]:
    with disk(folder) as first, attached(folder / "disk.img") as second:
        said = f"the target {second} shares bytes with the source {first}: both lie on {folder}/disk.img"
        yield Case(first, (second,), said, (first,))


@situation
def a_file_on_the_sources_file_system(folder: Path) -> Iterator[Case]:
    with disk(folder, size=FILE_SYSTEM) as device, mounted(device, folder / "mnt") as point:
        target = point / "new.img"
        yield Case(
            device,
            (target,),
            f"the target {target} lies on the source {device}; choose a different target",
            (target,),
        )


@situation
def a_file_on_a_file_system_in_a_partition_of_the_source(folder: Path) -> Iterator[Case]:
    with (
        partitioned(folder, size=2 * FILE_SYSTEM) as (whole, first, _),
        mounted(first, folder / "mnt") as point,
    ):
        target = image(point, "old.img", MIB)
        said = rf"the target {target} lies on the source {whole} \({target} on {first} on {whole}\); choose a"
        yield Case(whole, (target,), said, (target,))


@situation
def a_mounted_disk(folder: Path) -> Iterator[Case]:
    with disk(folder, size=FILE_SYSTEM) as device, mounted(device, folder / "mnt", "-o", "ro") as point:
        said = f"the target {device} is in use: it is mounted on {point}; free it first: umount {point}"
        yield Case(image(folder), (device,), said, (device,))


@situation
def a_disk_with_a_mounted_partition(folder: Path) -> Iterator[Case]:
    with (
        partitioned(folder, size=2 * FILE_SYSTEM) as (whole, _, second),
        mounted(second, folder / "mnt", "-o", "ro") as point,
    ):
        said = f"the target {whole} is in use: its partition {second} is mounted on {point}; free it first"
        yield Case(image(folder), (whole,), said, (whole,))


@situation
def a_file_behind_a_mounted_loop_device(folder: Path) -> Iterator[Case]:
    with disk(folder, size=FILE_SYSTEM) as device, mounted(device, folder / "mnt", "-o", "ro") as point:
        target = folder / "disk.img"
        said = f"the target {target} is in use: {device}, which lies on it, is mounted on {point}; free it"
        yield Case(image(folder), (target,), said, (target,))


@situation
def swap(folder: Path) -> Iterator[Case]:
    with disk(folder) as device, swapping(device):
        said = f"the target {device} is in use: it is swap; free it first: swapoff {device}"
        yield Case(image(folder), (device,), said, (device,), swapped=True)


@situation
def a_disk_with_a_swap_partition(folder: Path) -> Iterator[Case]:
    with partitioned(folder) as (whole, first, _), swapping(first):
        said = f"the target {whole} is in use: its partition {first} is swap; free it first: swapoff {first}"
        yield Case(image(folder), (whole,), said, (first,), swapped=True)


@situation
def a_swap_file(folder: Path) -> Iterator[Case]:
    with disk(folder, size=FILE_SYSTEM) as device, mounted(device, folder / "mnt") as point:
        # Not on whatever the tests lie on: a tmpfs takes none.
        area = image(point, "swap")
        area.chmod(0o600)
        with swapping(area):
            said = f"the target {area} is in use: it is swap; free it first: swapoff {area}"
            yield Case(image(folder), (area,), said, (area,), swapped=True)


@situation
def a_file_behind_a_loop_device(folder: Path) -> Iterator[Case]:
    with disk(folder) as device:
        target = folder / "disk.img"
        said = f"the target {target} is in use: it is shown by {device}; free it first: losetup"
        yield Case(image(folder), (target,), said, (target,))


@situation
def a_disk_that_fanoutfs_serves(folder: Path) -> Iterator[Case]:
    with disk(folder) as device, served(device, folder / "mnt") as point:
        said = f"the target {device} is in use: it is served by fanoutfs on {point}; free it first: fanoutfs"
        yield Case(image(folder), (device,), said, (device,))


@situation
def a_file_in_a_fanoutfs_mount(folder: Path) -> Iterator[Case]:
    with served(image(folder, "served.img"), folder / "mnt") as point:
        target = point / "image"
        said = f"the target {target} lies in the fanoutfs mount {point}, which is read-only; name a file"
        yield Case(image(folder), (target,), said, (target,))


@situation
def a_file_in_a_fanoutfs_mount_that_hangs(folder: Path) -> Iterator[Case]:
    with served(image(folder, "served.img"), folder / "mnt") as point:
        daemon = json.loads(fanoutfs("status", "--json", point).stdout)["pid"]
        os.kill(daemon, signal.SIGSTOP)
        try:
            target = point / "new"
            yield Case(
                image(folder), (target,), f"the target {target} lies in the fanoutfs mount {point}, which"
            )
        finally:
            os.kill(daemon, signal.SIGCONT)


@situation
def a_disk_that_is_too_small(folder: Path) -> Iterator[Case]:
    with disk(folder, size=IMAGE - 512) as device:
        said = f"the target {device} is too small by 512 B: it has 4 MiB, the image 4 MiB; choose a larger"
        yield Case(image(folder), (device,), said, (device,))


@situation
def a_read_only_disk(folder: Path) -> Iterator[Case]:
    with disk(folder, "disk.img", DISK, "--read-only") as device:
        yield Case(image(folder), (device,), f"the target {device} is read-only; make it writable", (device,))


@situation
def a_file_on_a_read_only_file_system(folder: Path) -> Iterator[Case]:
    with disk(folder, size=FILE_SYSTEM) as device, mounted(device, folder / "mnt") as point:
        target = image(point, "old.img", MIB)
        run("mount", "-o", "remount,ro", point)
        said = f"the target {target} may not be written; check its rights, or work as root"
        yield Case(image(folder), (target,), said, (target,))


@situation
def a_new_file_on_a_read_only_file_system(folder: Path) -> Iterator[Case]:
    with disk(folder, size=FILE_SYSTEM) as device, mounted(device, folder / "mnt", "-o", "ro") as point:
        target = point / "new.img"
        said = f"the target {target} can't be created: its folder is not writable; name a file in a"
        yield Case(image(folder), (target,), said, (target,))


@situation
def a_folder(folder: Path) -> Iterator[Case]:
    yield Case(image(folder), (folder,), f"the target {folder} is a folder; name a file in it")


@situation
def a_character_device(folder: Path) -> Iterator[Case]:
    said = "the target /dev/null is neither a disk nor a file; name a block device or an image file"
    yield Case(image(folder), (Path("/dev/null"),), said)


@situation
def a_named_pipe(folder: Path) -> Iterator[Case]:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    yield Case(image(folder), (pipe,), f"the target {pipe} is neither a disk nor a file; name a block device")


@situation
def a_file_in_a_folder_that_is_missing(folder: Path) -> Iterator[Case]:
    target = folder / "no" / "where.img"
    said = f"the target {target} can't be created: its folder does not exist; create the folder first"
    yield Case(image(folder), (target,), said, (target,))


@situation
def a_disk_that_is_not_there(folder: Path) -> Iterator[Case]:
    target = Path("/dev/no-such-disk")
    said = f"the target {target} is not there; see with lsblk which disks there are"
    yield Case(image(folder), (target,), said, (target,))


@situation
def a_disk_twice(folder: Path) -> Iterator[Case]:
    with disk(folder) as device:
        link = folder / "link"
        link.symlink_to(device)
        said = f"the target {device} is named twice, as {device} and as {link}; name each target once"
        yield Case(image(folder), (device, link), said, (device,), exit_code=2)


@situation
def a_new_file_twice(folder: Path) -> Iterator[Case]:
    target, link = folder / "new.img", folder / "link"
    link.symlink_to(".")
    other = link / "new.img"
    said = f"the target {target} is named twice, as {target} and as {other}; name each target once"
    yield Case(image(folder), (target, other), said, (target,), exit_code=2)


@situation
def a_disk_and_its_partition(folder: Path) -> Iterator[Case]:
    with partitioned(folder) as (whole, first, _):
        said = f"the target {first} lies on the target {whole}; choose a different target"
        yield Case(image(folder), (whole, first), said, (whole,))


@situation
def one_bad_target_of_three(folder: Path) -> Iterator[Case]:
    with disk(folder) as good, attached(image(folder, "other.img", DISK), "--read-only") as bad:
        new = folder / "new.img"
        said = f"^(fanoutfs: )?the target {bad} is read-only; make it writable, or choose a different target$"
        yield Case(image(folder), (good, bad, new), said, (good, bad, new))


@situation
def two_bad_targets_of_three(folder: Path) -> Iterator[Case]:
    with disk(folder) as good, attached(image(folder, "other.img", DISK), "--read-only") as bad:
        first, second = (
            f"the target {bad} is read-only; .*",
            f"the target {folder} is a folder; name a file in it",
        )
        said = f"^(fanoutfs: )?{first}\n(fanoutfs: )?{second}$"
        yield Case(image(folder), (good, bad, folder), said, (good, bad))
