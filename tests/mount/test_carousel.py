"""MNT/carousel under real tools and system calls: one turn, from the head round to the head."""

import errno
import mmap
import os
import shutil
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, PatternFactory, opened
from tests.rig.commands import finish, run, shell, wait_until
from tests.rig.images import MIB, assert_same, turned
from tests.rig.mounts import Mount
from tests.rig.readers import AGAIN, Spawn, dd, hold
from tests.rig.recipes import carousel_recipe

SIZE = 12 * MIB + 1234
both_ways = pytest.mark.parametrize("way", [0, os.O_DIRECT], ids=["cached", "direct"])


@pytest.fixture
def mounted(shared: MountFactory, source: Path) -> Mount:
    """Mount a pattern image of 12 MiB and a bit with a ring of 4 MiB, its head in the middle."""
    made = shared(source, "--ring", "4M", "--patience", 1)
    run("head", "-c", 5 * MIB, made.image)
    wait_until(made.is_idle, "the first reader has left")
    assert 4 * MIB < head(made) < SIZE
    return made


def head(mounted: Mount) -> int:
    """Return where the write head is, in bytes."""
    return int((mounted.point / ".fanoutfs" / "head").read_text())


def start_of(descriptor: int) -> int:
    """Return where the turn of an open carousel begins."""
    return int(os.getxattr(descriptor, "user.fanoutfs.start"))


@pytest.mark.parametrize(
    "command",
    [
        "cat CAROUSEL",
        "cat < CAROUSEL",
        "dd if=CAROUSEL status=none",
        "dd if=CAROUSEL bs=4K status=none",
        "dd if=CAROUSEL bs=1000003 status=none",
        "dd if=CAROUSEL bs=16M status=none",
        "dd if=CAROUSEL bs=1M iflag=direct status=none",
        "dd if=CAROUSEL bs=4M iflag=direct,fullblock status=none",
        "cp CAROUSEL /dev/stdout",
        "tar -cf - -C MNT carousel | tar -xOf -",
        "cat CAROUSEL | cat",
    ],
)
def test_tools_get_one_turn(command: str, mounted: Mount, work: Path) -> None:
    """Each byte once, from the head over the image's end to the head, then the end of the file."""
    start = head(mounted)
    words = command.replace("CAROUSEL", str(mounted.carousel)).replace("MNT", str(mounted.point))
    shell(f"{words} > {work / 'copy'}")
    assert turned(SIZE, start) == (work / "copy").read_bytes()


@pytest.mark.parametrize(
    "form", ["cp", "cp --sparse=always", "cp -a", "cp --reflink=auto", "rsync --inplace"]
)
def test_copies_of_the_file(form: str, mounted: Mount, work: Path) -> None:
    """What copies the file copies the turn, all of it."""
    start = head(mounted)
    run(*form.split(), mounted.carousel, work / "copy")
    assert turned(SIZE, start) == (work / "copy").read_bytes()


@pytest.mark.parametrize("count", [1, 4096, 3 * MIB + 5, SIZE - 1, SIZE + 10])
def test_the_first_bytes_of_a_turn(count: int, mounted: Mount) -> None:
    """`head -c` ends early, and leaves nothing behind."""
    start = head(mounted)
    assert turned(SIZE, start)[:count] == run("head", "-c", count, mounted.carousel).stdout
    wait_until(mounted.is_idle, "the reader is forgotten")


@both_ways
def test_one_read_of_the_whole_turn(way: int, mounted: Mount) -> None:
    """One read() over the image's end is whole, and the next one says that it is the end."""
    with opened(mounted.carousel, way) as descriptor:
        start = start_of(descriptor)
        assert turned(SIZE, start) == os.read(descriptor, SIZE + 4096)
        assert b"" == os.read(descriptor, 1)


def test_a_mapped_turn(mounted: Mount) -> None:
    """Byte X of the mapping is byte X of the turn, read backwards from its end, and then forwards."""
    with mounted.carousel.open("rb") as carousel:
        expected = turned(SIZE, start_of(carousel.fileno()))
        with mmap.mmap(carousel.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            pieces = [memory[begin : begin + 65536] for begin in reversed(range(0, SIZE, 65536))]
            assert expected == b"".join(reversed(pieces))
            assert expected == memory[:]


@both_ways
def test_a_carousel_cant_be_sought(way: int, mounted: Mount) -> None:
    """lseek and pread are ESPIPE, as on a pipe; read goes on as if nothing had been."""
    with opened(mounted.carousel, way) as descriptor:
        start = start_of(descriptor)
        for whence in (os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE):
            with pytest.raises(OSError, match="Illegal seek") as failure:
                os.lseek(descriptor, 0, whence)
            assert errno.ESPIPE == failure.value.errno
        with pytest.raises(OSError, match="Illegal seek"):
            os.pread(descriptor, 4096, 0)
        assert turned(SIZE, start)[:4096] == os.read(descriptor, 4096)


@pytest.mark.parametrize("tool", ["tail -c 1000", "qemu-img info"])
@pytest.mark.tool("qemu-img")
def test_a_tool_that_has_to_seek_refuses_it(tool: str, mounted: Mount) -> None:
    """It says so and fails, in place of giving what stands elsewhere."""
    done = run(*tool.split(), mounted.carousel, code=1)
    assert b"Illegal seek" in done.stderr
    assert b"" == done.stdout
    wait_until(mounted.is_idle, "the reader is forgotten")


@pytest.mark.tool("file")
def test_what_file_says_of_it(mounted: Mount) -> None:
    """`file` looks at the first bytes of the turn, as it would of a pipe."""
    assert b"data\n" == run("file", "--brief", mounted.carousel).stdout


def test_where_a_turn_began(mounted: Mount) -> None:
    """The open file says it, also through /proc/self/fd; the name, which has no turn yet, does not."""
    with mounted.carousel.open("rb") as carousel:
        start = head(mounted)
        assert ["user.fanoutfs.start"] == os.listxattr(carousel.fileno())
        assert start == start_of(carousel.fileno())
        assert b"%d" % start == os.getxattr(f"/proc/self/fd/{carousel.fileno()}", "user.fanoutfs.start")
        for path in (mounted.carousel, mounted.image):
            with pytest.raises(OSError, match="No data") as failure:
                os.getxattr(path, "user.fanoutfs.start")
            assert errno.ENODATA == failure.value.errno
            assert [] == os.listxattr(path)


def test_the_same_turn_again_through_proc(mounted: Mount, work: Path) -> None:
    """The open file opened again is the same turn from its beginning, wherever head and first reader are."""
    with mounted.carousel.open("rb", buffering=0) as first:
        expected = turned(SIZE, start_of(first.fileno()))
        assert expected[: 7 * MIB] == b"".join(first.read(MIB) for _ in range(7))
        for way in (0, os.O_DIRECT):
            again = os.open(f"/proc/self/fd/{first.fileno()}", os.O_RDONLY | way)
            with os.fdopen(again, "rb", buffering=0) as second:
                assert expected == b"".join(iter(lambda: second.read(MIB), b""))
        assert expected[7 * MIB :] == first.readall()


@pytest.mark.parametrize("form", ["bs=1M", "bs=4M iflag=direct"])
def test_a_turn_that_joins_a_pass_costs_what_it_missed(
    form: str, mount: MountFactory, pattern_image: PatternFactory, spawn: Spawn, work: Path
) -> None:
    """A reader is half through when it comes: what lies before is read again for it, and nothing else."""
    source, half = pattern_image(2 * SIZE), SIZE
    mounted = mount(source, "--ring", "4M", "--patience", 300)
    first = hold(spawn, mounted.image, work / "first", half, direct=True)
    turn = spawn(*dd(mounted.carousel, work / "turn", form))
    wait_until(
        lambda: len([r for r in mounted.status()["readers"] if r["delivered"]]) == 2, "both have begun"
    )
    (start,) = [r["start"] for r in mounted.status()["readers"] if r["kind"] == "carousel"]
    first.finish()
    finish(turn)
    assert_same(source, first.copy)
    assert turned(2 * SIZE, start) == (work / "turn").read_bytes()
    assert half <= start <= half + 4 * MIB
    again = 0 if "direct" in form else AGAIN * 2 * SIZE
    assert 2 * SIZE <= mounted.source_bytes() <= 2 * SIZE + start + 2 * MIB + again


@pytest.mark.parametrize("count", [5, pytest.param(40, marks=pytest.mark.soak)])
def test_many_turns_at_once(
    count: int, mount: MountFactory, pattern_image: PatternFactory, spawn: Spawn, work: Path
) -> None:
    """Turns that begin anywhere, beside five readers in order, are all right, in few passes for all."""
    source = pattern_image(2 * SIZE)
    mounted = mount(source, "--ring", "8M", "--patience", 300)
    first = hold(spawn, mounted.image, work / "first", 9 * MIB, direct=True)
    forms = ["", "bs=1M", "bs=4M iflag=direct", "bs=1000003", "bs=64K"]
    turns = []
    ask = "getfattr --only-values -n user.fanoutfs.start /proc/self/fd/3"
    script = f'exec 3<"$1"; {ask}; exec dd of="$2" status=none $3 <&3'
    for number in range(count):
        if number == count // 2:
            first.say_go()
        copy = work / str(number)
        turns.append((spawn("bash", "-ec", script, "sh", mounted.carousel, copy, forms[number % 5]), copy))
    others = [spawn(*dd(mounted.image, work / f"image{n}", form)) for n, form in enumerate(forms[:4])]
    for process, copy in turns:
        start = int(finish(process).stdout)
        assert turned(2 * SIZE, start) == copy.read_bytes()
        copy.unlink()
    for number, process in enumerate(others):
        finish(process)
        assert_same(source, work / f"image{number}")
    first.finish()
    assert_same(source, first.copy)
    assert mounted.source_bytes() <= 5 * 2 * SIZE


def test_the_status_of_a_turn(mounted: Mount, spawn: Spawn, work: Path) -> None:
    """It is of another kind, with where it began, where on the image it is, and how much is left."""
    start = head(mounted)
    reader = hold(spawn, mounted.carousel, work / "copy", 6 * MIB, direct=True)
    (shown,) = mounted.status()["readers"]
    expected = ("carousel", start, (start + 6 * MIB) % SIZE, SIZE - 6 * MIB, 6 * MIB)
    assert expected == tuple(shown[key] for key in ("kind", "start", "position", "left", "delivered"))
    reader.finish()
    assert turned(SIZE, start) == (work / "copy").read_bytes()


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.tool("bash", "dash")
def test_a_turn_without_getfattr(shell: str, mounted: Mount, work: Path) -> None:
    """Without it nothing says where the turn begins: nothing is written."""
    tools, target = work / "tools", work / "target"
    tools.mkdir()
    for name in ("dd", "stat"):
        (tools / name).symlink_to(shutil.which(name) or name)
    script = carousel_recipe(mounted.point, target)
    done = run(shutil.which(shell) or shell, "-c", script, env={"PATH": str(tools)}, code=None)
    assert 0 != done.returncode
    assert not target.exists()
