"""``pattern:SIZE`` and ``faulty:RECIPE:SOURCE``, as sources."""

import contextlib
import mmap
import random
from pathlib import Path

import pytest

from fanoutfs.engine.query import status_request
from fanoutfs.errors import NotRunningError, UnusableError, UsageError
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.remote.source_argument import local_path
from fanoutfs.source.contract import Source
from fanoutfs.units import MIB
from tests.rig.images import pattern, write_pattern


def read(source: Source, offset: int, length: int) -> bytes:
    memory = memoryview(mmap.mmap(-1, 8 * MIB))
    source.read_into(offset, length, [memory[i * MIB : (i + 1) * MIB] for i in range(8)])
    return bytes(memory[:length])


def test_a_pattern_is_the_same_at_any_offset() -> None:
    """Every 8 bytes are their own offset, wherever a read begins and in whatever order."""
    source = resolve("pattern:10T", RemoteKeys()).open().source
    chance = random.Random(1)
    assert source.size == 10 * 1024**4
    for _ in range(50):
        offset = chance.choice([0, 2**16 - 512, 2**24 - 512, 2**32 - 512, chance.randrange(0, 2**43, 512)])
        length = chance.choice([1, 512, 4096, 100_001, 3 * MIB])
        assert pattern(offset, length) == read(source, offset, length)


def test_commands_in_two_shells_mean_the_same_source(tmp_path: Path) -> None:
    """The same argument has the same identity; a different recipe or size has a different one."""
    write_pattern(tmp_path / "a", MIB)
    write_pattern(tmp_path / "b", MIB)
    arguments = ["pattern:1M", "pattern:2M", f"faulty:eio@0:{tmp_path}/a", f"faulty:eio@0:{tmp_path}/b",
                 f"faulty:eio@4K:{tmp_path}/a", "faulty:eio@0:pattern:1M"]  # fmt: skip
    identities = [resolve(argument, RemoteKeys()).identity for argument in arguments]
    assert len(set(identities)) == len(arguments)
    assert identities == [resolve(argument, RemoteKeys()).identity for argument in arguments]
    assert resolve("pattern:1024K", RemoteKeys()).identity == identities[0]
    for argument, identity in zip(arguments, identities, strict=True):
        with contextlib.closing(resolve(argument, RemoteKeys()).open().source) as source:
            assert (source.identity, "/" in identity) == (identity, False)


def test_faults(tmp_path: Path) -> None:
    """Reads that touch a bad byte fail as a whole, the first time or always; others are right."""
    write_pattern(tmp_path / "disk", 4 * MIB)
    argument = f"faulty:eio@1M,eio@2M+4Kx1,end@3M,short=64K:{tmp_path}/disk"
    with contextlib.closing(resolve(argument, RemoteKeys()).open().source) as source:
        assert pattern(0, MIB) == read(source, 0, MIB)
        for _ in range(2):
            with pytest.raises(OSError, match="fault"):
                read(source, MIB, 4096)
        with pytest.raises(OSError, match="fault"):
            read(source, MIB + 4096, MIB)
        assert pattern(MIB + 4096, MIB) == read(source, MIB + 4096, MIB)
        with pytest.raises(OSError, match="ends at byte 3145728"):
            read(source, 3 * MIB - 4096, 8192)
        assert source.sector == 512


@pytest.mark.parametrize(
    ("argument", "kind", "why"),
    [
        ("pattern:", UsageError, "not a size"),
        ("pattern:x", UsageError, "not a size"),
        ("faulty:eio@0:/missing/disk", UnusableError, "/missing/disk can't be read"),
        ("faulty:eio@0:pattern:1Z", UsageError, "not a size"),
        ("faulty:oops:pattern:1M", UsageError, "invalid fault"),
    ],
)
def test_what_is_no_source(argument: str, kind: type[Exception], why: str) -> None:
    """It is refused before anything is opened."""
    with pytest.raises(kind, match=why):
        resolve(argument, RemoteKeys())


def test_the_path_behind_a_source_with_faults() -> None:
    """It is what a target must not be; a pattern has none."""
    assert local_path("faulty:eio@0:faulty:eio@4K:/dev/sdb") == "/dev/sdb"
    assert local_path("./pattern:1M") == "./pattern:1M"
    assert [None] * 3 == [
        local_path(argument) for argument in ("pattern:1M", "faulty:eio@0:pattern:1M", "nbd://host/x")
    ]


def test_the_status_of_a_source_that_nobody_reads() -> None:
    """It is asked of its producer, not of a file of that name."""
    with pytest.raises(NotRunningError, match="no producer is reading pattern:7M"):
        status_request("pattern:7M", None, None)()
