"""Sources with bad places: retried, reported, recorded in a map; and sources that are made for tests."""

from pathlib import Path

from tests.mount.conftest import MountFactory, PatternFactory
from tests.rig.commands import fanoutfs
from tests.rig.copies import Copies
from tests.rig.images import MIB, check_pattern

SIZE = 4 * MIB + 512


def test_a_pattern_is_read_once_for_a_mount_and_copies(mount: MountFactory, work: Path) -> None:
    """A copy of the same pattern in a different shell joins the producer of its mount."""
    source = f"pattern:{SIZE}"
    mounted = mount(Path(source), "--ring", "8M")
    fanoutfs("copy", source, work / "a", work / "b")
    for copy in (work / "a", work / "b", mounted.image):
        check_pattern(copy.read_bytes(), 0)
    assert mounted.source_bytes() == SIZE


def test_a_target_that_is_the_source_behind_the_faults(pattern_image: PatternFactory, copies: Copies) -> None:
    """It is refused, as it is without faults; and one bad sector fails a copy."""
    source = pattern_image(SIZE)
    done = copies.run(Path(f"faulty:delay=0s:{source}"), source, code=1)
    assert b"is the source" in done.stderr
    copies.expected.append("source|copy")
    done = copies.run(Path(f"faulty:eio@1M+512,delay=2ms:{source}"), copies.folder / "copy", code=1)
    assert b"FAILED: the source can't be read" in done.stderr
