"""Fixtures that make real mounts and leave nothing behind, whatever the test does."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import pytest

from tests.rig import mountinfo, mounts
from tests.rig.commands import Argument, Process, end, fanoutfs, run, start, wait_until
from tests.rig.copies import BLOCK, SLOWLY, Copies
from tests.rig.disks import Disk, make_disk
from tests.rig.faults import Served, faulty_source
from tests.rig.hosts import Host
from tests.rig.hosts import hosts as made_hosts
from tests.rig.images import MIB, assert_same, write_pattern
from tests.rig.loops import attached
from tests.rig.mounts import Mount
from tests.rig.shown import Computers

RING = "4M"  # smaller than nearly every image here, so that slots are given up
LIMIT = 200.0  # seconds that one test may hold a mount: less than pytest gives the test
FOR_EVER = 300  # seconds of patience, or of --turn, that no test can wait for
FAILED = pytest.StashKey[bool]()

PatternFactory = Callable[[int], Path]
LoopFactory = Callable[[Path], Path]
FaultFactory = Callable[..., Served]
MountFactory = Callable[..., Mount]
HostsFactory = Callable[[int], tuple[Host, ...]]
Refused = Callable[..., str]


NO_MOUNT = ("test_documents.py", "test_pages_commands.py")
"""Files in which there are tests that need no mount."""

NEEDS = {
    "loop": pytest.mark.tool("losetup"),
    "faulty": pytest.mark.tool("nbdfuse", "nbdkit"),
    "hosts": pytest.mark.hosts,
}
"""The mark of each test that uses a fixture."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder with what they need."""
    for item in items:
        if item.path.parent != Path(__file__).parent or not isinstance(item, pytest.Function):
            continue
        if item.path.name not in NO_MOUNT:
            item.add_marker(pytest.mark.mount)
        for fixture in NEEDS.keys() & set(item.fixturenames):
            item.add_marker(NEEDS[fixture])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record for the fixtures whether a test has failed."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session", autouse=True)
def _fusectl() -> None:
    """Make it possible to abort a mount that hangs."""
    mountinfo.mount_fusectl()


@pytest.fixture(scope="session")
def pattern_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PatternFactory]:
    """Make pattern images, one of each size; tests only read them. Removed at the end: they are large."""
    folder = tmp_path_factory.mktemp("patterns")

    def make(size: int) -> Path:
        path = folder / f"{size}.img"
        return path if path.exists() else write_pattern(path, size)

    yield make
    run("rm", "-rf", folder)


@pytest.fixture
def source(request: pytest.FixtureRequest, pattern_image: PatternFactory) -> Path:
    """Return a pattern image of the size that the test's module calls SIZE."""
    return pattern_image(request.module.SIZE)


@pytest.fixture
def small(pattern_image: PatternFactory) -> Path:
    """Return a pattern image of 1 MiB."""
    return pattern_image(MIB)


@pytest.fixture
def mounted(mount: MountFactory, source: Path) -> Mount:
    """Mount the module's pattern image with the ring of these tests."""
    return mount(source)


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """Make a real disk image; tests only read it. Removed at the end."""
    folder = tmp_path_factory.mktemp("disk")
    yield make_disk(folder)
    run("rm", "-rf", folder)


@pytest.fixture(autouse=True)
def _nothing_large_is_left(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Remove the large files of a test that failed; pytest removes all those of one that passed."""
    yield
    if request.node.stash.get(FAILED, False):
        run("find", tmp_path, "-xdev", "-type", "f", "-size", "+100k", "-delete", code=None)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """Make a folder for copies; it is removed at the end, as they are large."""
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    run("rm", "-rf", "--one-file-system", folder)


@pytest.fixture
def sources() -> Iterator[contextlib.ExitStack]:
    """Keep what serves the sources; it ends after the mounts."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def loop(sources: contextlib.ExitStack) -> LoopFactory:
    """Put files behind loop devices, to be mounted as block devices."""
    return lambda path: sources.enter_context(attached(path))


@pytest.fixture
def backing(request: pytest.FixtureRequest, work: Path) -> Path:
    """Make the file behind ``device``: as much junk as the test's module calls SIZE."""
    path = work / "backing"
    path.write_bytes(os.urandom(request.module.SIZE))
    return path


@pytest.fixture
def device(backing: Path, loop: LoopFactory) -> Path:
    """Attach a loop device to ``backing``."""
    return loop(backing)


@pytest.fixture
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Mount a file system in memory that has as much room as the test's module calls ROOM."""
    folder = tmp_path / "full"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={request.module.ROOM}", "tmpfs", folder)
    yield folder
    run("umount", folder)


@pytest.fixture
def faulty(sources: contextlib.ExitStack, tmp_path: Path) -> FaultFactory:
    """Serve a pattern image with bad areas."""

    def serve(size: int, bad: Sequence[tuple[int, int]] = ()) -> Served:
        return sources.enter_context(faulty_source(tmp_path, size, bad))

    return serve


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    """Make an empty folder to mount on; what a failed test leaves there is unmounted."""
    folder = tmp_path / "mnt"
    folder.mkdir()
    yield folder
    mounts.clear(folder)


NO_SOURCES = ("missing", "dangling link", "folder", "empty file", "character device")
"""What is refused as a source; an image of no bytes would look like a successful copy."""


def no_source(kind: str, folder: Path) -> Path:
    """Make one of NO_SOURCES in a folder."""
    path = folder / "no-source"
    if kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty file":
        path.touch()
    return Path("/dev/null") if kind == "character device" else path


def missing(source: Path, target: Path) -> list[int]:
    """Return the offsets of the blocks that a target lacks."""
    with source.open("rb") as whole, target.open("rb") as part:
        offsets = range(0, source.stat().st_size, BLOCK)
        return [offset for offset in offsets if whole.read(BLOCK) != part.read(BLOCK)]


def allocated(path: Path, block: int = BLOCK) -> int:
    """Return the blocks that a file takes on its disk; the file system's own data is less than one."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path.stat().st_blocks * 512 // block


def flip(path: Path, offset: int) -> None:
    """Flip a bit of a file or a disk that another process may have open."""
    with path.open("r+b", buffering=0) as file:
        (byte,) = os.pread(file.fileno(), 1, offset)
        os.pwrite(file.fileno(), bytes([byte ^ 1]), offset)
        os.fsync(file.fileno())


@contextlib.contextmanager
def opened(path: Path | str, flags: int = 0) -> Iterator[int]:
    """Open a file for reading as a descriptor."""
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def assert_copies(source: Path, *copies: Path) -> None:
    """Fail when one of several copies differs from the source."""
    for copy in copies:
        assert_same(source, copy)


@pytest.fixture
def refused(point: Path) -> Refused:
    """Try to mount on ``point``; return the error message, having checked that nothing is mounted."""

    def attempt(*words: Argument, code: int = 1) -> str:
        done = fanoutfs("mount", *words, point, code=code)
        assert [] == mountinfo.at(point)
        return done.stderr.decode()

    return attempt


@pytest.fixture
def mount(
    request: pytest.FixtureRequest, sources: contextlib.ExitStack, tmp_path: Path
) -> Iterator[MountFactory]:
    """Mount sources; at the end each daemon must be idle, unmount, end, and have logged no warning."""
    del sources  # named so that it is ended later than the mounts
    points: list[Path] = []
    started: list[Mount] = []

    def make(
        source: Path, *options: Argument, point: Path | None = None, expected: Sequence[str] = ()
    ) -> Mount:
        point = point or tmp_path / f"mnt{len(points)}"
        point.mkdir(exist_ok=True)
        points.append(point)
        made = Mount(source, point, tmp_path / f"log{len(points)}", expected=list(expected))
        _start(made, options)
        started.append(made)
        return made

    yield make
    try:
        _end_mounts(started, failed=request.node.stash.get(FAILED, False))
    finally:
        for left in points:
            mounts.clear(left)
    assert mountinfo.below(tmp_path) == [] or _only_sources(tmp_path)


def _start(made: Mount, options: Sequence[Argument]) -> None:
    ring = () if "--ring" in options else ("--ring", RING)
    fanoutfs("mount", *ring, "--log", made.log, *options, made.source, made.point)
    made.watch(LIMIT)
    made.pid = made.status()["pid"]


@pytest.fixture(scope="module")
def _shared() -> Iterator[dict[tuple[Argument, ...], Mount]]:
    """Keep the mounts that the tests of a module share."""
    made: dict[tuple[Argument, ...], Mount] = {}
    yield made
    with contextlib.ExitStack() as afterwards:
        for one in made.values():
            afterwards.callback(one.abandon)
            afterwards.callback(one.close)


@pytest.fixture
def shared(
    request: pytest.FixtureRequest,
    _shared: dict[tuple[Argument, ...], Mount],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MountFactory]:
    """Mount as ``mount`` does, once for all tests of a module: for those that only read.

    After each test the daemon must be idle, and have logged no warning; else the next test gets a new mount.
    """
    used: dict[tuple[Argument, ...], Mount] = {}

    def make(source: Path, *options: Argument) -> Mount:
        key = (source, *options)
        if key in _shared:
            _shared[key].watch(LIMIT)
        else:
            folder = tmp_path_factory.mktemp("shared")
            made = Mount(source, folder / "mnt", folder / "log")
            made.point.mkdir()
            _start(made, options)
            _shared[key] = made
        used[key] = _shared[key]
        return used[key]

    yield make
    for key, made in used.items():
        # Kept only if all is well.
        del _shared[key]
        with contextlib.ExitStack() as unless_well:
            unless_well.callback(made.abandon)
            if request.node.stash.get(FAILED, False):
                print(f"--- log of {made.point}\n{made.log.read_text()[-8000:]}")
                continue
            wait_until(made.is_idle, "no reader is left and every gauge is at zero")
            assert made.unexpected_log() == []
            made.stop_watching()
            unless_well.pop_all()
            _shared[key] = made


@pytest.fixture
def patient(mount: MountFactory, source: Path) -> Mount:
    """Mount the module's pattern image; its readers wait longer for each other than a test may last."""
    return mount(source, "--patience", FOR_EVER)


@pytest.fixture
def slow(mount: MountFactory, source: Path) -> Mount:
    """Mount the module's pattern image, to be read slowly enough for a copy to be caught on the way."""
    return mount(source, *SLOWLY)


@pytest.fixture
def spawn(mount: MountFactory) -> Iterator[Callable[..., Process]]:
    """Start programs that run beside the test; those left over are killed before the mounts end."""
    del mount
    processes: list[Process] = []

    def begin(*command: Argument, stdin: int = subprocess.DEVNULL) -> Process:
        process = start(*command, stdin=stdin)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        end(process)


@pytest.fixture
def hosts(request: pytest.FixtureRequest) -> Iterator[HostsFactory]:
    """Start hosts; at the end nothing may be mounted or running on them."""
    made: list[Host] = []
    with contextlib.ExitStack() as stack:

        def make(count: int) -> tuple[Host, ...]:
            made.extend(stack.enter_context(made_hosts(count)))
            return tuple(made)

        yield make
        failed = request.node.stash.get(FAILED, False)
        if not failed:
            wait_until(lambda: not any(host.processes() for host in made), "nothing runs on the hosts", 10)
        left = [{**host.processes(), host.name: host.mounts()} for host in made]
    assert failed or left == [{host.name: []} for host in made]


@pytest.fixture
def computers(request: pytest.FixtureRequest, hosts: HostsFactory, tmp_path: Path) -> Iterator[Computers]:
    """Run mounts and copies on hosts; at the end nothing of them is left, and none has logged a warning."""
    del hosts  # named so that they end later
    folder = tmp_path / "computers"
    folder.mkdir()
    made = Computers(folder)
    yield made
    _end(made, failed=request.node.stash.get(FAILED, False))


@pytest.fixture
def copies(request: pytest.FixtureRequest, mount: MountFactory, tmp_path: Path) -> Iterator[Copies]:
    """Run copies; at the end no process and no producer is left, and none has logged a warning."""
    del mount
    made = Copies(tmp_path)
    yield made
    _end(made, failed=request.node.stash.get(FAILED, False))


def _end(made: Copies | Computers, *, failed: bool) -> None:
    if failed:
        print(made.log_text())
    try:
        if not failed:
            made.close()
    finally:
        made.abandon()


def _end_mounts(started: Sequence[Mount], *, failed: bool) -> None:
    for made in reversed(started):
        if failed:
            print(f"--- log of {made.point}\n{made.log.read_text()[-8000:]}")
            made.abandon()
    with contextlib.ExitStack() as afterwards:
        for made in started:
            afterwards.callback(made.stop_watching)
            afterwards.callback(made.abandon)
            if not failed:
                afterwards.callback(made.close)


def _only_sources(folder: Path) -> bool:
    return all(Path(entry.point).name == "served" for entry in mountinfo.below(folder))
