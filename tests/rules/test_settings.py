from pathlib import Path

import pytest

from fanoutfs.errors import UnusableError, UsageError
from fanoutfs.fuse.mount_options import mount_options
from fanoutfs.settings import MountSettings, Settings, SourceSettings
from fanoutfs.units import MIB, format_size, parse_size


def settings(**changes: object) -> Settings:
    return Settings(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("512K", 512 << 10), ("64M", 64 << 20), ("2G", 2 << 30), ("1t", 1 << 40), ("64MiB", 64 << 20)],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    """K, M, G and T are powers of 1024."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "0", "0M", "-1", "1.5G", "M", "12X", "1 2", "٣", "0x10"])
def test_an_invalid_size_is_refused(text: str) -> None:
    """It is wrong usage: nothing is guessed."""
    with pytest.raises(UsageError):
        parse_size(text)


def test_sizes_are_written_for_people() -> None:
    """The largest unit that keeps a digit before the point."""
    assert [format_size(n) for n in (1, 1536, 64 * MIB)] == ["1 B", "1.5 KiB", "64 MiB"]


@pytest.mark.parametrize(
    "changes",
    [
        {"ring": MIB},
        {"block": 1000},
        {"block": 1 << 30},
        {"patience": 0.0},
        {"turn": -1.0},
        {"patience": float("nan")},
    ],
)
def test_invalid_settings_are_wrong_usage(changes: dict[str, object]) -> None:
    """They are refused before anything is opened."""
    with pytest.raises(UsageError):
        settings(**changes)


@pytest.mark.parametrize(
    ("ring", "size", "available", "slots"),
    [
        (None, 1000 * MIB, 800 * MIB, 100),
        (None, 50 * MIB, 800 * MIB, 50),
        (None, 1000 * MIB, 2 * MIB, 2),
        (64 * MIB, 1000 * MIB, 64 * MIB, 64),
        (64 * MIB, 10 * MIB + 1, 11 * MIB, 11),
        (64 * MIB, 1, 2 * MIB, 2),
    ],
)
def test_the_ring_is_an_eighth_of_memory(ring: int | None, size: int, available: int, slots: int) -> None:
    """Or as configured; at least two blocks, at most the image."""
    assert settings(ring=ring).slots(size, available, "the memory") == slots


@pytest.mark.parametrize(
    ("ring", "size", "available"),
    [(64 * MIB, 1000 * MIB, 64 * MIB - 1), (64 * MIB, 10 * MIB, 10 * MIB - 1), (None, 1, 2 * MIB - 1)],
)
def test_a_ring_that_memory_has_no_room_for(ring: int | None, size: int, available: int) -> None:
    """It is refused before anything is read, with what limits the memory."""
    with pytest.raises(UnusableError, match=r"does not fit: the memory leaves .*; raise .* --ring"):
        settings(ring=ring).slots(size, available, "the memory")


@pytest.mark.parametrize(
    ("block", "read_rate", "blocks"),
    [
        (MIB, None, 8),
        (MIB, 1 << 40, 8),
        (MIB, 80 * MIB, 8),
        (MIB, 79 * MIB, 7),
        (MIB, 20 * MIB, 2),
        (MIB, MIB, 1),
        (MIB, 1, 1),
        (64 * MIB, None, 1),
        (64 * 1024, 5 * MIB, 8),
    ],
)
def test_a_run_is_8_mib_or_a_tenth_of_a_second(block: int, read_rate: int | None, blocks: int) -> None:
    """The time is for a limited rate: a detour waits for the run before it. At least one whole block."""
    assert settings(block=block, read_rate=read_rate).run() == blocks


def test_an_unknown_mount_option_is_named() -> None:
    """libfuse would refuse it without a message."""
    with pytest.raises(UsageError, match="max_read=1"):
        mount_options(MountSettings(options=("max_read=1",)), "/dev/sdb")


@pytest.mark.parametrize(
    ("source", "option"), [("/a,b", r"fsname=/a\,b"), ("/bücher.img", "fsname=fanoutfs")]
)
def test_the_sources_name_is_one_ascii_option(source: str, option: str) -> None:
    """libfuse splits options at commas, and pyfuse3 passes ASCII alone."""
    assert option in mount_options(MountSettings(), source)


def test_files_are_named_for_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works in a different folder; "used" is no file."""
    monkeypatch.chdir(tmp_path)
    one, used = SourceSettings(only="map", mapfile=Path("bad")), SourceSettings(only="used")
    monkeypatch.chdir("/")

    assert (one.only, one.part, one.mapfile) == (str(tmp_path / "map"),) * 2 + (tmp_path / "bad",)
    assert (used.only, used.part) == ("used", "used")
