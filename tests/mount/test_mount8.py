"""mount(8) and fstab, in a mount namespace whose /sbin has the helper."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.rig import mountinfo
from tests.rig.commands import FANOUTFS, Argument, Done, wait_until
from tests.rig.images import MIB
from tests.rig.mounts import unexpected_lines
from tests.rig.places import NOBODY, ROOT, Place, place

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change /sbin in a namespace"),
    pytest.mark.tool("mount", "findmnt", "lsof", "fuser"),
]

SIZE = MIB

INSTALL = """
sbin=$(realpath /sbin)
mkdir /run/sbin
mount --bind "$sbin" /run/sbin
mount -t tmpfs tmpfs "$sbin"
ln -s /run/sbin/* "$@" "$sbin"
"""
"""Arguments: the helpers. What was in /sbin stays there, as links."""

HELPERS = [Path(sys.executable).with_name(name) for name in ("mount.fanoutfs", "mount.fuse.fanoutfs")]


@attrs.frozen
class Machine:
    """A mount namespace in which mount(8) knows the type fanoutfs, and a folder to mount on."""

    place: Place
    point: Path
    log: Path

    def run(self, *command: Argument, code: int | None = 0) -> Done:
        """Run a command there."""
        return self.place.run(*command, code=code)

    def mounts(self) -> list[mountinfo.Entry]:
        """Return what is mounted on the folder."""
        return self.place.mounts(self.point)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Make one; at the end nothing is mounted, no daemon runs, and none has logged a warning."""
    point, log = tmp_path / "mount point", tmp_path / "log,with a comma"
    point.mkdir()
    with place(ROOT, ("mount",), {}, tmp_path) as made:
        made.run("sh", "-ec", INSTALL, "sh", *HELPERS)
        machine = Machine(made, point, log)
        yield machine
        assert [] == machine.mounts()
        wait_until(lambda: not made.own_processes(), "the daemon has ended")
    assert [] == unexpected_lines(log.read_text() if log.exists() else "", [])


@pytest.fixture
def image(small: Path, tmp_path: Path) -> Path:
    """Make an image whose name has what fstab has to escape."""
    path = tmp_path / "disk, a copy.img"
    shutil.copy(small, path)
    return path


@pytest.fixture
def fstab(machine: Machine, image: Path, tmp_path: Path) -> Path:
    """Write one with a line for the image, and one for a source that is not there."""
    options = f'ring=4M,allow_other,log="{machine.log}",user,nofail,_netdev,x-systemd.automount'
    fields = [str(image), str(machine.point), "fanoutfs", options, "0 0"]
    lines = [
        " ".join([field.replace(" ", "\\040") for field in fields[:-1]] + fields[-1:]),
        f"{tmp_path}/missing {tmp_path} fanoutfs nofail 0 0",
    ]
    path = tmp_path / "fstab"
    path.write_text("\n".join([*lines, ""]))
    return path


def test_a_line_of_fstab(machine: Machine, image: Path, fstab: Path) -> None:
    """`mount -a` mounts it once; findmnt, df, lsof, fuser and umount show it as they show other mounts."""
    at_boot = ("env", "-i", shutil.which("mount") or "mount", "--fstab", fstab, "--all")
    for _ in range(2):
        machine.run(*at_boot)
    (entry,) = machine.mounts()
    machine.run("cmp", image, machine.point / "image")
    shown = machine.run("findmnt", "-no", "SOURCE,FSTYPE,OPTIONS", machine.point).stdout.decode()
    df = machine.run("df", "--block-size=1", "--output=source,size,avail", machine.point).stdout.decode()
    holder: list[Argument] = [
        "sh",
        "-c",
        'exec 3<"$1"; shift; "$@"; umount "$0"',
        machine.point,
        machine.point / "image",
    ]
    lsof = machine.run(*holder, "lsof", "-t", machine.point / "image", code=32)
    fuser = machine.run(*holder, "fuser", "-m", machine.point, code=32)
    machine.run("umount", machine.point)

    assert "fuse.fanoutfs" == entry.kind
    assert shown.startswith(f"{image} fuse.fanoutfs ro,")
    assert {"noexec", "allow_other"} <= set(shown.strip().split(","))
    assert f"{image} {SIZE} 0" == " ".join(df.splitlines()[1].split())
    assert all(done.stdout.split() for done in (lsof, fuser))
    assert all(b"target is busy" in done.stderr for done in (lsof, fuser))


@pytest.mark.parametrize(
    ("kind", "unmount"),
    [
        ("fanoutfs", ["umount"]),
        ("fanoutfs", ["umount", "--lazy"]),
        ("fuse.fanoutfs", ["fusermount3", "-u"]),
        ("fanoutfs", [FANOUTFS, "umount"]),
    ],
)
def test_ways_to_unmount(kind: str, unmount: list[Argument], machine: Machine, image: Path) -> None:
    """The mount goes, and its daemon ends."""
    options = f'ring=4M,source-timeout=5s,log="{machine.log}"'
    machine.run("mount", "-t", kind, "-o", options, image, machine.point)
    machine.run("cmp", image, machine.point / "image")
    machine.run("mount", "-o", "remount,ring=8M", machine.point, code=1)
    machine.run(*unmount, machine.point)


@pytest.mark.parametrize(
    ("options", "source", "code", "message"),
    [
        ("rin=4M", "IMAGE", 1, "fanoutfs: unknown mount option 'rin'; did you mean ring?"),
        ("ring=lots", "IMAGE", 1, "fanoutfs: invalid --ring: 'lots' is not a size; write it as "),
        ("ro", "missing", 32, "fanoutfs: the source missing can't be read: no such file"),
        ("ro,nofail", "missing", 0, ""),
        ("ro", "LABEL=nowhere", 1, "mount: "),
    ],
)
def test_what_cant_be_mounted(
    options: str, source: str, code: int, message: str, machine: Machine, image: Path
) -> None:
    """One line, an exit code of mount(8), and nothing is mounted; a tag is resolved by mount(8) alone."""
    named = image if source == "IMAGE" else source
    done = machine.run("mount", "-t", "fanoutfs", "-o", options, named, machine.point, code=code)
    assert done.stderr.decode().startswith(message)
    assert len(done.stderr.splitlines()) == (1 if message else 0)


def test_a_fake_mount(machine: Machine, image: Path) -> None:
    """`mount -f` checks the options, and mounts nothing."""
    machine.run("mount", "-f", "-t", "fanoutfs", "-o", "ring=4M", image, machine.point)
    machine.run("mount", "-f", "-t", "fanoutfs", "-o", "rin=4M", image, machine.point, code=1)


@pytest.mark.tool("fusermount3")
def test_a_line_for_users(small: Path, tmp_path: Path) -> None:
    """With `user`, someone who is not root mounts it, and unmounts it."""
    image, point, fstab = tmp_path / "image", tmp_path / "mnt", tmp_path / "fstab"
    shutil.copy(small, image)
    image.chmod(0o644)
    tmp_path.chmod(0o755)
    point.mkdir()
    os.chown(point, NOBODY, NOBODY)
    fstab.write_text(f"{image} {point} fanoutfs ring=4M,user,noauto 0 0\n")
    with place(NOBODY, (), {}, tmp_path) as someone:
        root = attrs.evolve(someone, user=ROOT)
        root.run("sh", "-ec", INSTALL, "sh", *HELPERS)
        root.run("mount", "--bind", fstab, "/etc/fstab")
        someone.run("mount", point)
        someone.run("cmp", image, point / "image")
        (entry,) = someone.mounts(point)
        someone.run("umount", point)
        assert [] == someone.mounts(point)
        wait_until(lambda: not someone.own_processes(), "the daemon has ended")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(entry.options.split(","))
