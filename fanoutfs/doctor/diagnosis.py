"""What works here, what does not, and the remedy: decided from the facts alone. No I/O."""

from collections.abc import Iterator, Sequence
from enum import Enum

import attrs

from fanoutfs.doctor.features import FEATURES, Feature, package_of
from fanoutfs.doctor.machine_facts import MachineFacts
from fanoutfs.fuse.obstacle import obstacle
from fanoutfs.system.programs import install
from fanoutfs.system.versions import MISSING
from fanoutfs.units import MIB, format_size

LEAST_ROOM = 16 * MIB
"""Bytes: with less there is hardly room for a ring and the buffers of a target."""

MOUNT, COPY = "mount", "copy"
"""The features whose lack is a failure."""


MOUNTS = "nbdfuse"
"""It shows what it connects to as a mount."""


class State(Enum):
    """How a feature works here; the values are printed."""

    WORKS = "works"
    LESS = "less"
    LACKS = "lacks"


@attrs.frozen
class Finding:
    """What is known of one feature."""

    feature: str
    state: State
    text: str = ""
    """What there is, or what is lacking."""
    remedy: str = ""
    """What to do, as commands or in words; empty if nothing can or need be done."""


def findings(facts: MachineFacts) -> list[Finding]:
    """Return what is known of each feature, the most important first."""
    mount = list(_mount(facts))
    mounts = mount[0].state is State.WORKS
    return [*mount, *_copy(facts), *_machine(facts), *(_feature(one, facts, mounts) for one in FEATURES)]


def works(found: Sequence[Finding]) -> bool:
    """Return whether mounts and copies work here."""
    return not any(one.state is State.LACKS for one in found if one.feature in (MOUNT, COPY))


def _library(facts: MachineFacts) -> tuple[str, str]:
    """Return what is lacking for the process that reads a source, and the remedy."""
    if facts.pyfuse3 == MISSING:
        return "pyfuse3 is not installed", "pip install pyfuse3"
    if facts.libfuse == MISSING:
        return "libfuse 3, which pyfuse3 was compiled with, is not installed", install("libfuse")
    return "", ""


def _mount(facts: MachineFacts) -> Iterator[Finding]:
    text, remedy = _library(facts)
    if not text:
        if facts.fuse is None:
            text, remedy = "fusermount3 can't be looked for", "take folders that do not answer out of PATH"
        else:
            text, _, remedy = obstacle(facts.fuse, set()).partition("; ")
    there = f"pyfuse3 {facts.pyfuse3}, libfuse {facts.libfuse}"
    yield Finding(MOUNT, State.LACKS, text, remedy) if text else Finding(MOUNT, State.WORKS, there)
    if facts.fuse is not None and not text:
        text, _, remedy = obstacle(facts.fuse, {"allow_other"}).partition("; ")
        yield Finding("mount --allow-other", State.LACKS if text else State.WORKS, text, remedy)
    yield _or_less(
        "mount, many cached readers",
        facts.fusectl,
        "as root: mount -t fusectl fusectl /sys/fs/fuse/connections",
    )
    yield _or_less("mount, read-ahead of 1 MiB", facts.read_ahead, "mount as root, with a writable /sys")


def _copy(facts: MachineFacts) -> Iterator[Finding]:
    text, remedy = _library(facts)
    if facts.kernel:
        text, remedy = facts.kernel, "permit them in the system call filter of this container or service"
    if facts.no_folder:
        text, _, remedy = facts.no_folder.rpartition("; ")
    if facts.room.size < LEAST_ROOM:
        text = f"{facts.room.limit} leaves {format_size(facts.room.size)}"
        remedy = "end other programs, or raise the limit"
    yield Finding(COPY, State.LACKS if text else State.WORKS, text, remedy)
    unseen = [name for name in ("lsblk", "blkid") if name in facts.lacking]
    yield _or_less(
        "copy, what is on a disk",
        _are_lacking(unseen, facts) if unseen else "",
        facts.silent or install(*unseen),
    )


def _machine(facts: MachineFacts) -> Iterator[Finding]:
    room = f"{format_size(facts.room.size)}, limited by {facts.room.limit}"
    yield Finding("memory", State.LESS if facts.room.size < LEAST_ROOM else State.WORKS, room)
    state = State.LACKS if facts.no_folder else State.WORKS
    yield Finding("folder of locks", state, facts.no_folder or facts.folder)
    yield _or_less(
        "--only used, in partitions",
        ""
        if facts.loops
        else "loop devices can't be made: /dev/loop-control is missing, or you lack the rights",
        "as root: modprobe loop; a container needs --device /dev/loop-control and the rights of root",
    )
    yield _or_less("udev", "" if facts.udev else "not running; fanoutfs asks the disks itself", "")
    yield _or_less(
        "syslog",
        "" if facts.syslog else "not running; warnings go to a file in the folder of locks",
        "name a file with --log",
    )


def _or_less(feature: str, text: str, remedy: str) -> Finding:
    return Finding(feature, State.LESS, text, remedy) if text else Finding(feature, State.WORKS)


def _feature(feature: Feature, facts: MachineFacts, mounts: bool) -> Finding:
    lacking = [need for need in feature.needs if need in facts.lacking]
    if not lacking and not mounts and MOUNTS in feature.needs:
        return Finding(feature.name, State.LACKS, f"{MOUNTS} mounts, too; see above")
    if not lacking:
        return Finding(feature.name, State.WORKS)
    state = State.LESS if feature.each and len(lacking) < len(feature.needs) else State.LACKS
    remedy = f"pip install '{feature.extra}'" if feature.extra else install(*map(package_of, lacking))
    return Finding(feature.name, state, _are_lacking(lacking, facts), facts.silent or remedy)


def _are_lacking(names: Sequence[str], facts: MachineFacts) -> str:
    if facts.silent:
        return f"can't be looked for: {', '.join(names)}"
    return f"not installed: {', '.join(names)}"
