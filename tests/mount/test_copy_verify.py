"""`copy --verify` and `--resume`: what is on the target is what went by, or it is said where it is not."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.conftest import PatternFactory, assert_copies, flip
from tests.rig.commands import run
from tests.rig.copies import BLOCK, SLOWLY, SMALL, Copies, lines, written
from tests.rig.images import MIB, assert_same
from tests.rig.loops import bytes_written

SIZE = 8 * MIB
ODD = 3 * MIB + 777
FLIPPED = 3 * BLOCK + 1234


def sha256(path: Path) -> str:
    """Return what sha256sum says."""
    return run("sha256sum", path).stdout.decode().split()[0]


@pytest.mark.parametrize("more", [(), ("--sparse",), ("--resume",)], ids=["plain", "sparse", "resume"])
def test_the_digest_of_a_good_copy(
    more: tuple[str, ...], copies: Copies, pattern_image: PatternFactory, work: Path
) -> None:
    """It is that of the source, for each target."""
    source, targets = pattern_image(ODD), [work / "one", work / "two"]
    said = lines(copies.run(source, *targets, "--verify", *more, *SMALL))

    for target in targets:
        assert said[str(target)].endswith(f", sha256 {sha256(source)}")
        assert_same(source, target)


def test_a_bit_flipped_on_the_target(
    copies: Copies, source: Path, backing: Path, device: Path, work: Path
) -> None:
    """Its block is named, the other target is good; --resume writes that block again, and block 0."""
    other = work / "other"
    copy = copies.start(source, device, other, "--verify", *SLOWLY)
    held = copies.hold(source, device, 2 * MIB)
    flip(device, FLIPPED)
    os.kill(held, signal.SIGCONT)
    done = copies.finish(copy, code=1)
    was = bytes_written(device)
    again = lines(copies.run(source, device, other, "--verify", "--resume", *SMALL))

    said = done.stderr.decode()
    assert f"{device}: FAILED: " in said
    assert f"does not give back what was written: {BLOCK} bytes at byte {3 * BLOCK}; " in said
    assert "fanoutfs: 1 of 2 copies are good; 1 failed; " in said
    assert [f"{other}: "] == [line[: len(f"{other}: ")] for line in done.stdout.decode().splitlines()]
    assert "512 KiB" == written(again[str(device)])
    assert "nothing" == written(again[str(other)])
    assert 3 * BLOCK == bytes_written(device) - was  # zeros for block 0, the block, block 0
    assert {sha256(source)} == {said.rpartition(" ")[2] for said in again.values()}
    assert_copies(source, other, backing)


def test_a_complete_copy_resumed(copies: Copies, source: Path, device: Path, work: Path) -> None:
    """By the kernel's count not a byte is written, and the command says so."""
    file = work / "file"
    copies.run(source, file, device, *SMALL)
    was = bytes_written(device)
    said = lines(copies.run(source, file, device, "--resume", *SMALL))

    assert {"nothing"} == {written(word) for word in said.values()}
    assert was == bytes_written(device)


@pytest.mark.parametrize(
    ("there", "rewritten"),
    [
        (lambda image: image[:0], "8 MiB"),
        (lambda image: bytes([image[0] ^ 1]) + image[1:], "256 KiB"),
        # The last block, and block 0.
        (lambda image: image[:-1] + bytes([image[-1] ^ 1]), "512 KiB"),
        # The second half, and block 0.
        (lambda image: image[: SIZE // 2], "4.25 MiB"),
        (lambda image: image + os.urandom(SIZE), "nothing"),
    ],
    ids=["nothing", "wrong in block 0", "wrong in the last block", "half of it", "more than it"],
)
def test_what_is_there_of_a_copy_is_not_written_again(
    there: Callable[[bytes], bytes], rewritten: str, copies: Copies, source: Path, work: Path
) -> None:
    """What there is of the image stays, what differs is written, and the length is the image's."""
    target = work / "target"
    if content := there(source.read_bytes()):
        target.write_bytes(content)
    said = lines(copies.run(source, target, "--resume", *SMALL))

    assert rewritten == written(said[str(target)])
    assert_same(source, target)
