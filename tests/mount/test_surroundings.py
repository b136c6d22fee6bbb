"""Each command in each kind of surroundings: it does what it does elsewhere, or says in one line why not."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from _pytest.mark.structures import ParameterSet

from tests.mount.conftest import PatternFactory
from tests.rig import mountinfo, mounts
from tests.rig.commands import FANOUTFS, TIMEOUT, Argument, Done, fanoutfs, finish, processes, wait_until
from tests.rig.copies import BLOCK, SLOWLY, Copies
from tests.rig.images import MIB, assert_same
from tests.rig.limited import CGROUPS
from tests.rig.places import NOBODY, Place
from tests.rig.surroundings import Surroundings
from tests.rig.terminal import terminal

SIZE = 2 * MIB
COMMANDS = ("copy", "mount", "status", "top", "umount", "simulate")
"""In the order in which they run: those in the middle look at what is mounted."""

REPORTS = frozenset({"status", "top", "simulate", "copy --dry-run"})
PRODUCES = frozenset({"copy", "mount"})
"""The commands that start a producer here."""

ELSEWHERE = tuple(name for name in COMMANDS if name != "umount")
"""The commands that need no right to mount; umount can't detach what another namespace has mounted."""


def without(*paths: str) -> tuple[str, ...]:
    """Return a command that starts another where /dev/null is mounted on these paths."""
    script = "".join(f"mount --bind /dev/null {path} && " for path in paths) + 'exec "$@"'
    return "unshare", "--mount", "sh", "-c", script, "sh"


@attrs.frozen
class Case:
    """Surroundings, and which commands are refused there."""

    around: Surroundings
    refused: frozenset[str] = frozenset()
    commands: tuple[str, ...] = COMMANDS
    """Those that make sense there."""


CASES = {
    "nothing odd": Case(Surroundings()),
    "no stdin": Case(Surroundings(closed=(0,))),
    "no stdout": Case(Surroundings(closed=(1,))),
    "no stderr": Case(Surroundings(closed=(2,))),
    "no standard streams": Case(Surroundings(closed=(0, 1, 2))),
    "stdout is full": Case(
        Surroundings(streams={1: "/dev/full"}), refused=REPORTS, commands=("copy --dry-run", *COMMANDS)
    ),
    "stdout and stderr are full": Case(
        Surroundings(streams={1: "/dev/full", 2: "/dev/full"}), refused=REPORTS
    ),
    "nobody reads stdout": Case(Surroundings(streams={1: "gone"})),
    "nobody reads stdout and stderr": Case(Surroundings(streams={1: "gone", 2: "gone"})),
    "1100 descriptors inherited": Case(Surroundings(inherited=1100)),
    "SIGCHLD is ignored": Case(Surroundings(ignored=(signal.SIGCHLD,))),
    "nohup in a script": Case(Surroundings(ignored=(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT))),
    "all signals are blocked": Case(Surroundings(all_blocked=True)),
    "a soft limit of descriptors": Case(Surroundings(limits={"NOFILE": (12, 512)})),
    "a hard limit of descriptors": Case(Surroundings(limits={"NOFILE": (16, 16)}), refused=PRODUCES),
    "no files of more than 4 KiB": Case(Surroundings(limits={"FSIZE": (4096, 4096)}), refused=PRODUCES),
    "umask 777": Case(Surroundings(umask=0o777)),
    "the working folder is gone": Case(Surroundings(folder_gone=True)),
    "no variables": Case(Surroundings(no_variables=True)),
    "an ASCII locale": Case(
        Surroundings(variables={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    ),
    "an unknown locale": Case(Surroundings(variables={"LC_ALL": "tlh_XX.KOI8-R", "LANG": ""})),
    "no right to mount": Case(
        Surroundings(prefix=("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")),
        refused=frozenset({"mount"}),
        commands=ELSEWHERE,
    ),
    "no /dev/fuse": Case(Surroundings(prefix=without("/dev/fuse")), frozenset({"mount"}), ELSEWHERE),
    "PID 1": Case(
        Surroundings(prefix=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")),
        # A mount would end with its PID namespace; umount can't detach what another namespace mounted.
        commands=("copy", "status", "top", "simulate"),
    ),
    "an ordinary user": Case(Surroundings(user=NOBODY)),
    "root of a user namespace": Case(Surroundings(namespaces=("user",))),
    "an ordinary user who is root of a user namespace": Case(Surroundings(user=NOBODY, namespaces=("user",))),
    "no network": Case(Surroundings(namespaces=("net",))),
    "a container": Case(Surroundings(namespaces=("pid", "net", "ipc", "uts"))),
    "a container of an ordinary user": Case(
        Surroundings(user=NOBODY, namespaces=("user", "pid", "net", "ipc", "uts"))
    ),
    "24 processes and threads": Case(Surroundings(cgroup={"pids.max": "24"})),
    "4 processes and threads": Case(Surroundings(cgroup={"pids.max": "4"}), refused=PRODUCES),
    "1 process": Case(
        Surroundings(cgroup={"pids.max": "1"}),
        refused=frozenset({"copy", "mount", "status", "top", "umount"}),
    ),
    "128 MiB of memory": Case(Surroundings(cgroup={"memory.limit_in_bytes": "128M"})),
    "a fifth of a processor": Case(Surroundings(cgroup={"cpu.cfs_quota_us": "20000"})),
}


@pytest.fixture(scope="module")
def served(pattern_image: PatternFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mount an image for commands that only look at a mount."""
    folder = tmp_path_factory.mktemp("served")
    point = folder / "mnt"
    point.mkdir()
    fanoutfs("mount", "--log", folder / "log", pattern_image(SIZE + MIB), point)
    yield point
    fanoutfs("umount", point)


@pytest.fixture
def odd_point(tmp_path: Path) -> Iterator[Path]:
    """Return a folder to mount on; what is mounted there at the end is unmounted."""
    folder = tmp_path / "odd"
    folder.mkdir()
    yield folder
    mounts.clear(folder)


@attrs.frozen
class Stay:
    """A case, at its place, with a source to mount and one to copy."""

    case: Case
    home: Path
    at: Place

    def words(self, command: str) -> tuple[Argument, ...]:
        """Return the arguments of a command of the table."""
        log, source, point = ("--log", self.home / "log"), self.home / "source", self.home / "odd"
        return {
            "copy": ("copy", "--yes", *log, self.home / "other", self.target),
            "copy --dry-run": ("copy", "--dry-run", self.home / "other", self.target),
            "mount": ("mount", *log, source, point),
            "status": ("status", point),
            "top": ("top", "-n", 1, "--interval", "0.1s", point),
            "umount": ("umount", point),
            "simulate": ("simulate", "--size", "8M", "--ring", "4M"),
        }[command]

    @property
    def target(self) -> Path:
        """What is copied to."""
        return self.home / "target"

    def is_mounted(self) -> bool:
        """Return whether the source is mounted."""
        return bool(self.at.mounts(self.home / "odd"))

    def plainly(self, command: str) -> None:
        """Run a command here, with nothing else odd."""
        self.at.run(FANOUTFS, *self.words(command))

    def check(self, command: str) -> None:
        """Run a command: it is right, or refused in one line without a byte written."""
        refused, before = command in self.case.refused, self.is_mounted()
        done = self.case.around.run(FANOUTFS, *self.words(command), at=self.at)

        assert_ended_well(done, self.case, refused=refused)
        assert self.target.exists() == (command == "copy" and not refused)
        if self.target.exists():
            assert_same(self.home / "other", self.target)
            self.target.unlink()
        changes = command in ("mount", "umount") and not refused
        assert self.is_mounted() == (before != changes)
        if command == "mount" and not refused:
            self.at.run("cmp", self.home / "source", self.home / "odd" / "image")
        if command in REPORTS and not {1} & {*self.case.around.closed, *self.case.around.streams}:
            assert done.stdout or refused


def parameters() -> Iterator[ParameterSet]:
    """Yield the names of the cases, with what they need of the machine."""
    for name, case in CASES.items():
        marks = [
            pytest.mark.skipif(not (CGROUPS / setting).is_dir(), reason=f"no {setting} cgroup of version 1")
            for setting in {file.partition(".")[0] for file in case.around.cgroup}
        ]
        if case.around.user or case.around.namespaces:
            marks.append(pytest.mark.hosts)
        yield pytest.param(name, marks=marks)


@pytest.fixture
def stay(request: pytest.FixtureRequest, source: Path, tmp_path: Path) -> Iterator[Stay]:
    """Make the place of a case, with files of its user; what is mounted there at the end is unmounted."""
    case, home = CASES[request.param], tmp_path / "home"
    (home / "odd").mkdir(parents=True)
    for name in ("source", "other"):
        shutil.copyfile(source, home / name)
    for path in (home, *home.iterdir()):
        os.chown(path, case.around.user, case.around.user)
    try:
        with case.around.place(home) as at:
            yield Stay(case, home, at)
    finally:
        mounts.clear(home / "odd")


def assert_ended_well(done: Done, case: Case, *, refused: bool) -> None:
    """Check exit code and messages: no traceback, and a line where something was refused."""
    said = f"{' '.join(done.args[-6:])}\n{done.stderr.decode()}"
    assert int(refused) == done.returncode, said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    heard = 2 not in case.around.closed and 2 not in case.around.streams
    lines = done.stderr.decode().splitlines()
    assert all(line.startswith("fanoutfs: ") for line in lines), said
    assert len(lines) == (heard and refused) or (heard and len(lines) == 1 and not refused), said


def nothing_is_left(folder: Path) -> bool:
    """Return whether no process names a file of a test."""
    return not any(word.startswith(str(folder)) for _, words in processes() for word in words)


@pytest.mark.parametrize("stay", [*parameters()], indirect=True)
def test_the_commands(stay: Stay) -> None:
    """Each is right, or refused in one line without a byte written; nothing is left behind."""
    for command in stay.case.commands:
        if command in ("status", "top") and not stay.is_mounted():
            stay.plainly("mount")
        stay.check(command)
    if stay.is_mounted():
        stay.plainly("umount")
    wait_until(lambda: nothing_is_left(stay.home), "nothing is left")


@pytest.mark.hosts
def test_other_computers_without_a_network(odd_point: Path, tmp_path: Path) -> None:
    """Not even this computer can be reached; each command ends in a line, and nothing is made or mounted."""
    alone, target = Surroundings(namespaces=("net",)), tmp_path / "target"
    near, far = "http://127.0.0.1:1", "http://192.0.2.1:1"
    with alone.place(tmp_path) as at:
        done = [
            alone.run(FANOUTFS, *words, at=at)
            for words in (
                ("copy", near, target),
                ("copy", far, target),
                ("copy", "nbd://192.0.2.1/image", target),
                ("status", far),
                ("top", near),
                ("mount", far, odd_point),
            )
        ]
        assert [] == at.mounts(odd_point)

    assert [1] * len(done) == [one.returncode for one in done]
    for one in done:
        (line,) = one.stderr.decode().splitlines()
        assert line.startswith("fanoutfs: ")
        assert "127.0.0.1:1" in line or "192.0.2.1" in line
    assert not target.exists()


@pytest.mark.parametrize("name", ["a\nb\x1b[2J\x9b\u2028\u202e", "caf\udce9\n\x1b[2J\u2028"], ids=ascii)
@pytest.mark.parametrize("around", ["nothing odd", "an ASCII locale"])
def test_a_name_that_is_no_plain_text(name: str, around: str, source: Path, tmp_path: Path) -> None:
    """Source, target and mount point may have it; what is printed and logged has no control characters."""
    folder, log, surroundings = tmp_path / name, tmp_path / "log", CASES[around].around
    folder.mkdir()
    named, target, point = folder / "source", folder / "target", folder / "mnt"
    point.mkdir()
    named.write_bytes(source.read_bytes())
    try:
        done = [
            surroundings.run(FANOUTFS, *words)
            for words in (
                ("copy", "--log", log, named, target),
                ("mount", "--log", log, named, point),
                ("status", point),
                ("copy", "--log", log, named, folder),
                ("umount", point),
                ("status", folder / "nowhere"),
            )
        ]
    finally:
        mounts.clear(point)

    assert_same(source, target)
    assert [0, 0, 0, 1, 0, 1] == [one.returncode for one in done]
    # Bytes that are no text stay as they are in a log.
    printed = b"".join(one.stdout + one.stderr for one in done) + log.read_bytes()
    assert not set(printed) & ({*range(32), 127} - {10})
    for text in printed.decode(errors="replace").splitlines():
        assert text.isprintable()
    assert all(len(one.stderr.splitlines()) <= 1 for one in done)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["mount", "copy", "status", "top"])
def test_a_signal_to_a_command_that_waits(
    command: str, by: signal.Signals, odd_point: Path, tmp_path: Path
) -> None:
    """It ends at once, with 128 plus the signal; nothing is made or mounted."""
    target = tmp_path / "target"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = {"mount": (url, odd_point), "copy": (url, target), "status": (url,), "top": (url,)}[command]
        process = CASES["all signals are blocked"].around.start(FANOUTFS, command, *words)
        connection, _ = silent.accept()
        process.send_signal(by)
        done = finish(process, code=128 + by)
        connection.close()

    not_begun = f"{target}: NOT FINISHED: stopped before the first byte\n" if command == "copy" else ""
    assert f"{not_begun}fanoutfs: ended by {by.name}\n" == done.stderr.decode()
    assert not target.exists()
    assert [] == mountinfo.at(odd_point)


@pytest.mark.parametrize("around", ["nothing odd", "PID 1", "nohup in a script"])
def test_sigterm_to_a_copy(around: str, copies: Copies, source: Path, tmp_path: Path) -> None:
    """It says how far the target is, and how it is finished, also as the first process of a container."""
    target = tmp_path / "target"
    words = copies.command(source, target, "--read-rate", "64K", "--block", BLOCK)
    process = copies.keep(CASES[around].around.start(*words))
    # It can't be held: in its PID namespace the number of its process is a different one.
    copies.worker(source, target, BLOCK)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]) if CASES[around].around.prefix else process.pid, signal.SIGTERM)
    done = copies.finish(process, code=128 + signal.SIGTERM)

    assert f"{target}: NOT FINISHED: stopped at " in done.stderr.decode()
    assert "--resume" in done.stderr.decode()


def test_nohup_is_heeded(copies: Copies, source: Path, tmp_path: Path) -> None:
    """With SIGHUP and SIGINT ignored, neither ends a copy."""
    target = tmp_path / "target"
    around = CASES["nohup in a script"].around
    process = copies.keep(around.start(*copies.command(source, target, *SLOWLY)))
    worker = copies.hold(source, target, BLOCK)
    for number in (signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
    os.kill(worker, signal.SIGCONT)
    copies.finish(process)
    assert_same(source, target)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_top(by: signal.Signals, served: Path) -> None:
    """The terminal gets its screen and its cursor back."""
    with terminal(FANOUTFS, "top", served) as shown:
        shown.wait_for("q quits")
        os.kill(shown.command_pid(), by)
        shown.read_to_end(code=128 + by)

    assert shown.text.rfind("\x1b[?25l") < shown.text.rfind("\x1b[?25h")
    assert shown.text.rfind("\x1b[?1049h") < shown.text.rfind("\x1b[?1049l")


@pytest.mark.parametrize("command", ["copy", "top"])
def test_the_terminal_hangs_up(
    command: str, served: Path, copies: Copies, source: Path, tmp_path: Path
) -> None:
    """It ends as by SIGHUP, although it can neither print nor restore the terminal."""
    words = copies.command(source, tmp_path / "target", "--read-rate", "64K", "--block", BLOCK)
    with terminal(*(words if command == "copy" else [FANOUTFS, "top", served])) as shown:
        shown.wait_for("copying" if command == "copy" else "q quits")
        shown.hang_up()
        assert 128 + signal.SIGHUP == shown.process.wait(TIMEOUT)


def test_sigterm_to_a_simulation() -> None:
    """It ends in a line."""
    process = Surroundings().start(FANOUTFS, "simulate", "--size", "16T", "--ring", "1G", "--readers", "20")
    assert process.stderr is not None
    assert b"simulating; this takes about" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert b"fanoutfs: ended by SIGTERM\n" == finish(process, code=128 + signal.SIGTERM).stderr
