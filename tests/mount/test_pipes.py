"""Pipes as sources, and spools: read once, whoever comes when, and nothing is left of it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from fanoutfs.engine.lock import socket_path
from tests.mount.conftest import LoopFactory, MountFactory
from tests.rig.commands import FANOUTFS, Process, end, fanoutfs, finish, run, shell, start, wait_until
from tests.rig.copies import Copies, lines
from tests.rig.images import MIB, assert_same, write_pattern
from tests.rig.mounts import Mount
from tests.rig.readers import Spawn, at_once, dd

SIZE = 16 * MIB + 777
FIRST_HALF = f'dd if="$1" iflag=direct bs=1M count=8 status=none | cmp -n {8 * MIB} - "$2"'
"""Past the page cache, which reads ahead, into what has not come."""


@attrs.define(eq=False)
class Written:
    """A FIFO, and the image that a process writes to it."""

    fifo: Path
    image: Path
    writer: Process

    def go_on(self) -> None:
        """Let the writer, which has stopped in the middle, write the rest."""
        assert self.writer.stdin is not None
        self.writer.stdin.close()


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """Write an image to a FIFO: its first half, and the rest when told to."""
    image, fifo = write_pattern(tmp_path / "image", SIZE), tmp_path / "fifo"
    os.mkfifo(fifo)
    half = f'exec >"$2"; head -c {8 * MIB} "$1"; read -r _ || true; tail -c +{8 * MIB + 1} "$1"'
    writer = start("sh", "-c", half, "sh", image, fifo, stdin=-1)
    yield Written(fifo, image, writer)
    end(writer)


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mount a file system in memory for a spool, whose use of it can be seen."""
    folder = tmp_path_factory.mktemp("room")
    run("mount", "-t", "tmpfs", "-o", f"size={40 * MIB}", "tmpfs", folder)
    yield folder
    run("umount", folder)


def status_bytes(mounted: Mount) -> int:
    return int(mounted.status()["source"]["bytes_read"])


def test_four_readers_of_a_pipe_from_the_start(
    written: Written, mount: MountFactory, spawn: Spawn, tmp_path: Path
) -> None:
    """All get everything through a ring that is smaller; a late one, and one of the end, get an error."""
    mounted = mount(written.fifo, "--size", SIZE)
    written.go_on()
    copies = [tmp_path / f"copy{number}" for number in range(4)]
    for reader in at_once(spawn, [dd(mounted.image, copy) for copy in copies]):
        finish(reader)

    for copy in copies:
        assert_same(written.image, copy)
    assert status_bytes(mounted) == SIZE
    wait_until(lambda: not _opens(mounted), "the beginning has left the ring")
    assert b"Illegal seek" in run("tail", "-c", "10", mounted.image, code=1).stderr
    assert "its beginning has gone by" in mounted.log.read_text()


def _opens(mounted: Mount) -> bool:
    return run("head", "-c", "1", mounted.image, code=None).returncode == 0


def test_a_pipe_with_a_spool_serves_readers_at_any_time(
    written: Written, room: Path, mount: MountFactory, tmp_path: Path
) -> None:
    """At the beginning, in the middle, after the end; each byte is taken once; no spool is left behind."""
    mounted = mount(written.fifo, "--size", SIZE, "--spool", room)
    first = start(*dd(mounted.image, tmp_path / "first"))
    wait_until(lambda: status_bytes(mounted) >= 8 * MIB, "half of it was read")
    shell(FIRST_HALF, mounted.image, written.image)
    written.go_on()
    finish(first)
    for late in ("late", "later"):
        run(*dd(mounted.image, tmp_path / late))

    for copy in ("first", "late", "later"):
        assert_same(written.image, tmp_path / copy)
    assert status_bytes(mounted) == SIZE
    assert mounted.status()["spool"]["kept"] == SIZE
    assert [] == list(room.iterdir())
    assert _used(room) >= SIZE
    mounted.unmount()
    wait_until(lambda: _used(room) < MIB, "the spool is gone")


def _used(folder: Path) -> int:
    there = os.statvfs(folder)
    return (there.f_blocks - there.f_bfree) * there.f_frsize


def test_nothing_is_left_of_the_spool_of_a_daemon_that_is_killed(
    small: Path, room: Path, mount: MountFactory
) -> None:
    """It never had a name."""
    mounted = mount(small, "--spool", room)
    run("cat", mounted.image)
    assert _used(room) >= MIB
    mounted.kill()
    mounted.detach()

    wait_until(lambda: _used(room) < MIB, "the spool is gone")
    assert [] == list(room.iterdir())


def test_the_size_of_a_pipe_is_learnt_before_it_is_mounted(
    written: Written, room: Path, mount: MountFactory, point: Path
) -> None:
    """With a spool; without one, and without a size, it is refused."""
    refused = fanoutfs("mount", written.fifo, point, code=2).stderr
    assert b"add --size SIZE, or --spool DIR" in refused
    written.go_on()
    mounted = mount(written.fifo, "--spool", room)

    assert mounted.image.stat().st_size == SIZE
    assert_same(written.image, mounted.image)


def test_a_pipe_that_hangs(written: Written, room: Path, mount: MountFactory) -> None:
    """Who waits for it gets an error within the limit, others get what is there, and umount works."""
    mounted = mount(written.fifo, "--size", SIZE, "--spool", room, "--source-timeout", "4")
    waits = start(*dd(mounted.image, Path("/dev/null")))
    wait_until(lambda: status_bytes(mounted) >= 8 * MIB, "half of it was read")
    shell(FIRST_HALF, mounted.image, written.image)
    _, error = waits.communicate(timeout=30)
    assert b"Input/output error" in error
    shell(FIRST_HALF, mounted.image, written.image)
    mounted.unmount()


def test_a_pipe_of_unknown_size_to_files_and_disks(
    written: Written, copies: Copies, loop: LoopFactory, tmp_path: Path
) -> None:
    """Files get its length; a disk that is too small fails by name, and the others go on."""
    enough, tight = tmp_path / "enough", tmp_path / "tight"
    for path, size in ((enough, 20 * MIB), (tight, 12 * MIB)):
        path.write_bytes(bytes(size))
    long = tmp_path / "long"
    long.write_bytes(b"x" * 20 * MIB)
    targets = [loop(enough), loop(tight), tmp_path / "new", long]
    written.go_on()
    done = copies.run(written.fifo, *targets, "--verify", "--ring", "4M", code=1)

    said = lines(done)
    assert "FAILED: is too small: it has 12 MiB" in said[str(targets[1])]
    assert b"3 of 4 copies are good" in done.stderr
    for copy in targets[2:]:
        assert_same(written.image, copy)
    assert targets[0].read_bytes()[:SIZE] == written.image.read_bytes()
    assert targets[1].read_bytes()[:4096] == bytes(4096)


def test_the_producer_of_a_pipe_is_killed(written: Written, copies: Copies, tmp_path: Path) -> None:
    """One line that says why the copy can't go on; no other process reads the rest of the pipe."""
    target = tmp_path / "target"
    copying = copies.start(written.fifo, target)
    status = copies.wait_for(
        written.fifo, lambda status: status["source"]["bytes_read"] >= 7 * MIB, "much of it was read"
    )
    os.kill(status["pid"], signal.SIGKILL)
    done = copies.finish(copying, code=1)

    assert "a pipe can't be read again" in lines(done)[str(target)]
    # No producer comes after it, which would have removed that.
    socket_path(status["source"]["identity"]).unlink()


def test_a_copy_of_a_pipe_that_comes_late(written: Written, copies: Copies, tmp_path: Path) -> None:
    """It is refused in one line, and its target is not touched; the one that is there goes on."""
    early, late = tmp_path / "early", tmp_path / "late"
    copying = copies.start(written.fifo, early, "--ring", "2M")
    copies.wait_for(written.fifo, lambda status: status["source"]["bytes_read"] >= 7 * MIB, "much was read")
    refused = copies.run(written.fifo, late, code=1)
    written.go_on()
    copies.finish(copying)

    (line,) = refused.stderr.decode().splitlines()
    assert "its beginning has gone by; start readers together" in line
    assert not late.exists()
    assert_same(written.image, early)


def test_standard_input(copies: Copies, small: Path, tmp_path: Path) -> None:
    """A pipe there is a source, a file there is that file, a terminal or nothing is refused."""
    command = '"$3" copy --yes - "$2"; cmp "$1" "$2"'
    by_pipe = shell(f'cat "$1" | {command}', small, tmp_path / "piped", FANOUTFS)
    by_name = shell(f'exec <"$1"; head -c 10 >/dev/null; {command}', small, tmp_path / "file", FANOUTFS)
    nothing = shell('"$1" copy --yes - "$2" </dev/null', FANOUTFS, tmp_path / "none", code=1)
    empty = shell('true | "$1" copy --yes - "$2"', FANOUTFS, tmp_path / "none", code=1)

    assert b"1 MiB copied" in by_pipe.stdout
    assert b"1 MiB copied" in by_name.stdout
    assert b"it is read from its beginning" in by_name.stderr
    assert b"standard input is closed, or neither" in nothing.stderr
    assert b"the source - is empty; nothing was written" in empty.stderr
    assert not (tmp_path / "none").exists()
