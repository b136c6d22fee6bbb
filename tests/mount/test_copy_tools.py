"""Programs that copy a file from its beginning to its end."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, PatternFactory
from tests.rig.commands import run, shell
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount
from tests.rig.readers import AGAIN

SIZE = 16 * MIB + 1234
ODD_SIZES = (1, 511, 5 * MIB + 1234)
COMMANDS = (
    "cp IMAGE COPY",
    "cp -a IMAGE COPY",
    "cp --sparse=always IMAGE COPY",
    "cat IMAGE > COPY",
    "cat < IMAGE > COPY",
    "dd if=IMAGE of=COPY",
    "dd if=IMAGE of=COPY bs=1M",
    "dd if=IMAGE of=COPY bs=4M iflag=direct",
    "dd if=IMAGE of=COPY bs=1000003",
    "dd if=IMAGE of=COPY bs=1000003 iflag=direct",
    "dd of=COPY bs=64K < IMAGE",
    # The second goes on where the first one ended.
    "{ dd bs=1M count=5; dd bs=777777; } < IMAGE > COPY",
    # Ranges out of order make the source together.
    "for at in 12 4 8 0 16; do dd if=IMAGE of=COPY bs=1M count=4 conv=notrunc skip=$at seek=$at; done",
    "rsync IMAGE COPY",
    "ddrescue --quiet IMAGE COPY",
    "ddrescue --quiet --idirect IMAGE COPY",
    "nbdkit --readonly file IMAGE --run 'nbdcopy \"$uri\" COPY'",
)
NEEDS = {"rsync": ["rsync"], "ddrescue": ["ddrescue"], "nbdkit": ["nbdkit", "nbdcopy"]}


def each(commands: Sequence[str]) -> list[object]:
    """Return the commands as parameters, each with the programs that it needs."""
    programs = [(command, NEEDS.get(command.split()[0], [])) for command in commands]
    return [pytest.param(command, marks=pytest.mark.tool(*needs), id=command) for command, needs in programs]


def copy_with(command: str, image: Path, copy: Path) -> None:
    """Run a command in which IMAGE and COPY stand for the two files."""
    shell(command.replace("IMAGE", str(image)).replace("COPY", str(copy)))


@pytest.fixture
def mounted(shared: MountFactory, source: Path) -> Mount:
    """Mount the module's pattern image, once for all tests."""
    return shared(source)


@pytest.mark.parametrize("command", each(COMMANDS))
def test_a_tool_copies_an_image_larger_than_the_ring(command: str, mounted: Mount, work: Path) -> None:
    """The copy is the source, whichever program made it and however it reads."""
    copy_with(command, mounted.image, work / "copy")
    assert_same(mounted.source, work / "copy")


@pytest.mark.parametrize("size", ODD_SIZES)
def test_tools_copy_an_image_of_odd_size(
    size: int, mount: MountFactory, pattern_image: PatternFactory, work: Path
) -> None:
    """A size that is no multiple of a block or sector is exact, cached and direct."""
    source = pattern_image(size)
    mounted = mount(source, "--ring", "2M")
    for number, command in enumerate(COMMANDS[:10]):
        copy_with(command, mounted.image, work / f"copy{number}")
        assert_same(source, work / f"copy{number}")


def test_one_copy_reads_the_source_once(
    mount: MountFactory, pattern_image: PatternFactory, work: Path
) -> None:
    """A single copy in order costs one pass over the source."""
    mounted = mount(pattern_image(SIZE + MIB))
    copy_with("cp IMAGE COPY", mounted.image, work / "copy")
    assert SIZE + MIB <= mounted.source_bytes() <= (1 + AGAIN) * (SIZE + MIB)


def test_cp_in_archive_mode_keeps_the_mode(
    mount: MountFactory, pattern_image: PatternFactory, work: Path
) -> None:
    """`cp -a` gives the copy the image's mode."""
    copy_with("cp -a IMAGE COPY", mount(pattern_image(511)).image, work / "copy")
    assert oct(0o100400) == oct((work / "copy").stat().st_mode)


def test_a_shutil_copy(mounted: Mount, source: Path, work: Path) -> None:
    """`shutil.copyfile`, which uses sendfile, makes the whole copy."""
    shutil.copyfile(mounted.image, work / "copy")
    assert_same(source, work / "copy")


def test_a_checksum(mounted: Mount, source: Path) -> None:
    """`sha256sum` finds the source's checksum."""
    answer = run("sha256sum", mounted.image).stdout.split()[0].decode()
    assert hashlib.sha256(source.read_bytes()).hexdigest() == answer
