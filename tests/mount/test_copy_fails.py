"""Targets that are full and sources that can't be read: named with the place, and nobody else is hurt."""

from pathlib import Path

from fanoutfs.units import PAGE
from tests.mount.conftest import FaultFactory, assert_copies
from tests.rig.commands import run
from tests.rig.copies import BLOCK, SMALL, Copies, lines
from tests.rig.images import MIB

SIZE = 8 * MIB
ROOM = 3 * MIB
"""Bytes of the file system that is too small for the image."""


def test_a_target_without_room(copies: Copies, source: Path, full: Path, work: Path) -> None:
    """It is known before it is written, so none is made, and the others are good; --sparse is named."""
    target, others = full / "target", [work / "one", work / "two"]
    done = copies.run(source, others[0], target, others[1], "--verify", *SMALL, code=1)

    said = done.stderr.decode().splitlines()[0]
    assert said.startswith(f"{target}: FAILED: ")
    assert f"can't be given its {SIZE} bytes: no space left on device; make room there" in said
    assert "--sparse" in said
    assert "fanoutfs: 2 of 3 copies are good; 1 failed; " in done.stderr.decode()
    assert [str(other) for other in others] == [
        line.partition(": ")[0] for line in done.stdout.decode().splitlines()
    ]
    assert not target.exists()
    assert_copies(source, *others)


def test_a_file_that_was_there_keeps_its_bytes(copies: Copies, source: Path, full: Path) -> None:
    """Where there is no room for the image, it is as long as before."""
    target = full / "target"
    target.write_bytes(b"old")
    copies.run(source, target, *SMALL, code=1)

    assert b"old" == target.read_bytes()


def test_a_target_that_is_full_on_the_way(copies: Copies, source: Path, full: Path, work: Path) -> None:
    """The place is named, the others are good; with room made for it --resume finishes it."""
    target, other = full / "target", work / "other"
    done = copies.run(source, target, other, "--sparse", *SMALL, code=1)
    on_it = target.read_bytes()
    run("mount", "-o", f"remount,size={2 * SIZE}", full)
    again = lines(copies.run(source, target, "--sparse", "--resume", *SMALL))

    said = lines(done)
    # Block 0 takes no room before the end.
    assert said[str(target)].startswith("FAILED: ")
    assert f"can't be written at byte {ROOM + BLOCK}: no space left on device; " in said[str(target)]
    assert "copied in" in said[str(other)]
    assert bytes(BLOCK) == on_it[:BLOCK]
    assert " resumed in " in again[str(target)]
    assert_copies(source, target, other)


def test_a_source_with_a_bad_place(copies: Copies, faulty: FaultFactory, work: Path) -> None:
    """All copies fail there, and name it; none is finished with bytes that the source did not give."""
    bad, targets = 5 * MIB + 2 * PAGE, [work / "one", work / "two"]
    copies.expected += ["can't be read from byte", "the copy to .* ends: "]
    done = copies.run(faulty(SIZE, [(bad, PAGE)]).path, *targets, *SMALL, code=1)

    said = lines(done)
    for target in targets:
        assert said[str(target)].startswith("FAILED: ")
        assert f"from byte {bad} to before {bad + PAGE}" in said[str(target)]
        assert bytes(BLOCK) == target.read_bytes()[:BLOCK]
    assert b"" == done.stdout
