"""What the tools of file systems print, and whether their free blocks can be trusted then."""

import pytest

from fanoutfs.only.file_systems import (
    FILE_SYSTEMS,
    NOT_UNMOUNTED,
    complaint,
    mirrored,
    mirrors,
    objection,
)
from fanoutfs.system.programs import PACKAGES

SUPER = "magic _BHRfS_M\nlog_root\t\t{}\nlog_root_level\t\t0\nnum_devices\t\t{}\n"

CHUNKS = """
	item 1 key (FIRST_CHUNK_TREE CHUNK_ITEM 13631488) itemoff 16105 itemsize 80
		length 8388608 owner 2 stripe_len 65536 type DATA|single
		num_stripes 1 sub_stripes 1
			stripe 0 devid 1 offset 13631488
	item 2 key (FIRST_CHUNK_TREE CHUNK_ITEM 22020096) itemoff 15993 itemsize 112
		length 8388608 owner 2 stripe_len 65536 type {}
		num_stripes 2 sub_stripes 1
			stripe 0 devid 1 offset 22020096
			dev_uuid 9ea64c34-7f12-4f63-8a6e-9f4ad6b3b7e0
			stripe 1 devid 1 offset 30408704
"""


@pytest.mark.parametrize(
    ("kind", "code", "text", "expected"),
    [
        ("ext4", 0, "Filesystem features:      has_journal extent\nState: clean", None),
        ("ext4", 0, "Filesystem features:      has_journal needs_recovery extent\n", NOT_UNMOUNTED),
        (
            "ext2",
            0,
            "Filesystem features:      bigalloc\n",
            "its blocks are allocated in clusters (bigalloc)",
        ),
        ("ext3", 1, "dumpe2fs: Bad magic number", "dumpe2fs can't read it"),
        ("xfs", 0, "log tail: 2 head: 2 state: <CLEAN>", None),
        ("xfs", 0, "log tail: 2 head: 9 state: <DIRTY>", NOT_UNMOUNTED),
        ("xfs", 1, "", "xfs_logprint can't read its log"),
        ("btrfs", 0, SUPER.format(0, 1), None),
        ("btrfs", 0, SUPER.format(30441472, 1), NOT_UNMOUNTED),
        ("btrfs", 0, SUPER.format(0, 2), "it is a part of a file system on several devices"),
        ("btrfs", 1, "", "btrfs can't read its superblock"),
        ("hfsplus", 0, "", None),
        ("hfsplus", 3, "", NOT_UNMOUNTED),
    ],
)
def test_a_file_system_with_newer_lists_elsewhere_is_copied_whole(
    kind: str, code: int, text: str, expected: str | None
) -> None:
    """Its tool is asked: partclone does not look into a journal."""
    question = FILE_SYSTEMS[kind].question
    assert question is not None
    assert question.objection(code, text) == expected
    assert question.argv[0] in PACKAGES


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "Calculating bitmap... \rextfsclone.c: bitmap error at 3 group.\nPartclone fail",
            "bitmap error at 3 group",
        ),
        ("a\nntfsclone-ng.c: NTFS Volume '/dev/loop1' is dirty\x1b\n", "NTFS Volume '/dev/loop1' is dirty?"),
        ("Partclone fail, please check", "it can't be read"),
    ],
)
def test_the_reason_of_partclone_is_in_its_output(output: str, expected: str) -> None:
    """Between progress and what goes without saying."""
    assert complaint(output) == expected


def test_exfat_says_that_it_was_not_unmounted() -> None:
    """It has no tool that tells; partclone's library warns, and goes on."""
    assert objection("WARN: volume was not unmounted cleanly.") == NOT_UNMOUNTED
    assert objection("done") is None


def test_copies_of_used_blocks_are_used() -> None:
    """Old versions of partclone list only one of two; it is not known which."""
    copies = mirrors(CHUNKS.format("SYSTEM|DUP"))
    assert copies == [(8388608, (22020096, 30408704))]

    base = 1000
    found = mirrored(
        [(base + 22020096 + 5, 10), (base + 13631488, 1), (base + 30408704 + 50, 7)], copies, base
    )
    assert {(base + 30408704 + 5, 10), (base + 22020096 + 50, 7), (base + 13631488, 1)} <= set(found)
    assert sum(length for _, length in set(found)) == 2 * 10 + 2 * 7 + 1


@pytest.mark.parametrize("text", ["", CHUNKS.format("DATA|RAID0"), CHUNKS.format("METADATA|RAID1")])
def test_copies_elsewhere_are_not_understood(text: str) -> None:
    """Striped and mirrored devices have other rules."""
    with pytest.raises(ValueError, match="not known"):
        mirrors(text)
