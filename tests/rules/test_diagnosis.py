"""What works on a machine, from facts about it: features, states, remedies."""

import errno
from typing import Any

import attrs
import pytest

from fanoutfs.doctor.diagnosis import COPY, MOUNT, Finding, State, findings, works
from fanoutfs.doctor.doctor_command import lines
from fanoutfs.doctor.features import FEATURES, FILTERS, MODULES, PLUGINS, PROGRAMS, package_of
from fanoutfs.doctor.machine_facts import MachineFacts
from fanoutfs.system.fuse_access import FuseAccess
from fanoutfs.system.memory_room import MemoryRoom
from fanoutfs.system.programs import PACKAGES, install, missing
from fanoutfs.units import MIB

ALL = MachineFacts(
    fuse=FuseAccess(root=True, may_mount=True),
    pyfuse3="3.5.0",
    libfuse="3.14.0",
    fusectl="",
    read_ahead="",
    kernel="",
    room=MemoryRoom(8192 * MIB, "the memory of this machine"),
    folder="/run/fanoutfs",
    no_folder="",
    loops=True,
    udev=True,
    syslog=True,
    lacking=frozenset(),
    silent="",
)

CONTAINER = attrs.evolve(
    ALL, fusectl="/sys/fs/fuse/connections is not mounted", read_ahead="/sys/class/bdi is read-only",
    loops=False, udev=False, syslog=False,
)  # fmt: skip


def lack(facts: MachineFacts) -> dict[str, Finding]:
    return {one.feature: one for one in findings(facts) if one.state is not State.WORKS}


def test_all_is_there() -> None:
    """Every feature works."""
    assert {} == lack(ALL)
    assert works(findings(ALL))


def test_a_container() -> None:
    """What it has not is named feature by feature; mounts and copies work."""
    found = lack(CONTAINER)
    assert [
        "mount, many cached readers",
        "mount, read-ahead of 1 MiB",
        "--only used, in partitions",
        "udev",
        "syslog",
    ] == list(found)
    assert {State.LESS} == {one.state for one in found.values()}
    assert works(findings(CONTAINER))


@pytest.mark.parametrize(
    ("changes", "failed", "remedy"),
    [
        ({"fuse": FuseAccess(root=True, may_mount=True, error=errno.EPERM)}, {MOUNT}, "--device /dev/fuse"),
        ({"fuse": None}, {MOUNT}, "out of PATH"),
        ({"fuse": FuseAccess(root=False, may_mount=False, helper=None)}, {MOUNT}, "pacman -S fuse3"),
        ({"libfuse": "not installed"}, {MOUNT, COPY}, "dnf install fuse3-libs"),
        ({"pyfuse3": "not installed"}, {MOUNT, COPY}, "pip install pyfuse3"),
        ({"kernel": "pidfd_open(2) fails"}, {COPY}, "system call filter"),
        ({"no_folder": "locks need a folder; make one writable"}, {COPY}, "make one writable"),
        ({"room": MemoryRoom(MIB, "the memory limit /x/memory.max")}, {COPY}, "raise the limit"),
    ],
)
def test_mounts_or_copies_fail(changes: dict[str, Any], failed: set[str], remedy: str) -> None:
    """What is lacking for them has its remedy, and the exit code is 1."""
    found = findings(attrs.evolve(ALL, **changes))
    lacking = [one for one in found if one.feature in (MOUNT, COPY) and one.state is State.LACKS]
    assert failed == {one.feature for one in lacking}
    assert all(one.text and remedy in one.remedy for one in lacking)
    assert not works(found)


def test_only_shared_mounts_fail() -> None:
    """A user's own mounts work without user_allow_other."""
    facts = attrs.evolve(ALL, fuse=FuseAccess(root=False, may_mount=False, all_may_share=False))
    (found,) = lack(facts).values()
    assert ("mount --allow-other", State.LACKS) == (found.feature, found.state)
    assert works(findings(facts))


@pytest.mark.parametrize("need", sorted({*PROGRAMS, *PLUGINS, *FILTERS, *MODULES}))
def test_one_thing_is_not_installed(need: str) -> None:
    """The features that need it name it, with the command that installs it; all others work."""
    found = lack(attrs.evolve(ALL, lacking=frozenset({need})))
    features = {feature.name for feature in FEATURES if need in feature.needs}
    assert features == found.keys() - {"copy, what is on a disk"}
    assert found
    for one in found.values():
        assert need in one.text
        assert one.remedy.startswith("pip install" if need in MODULES else "apt install")


def test_what_works_in_part() -> None:
    """Without xz, gzip images are still read; without all of them, there is no such feature."""
    (feature,) = (feature for feature in FEATURES if feature.name == "compressed images")
    some = lack(attrs.evolve(ALL, lacking=frozenset({"xz"})))
    none = lack(attrs.evolve(ALL, lacking=frozenset(feature.needs)))
    assert State.LESS == some[feature.name].state
    assert State.LACKS == none[feature.name].state


def test_formats_need_mounts_too() -> None:
    """nbdfuse shows them as a mount."""
    found = lack(attrs.evolve(ALL, fuse=FuseAccess(root=True, may_mount=True, error=errno.EPERM)))
    assert "nbdfuse mounts, too; see above" == found["nbd:// sources"].text


def test_programs_that_cannot_be_looked_for() -> None:
    """The line says so, and names no package."""
    silent = "a folder of PATH has not answered for 5 seconds"
    found = lack(attrs.evolve(ALL, lacking=frozenset(PROGRAMS), silent=silent))
    assert "can't be looked for: nbdfuse, nbdinfo" == found["nbd:// sources"].text
    assert silent == found["nbd:// sources"].remedy


def test_the_table_has_a_column_for_each_part() -> None:
    """A remedy stands below what it is for."""
    found = [
        Finding("mount", State.WORKS, "pyfuse3"),
        Finding("udev", State.LESS, "none", "add it"),
        Finding("x", State.WORKS),
    ]
    assert lines(found) == [
        "mount  works  pyfuse3",
        "udev   less   none",
        "              add it",
        "x      works",
    ]


def test_all_programs_have_packages() -> None:
    """In the one table of packages."""
    assert {package_of(need) for need in {*PROGRAMS, *PLUGINS, *FILTERS}} <= PACKAGES.keys()


def test_the_commands_that_install() -> None:
    """Each package once, in each distribution that has it."""
    several = install("nbdfuse", "nbdinfo", "xz")
    assert several == (
        "apt install libnbd-bin xz-utils (Fedora: dnf install nbdfuse libnbd xz; Arch: pacman -S libnbd xz)"
    )
    assert "apt install hfsprogs (Fedora: dnf install hfsplus-tools)" == install("fsck.hfsplus")
    assert "nothing is not installed" == missing("nothing")
