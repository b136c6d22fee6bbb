"""`fanoutfs top` on a real mount."""

from pathlib import Path

from tests.mount.conftest import MountFactory
from tests.rig.commands import FANOUTFS, fanoutfs, finish
from tests.rig.images import MIB
from tests.rig.mounts import Mount
from tests.rig.readers import Spawn, hold

SIZE = 8 * MIB


def test_a_mount_with_a_reader_is_pictured(
    mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """The source, what is in the ring, and where the reader is."""
    mounted = mount(source, "--ring", "4M")
    held = hold(spawn, mounted.image, work / "copy", 2 * MIB)
    shown = fanoutfs("top", "--interval", "0.1", mounted.point).stdout.decode()
    held.say_go()
    held.finish()

    assert f"/{source.name}, 8 MiB; read " in shown
    assert "readers  1, " in shown
    assert "►" in shown
    assert "█" in shown
    assert "\x1b" not in shown


def test_the_end_of_the_mount_ends_it(mounted: Mount, source: Path, spawn: Spawn) -> None:
    """With a line that says so, and as a success."""
    watching = spawn(FANOUTFS, "top", "-n", "1000", "--interval", "0.1", mounted.point)
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith(b"source   ")
    mounted.unmount()
    said = finish(watching).stdout.decode().splitlines()[-1]

    assert f"the mount of {source} on {mounted.point} has ended after " in said


def test_where_nothing_is_mounted_it_fails(tmp_path: Path) -> None:
    """With the reason in a line."""
    done = fanoutfs("top", tmp_path, code=1)

    assert b"" == done.stdout
    assert f"fanoutfs: {tmp_path} has nothing mounted on it" in done.stderr.decode()
