"""The stories of docs/semantics.md, in its order: each is a test of the same title."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fanoutfs.engine.engine import DRAIN_SECONDS
from tests.mount.conftest import (
    FOR_EVER,
    FaultFactory,
    LoopFactory,
    MountFactory,
    PatternFactory,
    assert_copies,
    opened,
)
from tests.rig.commands import finish, has_ended, run, wait_until
from tests.rig.images import MIB, assert_same, check_pattern, pattern, write_pattern
from tests.rig.mounts import Mount
from tests.rig.readers import AGAIN, HANGS, Spawn, dd, directly, goes_soon, hold, read_in_pieces
from tests.rig.recipes import carousel_recipe

pytestmark = pytest.mark.mount

SIZE = 24 * MIB + 1234
both_ways = pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])


def with_bytes(mounted: Mount) -> int:
    """Count the readers that have received something."""
    return sum(1 for reader in mounted.status()["readers"] if reader["delivered"])


def flags(*, direct: bool) -> int:
    """Return the flags that open a file this way."""
    return os.O_RDONLY | (os.O_DIRECT if direct else 0)


@pytest.mark.parametrize("form", ["", "bs=4M iflag=direct"], ids=["cached", "direct"])
@pytest.mark.parametrize(("ahead", "ring", "most"), [(3, "8M", 1.05), (15, "4M", 2.25)], ids=["near", "far"])
def test_a_late_reader(
    ahead: int, ring: str, most: float, form: str, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """It is served at once; less than the ring behind it shares the pass, farther it costs about another one.

    At once is: while the first one stands still, and long before its turn.
    """
    mounted = mount(source, "--ring", ring, "--patience", FOR_EVER, "--turn", FOR_EVER)
    first = hold(spawn, mounted.image, work / "first", ahead * MIB, direct=True)
    late = spawn(*dd(mounted.image, work / "late", form))
    wait_until(lambda: with_bytes(mounted) == 2, "the late dd has had something")
    first.finish()
    finish(late)
    assert_copies(source, work / "first", work / "late")
    again = 0 if "direct" in form else AGAIN
    assert SIZE <= mounted.source_bytes() <= (most + again) * SIZE


@pytest.mark.parametrize("pace", ["strict", "free"])
def test_a_slow_reader_and_fast_ones(
    pace: str, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """The fast ones keep its pace, for one pass in all; with a free pace they are done before it."""
    ring, begun = 8 * MIB, 0
    mounted = mount(source, "--ring", ring, "--pace", pace, "--patience", FOR_EVER, "--turn", FOR_EVER)
    copies = [work / str(number) for number in range(2)]
    with directly(mounted.image) as slow:
        check_pattern(slow(0), 0)
        fast = [spawn(*dd(mounted.image, copy, "bs=1M iflag=direct")) for copy in copies]
        if pace == "free":
            for process in fast:
                finish(process)
        else:
            wait_until(lambda: with_bytes(mounted) == 3, "the fast ones have begun")
            begun = mounted.source_bytes()
        for offset in range(MIB, SIZE, MIB):
            time.sleep(0.02)
            if pace == "strict":
                positions = [reader["position"] for reader in mounted.status()["readers"]]
                # Up to two read-aheads of 1 MiB are on their way to it.
                assert max(positions) <= offset + ring + 2 * MIB
            check_pattern(slow(offset), offset)
    for process, copy in zip(fast, copies, strict=True):
        if pace == "strict":
            finish(process)
        assert_same(source, copy)
    if pace == "strict":
        # What the producer read beyond a ring before the fast ones began has cost them the first blocks.
        assert SIZE <= mounted.source_bytes() <= 1.05 * SIZE + max(0, begun - ring)


@both_ways
def test_a_stopped_reader(direct: bool, mount: MountFactory, source: Path, spawn: Spawn, work: Path) -> None:
    """Stopped by SIGSTOP it holds the others for the patience only, and ends right when it goes on."""
    mounted = mount(source, "--patience", 1)
    stopped = hold(spawn, mounted.image, work / "stopped", 2 * MIB, direct=direct)
    stopped.process.send_signal(signal.SIGSTOP)
    forms = ("bs=1M", "bs=1M iflag=direct")
    others = [spawn(*dd(mounted.image, work / str(n), form)) for n, form in enumerate(forms)]
    for number, other in enumerate(others):
        finish(other)
        assert_same(source, work / str(number))
    stopped.process.send_signal(signal.SIGCONT)
    stopped.finish()
    assert_same(source, stopped.copy)


@both_ways
def test_a_killed_reader(direct: bool, patient: Mount, source: Path, spawn: Spawn, work: Path) -> None:
    """One that waits for another dies, though that one stands; one that others wait for frees them."""
    behind = hold(spawn, patient.image, work / "behind", 2 * MIB, direct=direct)
    form = "bs=1M iflag=direct" if direct else "bs=1M"
    waiting = spawn(*dd(patient.image, work / "waiting", form))
    wait_until(patient.is_paced, "the front reader waits")
    waiting.kill()
    assert goes_soon(waiting)
    other = spawn(*dd(patient.image, work / "other", form))
    wait_until(patient.is_paced, "the next one waits, too")
    behind.process.kill()
    finish(other)
    assert_same(source, work / "other")
    wait_until(patient.is_idle, "the dead readers are forgotten")


@both_ways
@pytest.mark.parametrize("name", ["image", "carousel"])
def test_a_handle_that_is_opened_and_never_read(
    direct: bool, name: str, patient: Mount, source: Path, spawn: Spawn, work: Path
) -> None:
    """It holds nobody, not even for the patience, and nothing; read after all, it is right."""
    with opened(patient.point / name, flags(direct=direct)) as handle:
        finish(spawn(*dd(patient.image, work / "copy")))
        assert_same(source, work / "copy")
        wait_until(lambda: len(patient.status()["readers"]) == 1, "only the silent handle is left")
        assert patient.status()["gauges"]["slots_held"] == 0
        check_pattern(os.read(handle, MIB), 0)


@both_ways
@pytest.mark.parametrize("back", [3 * MIB, 14 * MIB], ids=["a step", "a jump"])
def test_a_reader_that_seeks_back(
    back: int, direct: bool, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """It is answered long before its turn and reads on to a right end, and so does a `dd` beside it."""
    there = 16 * MIB
    mounted = mount(source, "--patience", 1, "--turn", FOR_EVER)
    with opened(mounted.image, flags(direct=direct)) as handle:
        for offset in range(0, there, MIB):
            check_pattern(os.pread(handle, MIB, offset), offset)
        beside = spawn(*dd(mounted.image, work / "beside", "bs=1M iflag=direct"))
        for offset in range(there - back, SIZE, MIB):
            check_pattern(os.pread(handle, MIB, offset), offset)
    finish(beside)
    assert_same(source, work / "beside")
    again = 0 if direct else AGAIN * SIZE
    assert mounted.source_bytes() <= 2 * SIZE + back + 4 * MIB + again


@both_ways
@pytest.mark.parametrize("begins", [2 * MIB, 0], ids=["after a start in order", "from the first"])
def test_a_reader_that_jumps_about(
    begins: int, direct: bool, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """Though it goes on jumping ahead of where it once read straight on, it does not hold a `dd`.

    Nor does it wait for its turn: it has many answers before that.
    """
    mounted = mount(source, "--patience", FOR_EVER, "--turn", FOR_EVER)
    chance, jumps, over = random.Random(begins), threading.Semaphore(0), threading.Event()

    def jump_about() -> None:
        with opened(mounted.image, flags(direct=direct)) as handle:
            for place in range(0, begins, MIB // 2):
                check_pattern(os.pread(handle, MIB // 2, place), place)
            while not over.wait(0.02):
                place = chance.randrange(4 * MIB, 14 * MIB)
                check_pattern(os.pread(handle, 4096, place), place)
                jumps.release()

    with ThreadPoolExecutor(1) as pool:
        jumping = pool.submit(jump_about)
        try:
            assert jumps.acquire(timeout=HANGS)
            finish(spawn(*dd(mounted.image, work / "copy", "bs=1M iflag=direct")))
            for _ in range(10):
                assert jumps.acquire(timeout=HANGS)
        finally:
            over.set()
        jumping.result()
    assert_same(source, work / "copy")


@both_ways
def test_the_same_name_opened_twice(direct: bool, mounted: Mount) -> None:
    """Two names are two readers; the open file opened again is right, from the page cache that they share."""
    way = flags(direct=direct)
    with (
        opened(mounted.image, way) as first,
        opened(mounted.image, way) as second,
        opened(f"/proc/self/fd/{first}") as again,
    ):
        for offset in range(0, 8 * MIB, MIB):
            check_pattern(os.pread(first, MIB, offset), offset)
            check_pattern(os.pread(second, MIB, offset), offset)
            check_pattern(os.pread(again, MIB // 2, offset), offset)
            check_pattern(os.pread(again, MIB // 2, SIZE - offset - MIB), SIZE - offset - MIB)
        assert pattern(0, 100) == os.pread(again, 100, 0)
        shown = mounted.status()["readers"]
    delivered = [reader["delivered"] for reader in shown]
    assert 3 == len(delivered)
    assert min(delivered[:2]) >= 8 * MIB
    if not direct:
        # Half of what it read was there; what it read ahead at the image's end is its own.
        assert delivered[2] < 8 * MIB + 8 * MIB


@pytest.mark.tool("getfattr")
@pytest.mark.parametrize("begins", [0, 9 * MIB], ids=["at the beginning", "in the middle"])
@pytest.mark.parametrize("onto", ["file", "disk"])
def test_a_turn_of_the_carousel(
    begins: int, onto: str, mount: MountFactory, source: Path, loop: LoopFactory, spawn: Spawn, work: Path
) -> None:
    """The page's own lines make a right copy, wherever the turn begins; it costs what it has missed."""
    mounted = mount(source, "--ring", "4M", "--patience", FOR_EVER)
    first = hold(spawn, mounted.image, work / "first", begins, direct=True) if begins else None
    target = copy = work / "copy"
    if onto == "disk":
        copy.touch()
        os.truncate(copy, SIZE // MIB * MIB + MIB)
        target = loop(copy)
    turning = spawn("bash", "-c", carousel_recipe(mounted.point, target))
    start = 0
    if first is not None:
        wait_until(lambda: with_bytes(mounted) == 2, "the turn has begun")
        (start,) = [turn["start"] for turn in mounted.status()["readers"] if turn["kind"] == "carousel"]
        assert begins <= start <= begins + 4 * MIB
        first.finish()
        assert_same(source, first.copy)
    finish(turning)
    if onto == "disk":
        run("blockdev", "--flushbufs", target)
        os.truncate(copy, SIZE)
    assert_same(source, copy)
    assert SIZE <= mounted.source_bytes() <= start + (1.05 + AGAIN) * SIZE


def test_a_source_that_others_use_too(
    mount: MountFactory, pattern_image: PatternFactory, spawn: Spawn, work: Path
) -> None:
    """Two `dd` together get the image no faster than allowed, for one pass; a third has it from the ring."""
    source, rate = pattern_image(4 * MIB + 1234), 4 * MIB
    mounted = mount(source, "--ring", "8M", "--read-rate", rate)
    began = time.monotonic()
    for process in [spawn(*dd(mounted.image, work / str(number))) for number in range(2)]:
        finish(process)
    assert (source.stat().st_size - MIB) / rate <= time.monotonic() - began
    finish(spawn(*dd(mounted.image, work / "2")))
    for number in range(3):
        assert_same(source, work / str(number))
    assert source.stat().st_size == mounted.source_bytes()


@both_ways
def test_a_bad_place_on_the_disk(direct: bool, mount: MountFactory, faulty: FaultFactory) -> None:
    """A read over the bad place is EIO, all others are right, and the status counts it."""
    bad = 9 * MIB + MIB // 2
    mounted = mount(faulty(SIZE, [(bad, 4096)]).path, expected=[r"the source can't be read from byte"])
    (place,) = read_in_pieces(mounted.image, SIZE, flags(direct=direct)).items()
    assert place in {(bad, "EIO"), (bad // MIB * MIB, "EIO")}
    assert mounted.status()["source"]["errors"] > 0
    assert f"from byte {bad} to before {bad + 4096}" in mounted.log.read_text()


@both_ways
def test_a_source_that_shrinks(direct: bool, mount: MountFactory, tmp_path: Path) -> None:
    """What was cut off is EIO, not an early end; what is left is right; the mount stays."""
    left = 5 * MIB
    source = write_pattern(tmp_path / "source.img", SIZE)
    mounted = mount(source, "--ring", "2M", expected=[r"the source can't be read from byte"])
    os.truncate(source, left)
    failures = read_in_pieces(mounted.image, SIZE, flags(direct=direct))
    assert dict.fromkeys(range(left, SIZE, MIB), "EIO") == failures
    assert 1 <= mounted.status()["source"]["errors"] <= 4 * len(failures)


def test_a_source_that_hangs(mount: MountFactory, faulty: FaultFactory, spawn: Spawn, work: Path) -> None:
    """A waiting reader gets EIO after the source's timeout; once the source answers again, the mount does."""
    served, timeout = faulty(SIZE), 3  # a source that does not hang may take its time on a busy machine
    mounted = mount(served.path, "--source-timeout", timeout, expected=["the source hangs at byte"])
    served.server.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        failed = finish(spawn(*dd(mounted.image, work / "copy", "bs=1M iflag=direct")), code=1)
        assert timeout <= time.monotonic() - began
        assert b"Input/output error" in failed.stderr
        assert mounted.is_mounted()
    finally:
        served.server.send_signal(signal.SIGCONT)
    assert {} == read_in_pieces(mounted.image, SIZE, 0)


@both_ways
def test_the_daemon_is_killed(
    direct: bool, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """After `kill -9` of the daemon a reader gets an error, never a short success; the next mount works."""
    mounted = mount(source, "--ring", "2M")
    reader = hold(spawn, mounted.image, work / "copy", 2 * MIB, direct=direct)
    mounted.kill()
    assert reader.finish(code=None).returncode != 0
    again = mount(source, point=mounted.point)
    assert_same(source, again.image)


def refuses(mounted: Mount) -> bool:
    """Return whether an open is refused."""
    try:
        mounted.image.open("rb", buffering=0).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("hurry", [False, True], ids=["told once", "told twice"])
def test_the_daemon_ends_on_sigterm(
    hurry: bool, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """Opens are refused, a read that waits gets EIO after two seconds or at a second signal; it is gone then.

    That the second signal spares these seconds, test_end_requested.py shows by a clock of its own.
    """
    mounted = mount(source, "--ring", "2M", "--patience", FOR_EVER)
    hold(spawn, mounted.image, work / "behind", MIB, direct=True)
    waiting = spawn(*dd(mounted.image, work / "waiting", "bs=1M iflag=direct"))
    seen: list[object] = []

    def stands() -> bool:
        positions = sorted(reader["position"] for reader in mounted.status()["readers"])
        seen.append(positions if mounted.is_paced() else None)
        return len(seen) > 2 and seen[-3] == seen[-2] == seen[-1] is not None

    wait_until(stands, "the front reader waits, and its last block has been answered")
    began = time.monotonic()
    os.kill(mounted.pid, signal.SIGTERM)
    wait_until(lambda: refuses(mounted), "opens are refused")
    if hurry:
        os.kill(mounted.pid, signal.SIGTERM)
    failed = finish(waiting, code=1)
    assert b"Input/output error" in failed.stderr
    assert hurry or DRAIN_SECONDS <= time.monotonic() - began
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")
    assert not mounted.is_mounted()
    assert ("a second signal" in mounted.log.read_text()) == hurry
