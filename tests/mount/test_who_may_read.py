"""Who may read a source through its mount, its producer's socket and its processes' memory; root needed."""

import errno
import os
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanoutfs.engine.lock import socket_name, socket_path
from fanoutfs.system.identity import identity_of
from tests.mount.conftest import MountFactory
from tests.rig.commands import Argument, Done, run, wait_until
from tests.rig.copies import SLOWLY, Copies
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")

SIZE = 32 * MIB

NOBODY = 65534
STRANGER = ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
"""Becomes a user who has no part in the mount."""

NAMES = ("image", "carousel", ".fanoutfs/status", ".fanoutfs/head", ".fanoutfs/direct")


def as_stranger(mounted: Mount, *command: Argument) -> Done:
    """Run a command in the mount, as another user; folders above it may be closed, and do not count."""
    enter = ("sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", mounted.point)
    return run(*enter, *STRANGER, *command, code=None)


def modes(mounted: Mount) -> set[str]:
    """Return the modes of all that is in the mount."""
    return {oct(path.stat().st_mode) for path in (mounted.point, *mounted.point.rglob("*"))}


def test_only_the_user_who_mounted_it_can_read_it(mount: MountFactory, small: Path) -> None:
    """Files have mode 0400 and folders 0500; another user gets EACCES for each of them."""
    mounted = mount(small)
    answers = [as_stranger(mounted, "cat", name) for name in NAMES]
    listing = as_stranger(mounted, "ls", ".")

    assert modes(mounted) == {"0o100400", "0o40500"}
    assert [answer.returncode for answer in (*answers, listing)] == [1] * len(NAMES) + [2]
    assert all(b"Permission denied" in answer.stderr for answer in (*answers, listing))
    assert not any(answer.stdout for answer in answers)


@pytest.mark.parametrize("option", [("--allow-other",), ("-o", "allow_other")])
def test_all_users_can_read_it_when_told_so(
    option: tuple[str, ...], mount: MountFactory, small: Path
) -> None:
    """With --allow-other files have mode 0444, folders 0555; nobody can write."""
    mounted = mount(small, *option)
    answer = as_stranger(mounted, "cat", "image")

    assert modes(mounted) == {"0o100444", "0o40555"}
    assert answer.stdout == small.read_bytes()
    assert as_stranger(mounted, "sh", "-c", "echo x > image").returncode != 0
    assert_same(small, mounted.image)


def connect_as_stranger(address: str) -> str:
    """Connect in a child that is another user; return what it is told, or the error."""
    empty, full = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with socket.socket(socket.AF_UNIX) as door:
                door.connect(address)
                os.write(full, door.recv(1000))
        except OSError as error:
            os.write(full, errno.errorcode[error.errno or 0].encode())
        finally:
            os._exit(0)
    os.close(full)
    os.waitpid(pid, 0)
    with open(empty, "rb") as answer:  # noqa: PTH123 (a descriptor)
        return answer.read().decode()


def test_another_user_can_not_join_the_producer(mount: MountFactory, small: Path) -> None:
    """The folder of its socket is closed, and whoever comes by its abstract name is refused."""
    mount(small, "--allow-other")
    identity = identity_of(small.stat())
    by_name = connect_as_stranger(f"\0{socket_name(identity)}")

    assert connect_as_stranger(str(socket_path(identity))) == "EACCES"
    assert by_name.startswith('{"type": "refused"')
    assert "another user's" in by_name


@pytest.fixture
def holders(mount: MountFactory, copies: Copies, source: Path, tmp_path: Path) -> Iterator[dict[str, int]]:
    """Copy slowly from a mount; return the processes that hold bytes of the source."""
    mounted = mount(source, "--ring", "4M", *SLOWLY)
    copy = copies.start(mounted.point, tmp_path / "target")

    def workers() -> list[int]:
        status = mounted.status()
        return [reader["pid"] for reader in status["readers"] if reader["kind"] == "copy"]

    wait_until(lambda: bool(workers()), "the copy has joined")
    yield {"daemon": mounted.pid, "worker": workers()[0]}
    copy.kill()
    copy.wait()


def test_what_holds_bytes_of_the_source_is_not_dumped(holders: dict[str, int]) -> None:
    """Neither the ring's pages (dd, proc(5)) nor the rest of a daemon or worker; both gain no rights."""
    for pid in holders.values():
        smaps = Path(f"/proc/{pid}/smaps").read_text()
        (ring,) = re.findall(r"memfd:fanoutfs-ring.*?^VmFlags: (.*?)$", smaps, re.DOTALL | re.MULTILINE)
        assert "dd" in ring.split()
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert "NoNewPrivs:\t1\n" in Path(f"/proc/{pid}/status").read_text()


def test_what_is_reported_has_no_byte_of_the_source(
    mount: MountFactory, copies: Copies, tmp_path: Path
) -> None:
    """Neither the log of a mount or a copy, nor the status, nor what a copy prints, says what is in it."""
    secret = b"a line of somebody's disk"
    image = tmp_path / "image"
    image.write_bytes(secret * 40_000)
    mounted = mount(image)
    done = copies.run(mounted.point, "--verify", tmp_path / "target")
    logs = [path.read_bytes() for path in tmp_path.rglob("*log*") if path.is_file()]
    status = run("cat", mounted.point / ".fanoutfs" / "status").stdout

    assert len(logs) >= 1
    assert [text for text in (*logs, status, done.stdout, done.stderr) if secret in text] == []


def test_the_daemon_holds_nothing_of_the_place_that_it_was_started_from(
    mount: MountFactory, small: Path
) -> None:
    """Its folder is /, what it makes only its user reads, and its descriptors are its own."""
    with small.open("rb") as opened:
        os.set_inheritable(opened.fileno(), True)  # noqa: FBT003 (of os)
        mounted = mount(small)
    process = Path(f"/proc/{mounted.pid}")
    open_files = [os.readlink(link) for link in (process / "fd").iterdir()]  # noqa: PTH115 (not paths)

    assert Path("/") == (process / "cwd").readlink()
    assert "Umask:\t0077\n" in (process / "status").read_text()
    assert open_files.count(str(small)) == 1
    assert {"/dev/null"} == {os.readlink(process / "fd" / str(number)) for number in range(3)}  # noqa: PTH115
