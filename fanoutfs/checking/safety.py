"""May these targets be written? This is decided before a byte is written. No I/O, no clock.

A target is refused for these reasons, in this order; all that apply are reported:

1. It can't hold an image: a folder, a terminal, in a fanoutfs mount, in /proc, not writable.
2. It shares bytes with the source or with a different target, as ``StorageGraph.overlap`` defines it. Then
   no other reason is reported: the user has to choose a different target anyway.
3. It is in use: something that shares bytes with it is mounted, or is swap; or a volume of md, LVM or dm lies
   on it or on a part of it; or a loop device shows it. Files on it do not count as a use, but their mount
   does.
4. It is read-only, or smaller than the image.
"""

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

from fanoutfs.checking.storage import STACKED, Device, Kind, Overlap, StorageGraph
from fanoutfs.errors import UnusableError
from fanoutfs.units import format_size

REDIRECT = "send messages elsewhere, to a file of their own"

SHOWN = 4
"""How many uses of a disk are named at most: the message is one line."""

TargetKind = Literal["disk", "file", "folder", "other", "in fanoutfs", "unseen"]
Parent = Literal["writable", "closed", "missing"]

_KIND_NAMES: dict[Kind, str] = {
    "md": "md array", "LVM": "LVM volume", "crypt": "encrypted volume", "multipath": "multipath device",
    "dm": "device-mapper volume",
}  # fmt: skip


@attrs.frozen
class RequestedTarget:
    """A target, or the source, as it was found; bytes."""

    named: str
    """The path as the user gave it."""
    path: str
    """The absolute path, without symbolic links."""
    kind: TargetKind
    identity: str = ""
    """Of a file that does not exist yet: where it will be. Empty where there is no storage."""
    exists: bool = attrs.field(default=True, kw_only=True)
    size: int = attrs.field(default=0, kw_only=True)
    writable: bool = attrs.field(default=True, kw_only=True)
    """The rights allow it, and the file system is not read-only."""
    parent: Parent = attrs.field(default="writable", kw_only=True)
    """The folder of a file that does not exist yet."""
    pseudo_fs: str = attrs.field(default="", kw_only=True)
    """The type of the file system, if it keeps no files (/proc, /dev)."""
    unlinked: bool = attrs.field(default=False, kw_only=True)
    """An open file without a name, which a link in /proc stands for."""
    failure: str = attrs.field(default="", kw_only=True)
    """Why it could not be examined; or the mount that it lies in."""

    def __str__(self) -> str:
        """Return the path as the user gave it, followed by what it resolves to if that differs."""
        return self.named if self.named == self.path else f"{self.named} ({self.path})"


@attrs.frozen(kw_only=True)
class Candidate:
    """A target that may be written; bytes."""

    path: str
    """The absolute path, without symbolic links."""
    kind: Literal["disk", "file"]
    exists: bool
    size: int
    identity: str
    """As in ``RequestedTarget``."""
    unlinked: bool = False
    """As in ``RequestedTarget``."""
    generation: int = 0
    """As in ``Device``: shows when a stick was replaced by a different one."""
    disk: str = ""
    """The path of the whole disk, where the target is a disk or a part of one."""
    model: str = ""
    serial: str = ""
    contents: tuple[str, ...] = ()
    """As in ``Listed``; like model and serial unknown until ``lsblk.described``."""
    blank: bool = False
    """Of a disk: nothing was recognised on it, and its beginning is zeros."""


class RefusedError(UnusableError):
    """Some targets may not be written, and nothing was written; ``lines`` has a line for each of them."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self._lines = tuple(lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the line of each target."""
        return self._lines


def repeated_target(targets: Sequence[RequestedTarget]) -> str | None:
    """Return the message for the first target that two paths name, or None."""
    for first, second in itertools.combinations(targets, 2):
        if first.identity and first.identity == second.identity:
            same = "" if first.named == second.named else f", as {first.named} and as {second.named}"
            return f"the target {second.path} is named twice{same}; name each target once"
    return None


def refusals(
    source: RequestedTarget | None,
    image_size: int,
    targets: Sequence[RequestedTarget],
    machine: StorageGraph,
    outputs: Mapping[str, str],
) -> list[str]:
    """Return a line for each target that may not be written: which, why, and the remedy.

    ``image_size`` is in bytes; ``source`` is None for a source on another computer. ``outputs``: the
    identities of the files that messages are written to, and what each is.
    """
    lines = []
    for i, target in enumerate(targets):
        reasons = list(_unfit(target, machine))
        if output := outputs.get(target.identity):
            reasons = [f"is {output}; {REDIRECT}"]
        elif not reasons and (clash := _clash(target, source, targets[:i], machine)):
            reasons = [clash]
        elif not reasons:
            reasons = [*_in_use(target, machine), *_lacking(target, image_size, machine)]
        if reasons:
            lines.append(f"the target {target} {'; and it '.join(reasons)}")
    return lines


def _unfit(target: RequestedTarget, machine: StorageGraph) -> Iterator[str]:
    """Yield why a target can't hold an image at all."""
    match target.kind:
        case "unseen":
            yield f"can't be examined: {target.failure}; check its name and rights"
        case "in fanoutfs":
            yield f"lies in the fanoutfs mount {target.failure}, which is read-only; name a file elsewhere"
        case "folder":
            yield "is a folder; name a file in it"
        case "other":
            yield "is neither a disk nor a file; name a block device or an image file"
        case "disk" if target.identity not in machine.devices:
            yield "has no disk behind it; see with lsblk which disks there are"
        case "file" if target.pseudo_fs == "devtmpfs":
            what = "is a file in /dev, not a disk" if target.exists else "is not there"
            yield f"{what}; see with lsblk which disks there are"
        case "file" if target.pseudo_fs:
            yield f"lies in a {target.pseudo_fs}, which keeps no files; name a file elsewhere"
        case "file" if not target.exists:
            yield from _uncreatable(target)
        case _ if not target.writable:
            yield "may not be written; check its rights, or work as root"


def _uncreatable(target: RequestedTarget) -> Iterator[str]:
    """Yield why a file that does not exist can't be created."""
    if target.parent == "missing":
        yield "can't be created: its folder does not exist; create the folder first"
    elif target.parent == "closed":
        yield "can't be created: its folder is not writable; name a file in a different folder"


def _clash(
    target: RequestedTarget,
    source: RequestedTarget | None,
    others: Sequence[RequestedTarget],
    machine: StorageGraph,
) -> str | None:
    """Return the reason if a target shares bytes with the source, or with a target named before it."""
    for other, role in ((source, "source"), *((other, "target") for other in others)):
        if other is None or not other.identity:
            continue
        overlap = machine.overlap(target.identity, other.identity)
        if overlap is None:
            continue
        who = f"the {role} {other}"
        down, across = _chain(overlap.first, machine), _chain(overlap.second, machine)
        if target.identity == other.identity:
            what = f"is {who}" if target.path == other.path else f"is {who} by another name"
        elif len(overlap.second) == 1:
            what = f"lies on {who}{down}"
        elif len(overlap.first) == 1:
            what = f"holds {who}{across}"
        else:
            what = f"shares bytes with {who}: both lie on {machine.name(overlap.first[-1])}"
        return f"{what}; choose a different target"
    return None


def _chain(chain: Sequence[str], machine: StorageGraph) -> str:
    """Return the names along a chain of storages, if there are any between its ends."""
    return f" ({' on '.join(machine.name(storage) for storage in chain)})" if len(chain) > 2 else ""  # noqa: PLR2004 (both ends)


def _in_use(target: RequestedTarget, machine: StorageGraph) -> Iterator[str]:
    """Yield one reason that names all uses of a target, with the commands that end them."""
    uses = [*_mounts(target, machine), *_swaps(target, machine), *_stacks(target, machine)]
    uses = uses or list(_loops(target, machine))
    if not uses:
        return
    facts = [fact for fact, _ in uses[:SHOWN]]
    if len(uses) > SHOWN:
        facts.append(f"and {len(uses) - SHOWN} more")
    commands = list(dict.fromkeys(command for _, command in uses[:SHOWN] if command))
    how = f": {' && '.join(commands)}" if commands else ", or choose a different target"
    yield f"is in use: {', '.join(facts)}; free it first{how}"


def _mounts(target: RequestedTarget, machine: StorageGraph) -> Iterator[tuple[str, str]]:
    points: dict[tuple[str, bool], list[str]] = {}
    for mounted in machine.mounted:
        points.setdefault((mounted.storage, mounted.kind == "fuse.fanoutfs"), []).append(mounted.point)
    for (storage, is_fanoutfs), where in points.items():
        overlap = machine.overlap(target.identity, storage, files=False)
        if overlap is None:
            continue
        whose = in_relation(overlap, machine)
        first = where[0]
        if not first:
            yield f"{whose} belongs to a file system that is mounted elsewhere", ""
        elif is_fanoutfs:
            yield f"{whose} is served by fanoutfs on {first}", f"fanoutfs umount {shlex.quote(first)}"
        else:
            more = f" and {len(where) - 1} more" if len(where) > 1 else ""
            all_targets = "--all-targets " if more else ""
            yield f"{whose} is mounted on {first}{more}", f"umount {all_targets}{shlex.quote(first)}"


def _swaps(target: RequestedTarget, machine: StorageGraph) -> Iterator[tuple[str, str]]:
    for storage in machine.swaps:
        if overlap := machine.overlap(target.identity, storage, files=False):
            yield f"{in_relation(overlap, machine)} is swap", f"swapoff {shlex.quote(machine.name(storage))}"


def _stacks(target: RequestedTarget, machine: StorageGraph) -> Iterator[tuple[str, str]]:
    """Yield the volumes that lie on a target; of volumes that lie on one another, only the lowest."""
    beneath = machine.below(target.identity)
    for storage, device in machine.devices.items():
        if device.kind not in STACKED or storage in beneath or storage == target.identity:
            continue
        overlap = machine.overlap(target.identity, storage, files=False)
        if overlap is None or _kinds(overlap.second[1:-1], machine) & STACKED:
            continue
        member = attrs.evolve(overlap, second=overlap.second[1:])
        what = f"{_KIND_NAMES[device.kind]} {machine.name(storage)}"
        yield f"{in_relation(member, machine)} is a part of the {what}", _stop_command(device)


def _kinds(storages: Sequence[str], machine: StorageGraph) -> set[Kind]:
    return {machine.devices[storage].kind for storage in storages if storage in machine.devices}


def _stop_command(device: Device) -> str:
    """Return the command that stops a volume."""
    name = shlex.quote(device.mapped)
    match device.kind:
        case "md":
            return f"mdadm --stop /dev/{device.name}"
        case "LVM":
            # dmsetup doubles the hyphens within a name; a single one separates group and volume.
            group = re.split(r"(?<!-)-(?!-)", device.mapped)[0].replace("--", "-")
            return f"vgchange --activate n {shlex.quote(group)}"
        case "crypt":
            return f"cryptsetup close {name}"
        case "multipath":
            return f"multipath -f {name}"
        case _:
            return f"dmsetup remove {name}" if device.mapped else ""


def _loops(target: RequestedTarget, machine: StorageGraph) -> Iterator[tuple[str, str]]:
    """Yield the loop devices that show a target, not those that it lies on or that only overlap with it."""
    for storage, device in machine.devices.items():
        if device.kind == "loop" and storage != target.identity:
            overlap = machine.overlap(target.identity, storage, files=False)
            if overlap and len(overlap.first) == 1:
                shown = attrs.evolve(overlap, second=overlap.second[1:])
                whose = in_relation(shown, machine)
                yield f"{whose} is shown by {machine.name(storage)}", f"losetup --detach /dev/{device.name}"


def in_relation(overlap: Overlap, machine: StorageGraph) -> str:
    """Describe the second storage of an overlap in relation to the first, the target."""
    target, other = overlap.first[0], overlap.second[0]
    if target == other:
        return "it"
    name = machine.name(other)
    if len(overlap.first) == 1 and machine.disk_of(other) == target:
        return f"its partition {name}"
    if len(overlap.second) == 1:
        return f"{name}, on which it lies,"
    return f"{name}, which lies on it," if len(overlap.first) == 1 else f"{name}, which shares bytes with it,"


def _lacking(target: RequestedTarget, image_size: int, machine: StorageGraph) -> Iterator[str]:
    """Yield what makes a disk unsuitable."""
    device = machine.devices.get(target.identity)
    if device is None:
        return
    if device.read_only:
        yield "is read-only; make it writable, or choose a different target"
    if device.size == 0:
        yield "contains no medium; insert one"
    elif device.size < image_size:
        missing = format_size(image_size - device.size)
        have, want = format_size(device.size), format_size(image_size)
        yield f"is too small by {missing}: it has {have}, the image {want}; choose a larger target"
