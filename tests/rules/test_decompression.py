"""Compressed images: what programs are run, and what they say of the size."""

import zipfile
from pathlib import Path

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.remote.compressed import fetch_command, lacks_room
from fanoutfs.remote.file_address import SshAddress, WebAddress
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.source.decompression import size_within, xz_size, zstd_size
from fanoutfs.source.formats import by_name

XZ = """name\t/a b
file\t1\t14\t47199060\t110100480\t0.429\tCRC64\t0
totals\t1\t14\t47199060\t110100480\t0.429\tCRC64\t0\t1
"""
ZSTD = """a.zst
# Zstandard Frames: 2
Window Size: 2.00 MiB (2097152 B)
Compressed Size: 45.0 MiB (47188991 B)
Decompressed Size: 105 MiB (110100480 B)
"""


def test_the_size_that_xz_tells() -> None:
    """It is that of all streams in the file."""
    assert xz_size(XZ) == 110100480


def test_the_size_that_zstd_tells() -> None:
    """There is none when a frame does not tell its own."""
    assert zstd_size(ZSTD) == 110100480
    assert zstd_size(ZSTD.rsplit("\n", 2)[0]) is None


@pytest.mark.parametrize("name", ["gzip", "bzip2", "lz4"])
def test_formats_that_tell_no_size(name: str) -> None:
    """No program is asked."""
    assert size_within(by_name(name), "/nowhere", "x") is None


def archive(path: Path, *names: str) -> str:
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, b"x" * 1234 if not name.endswith("/") else b"")
    return str(path)


def test_the_only_file_of_a_zip_archive_is_the_image(tmp_path: Path) -> None:
    """Folders do not count."""
    assert size_within(by_name("zip"), archive(tmp_path / "a", "a/", "a/os.img"), "x") == 1234


@pytest.mark.parametrize(
    ("names", "why"), [((), "of 0 files"), (("a", "b"), "of 2 files, not of one image; unpack it first")]
)
def test_a_zip_archive_that_is_no_image(tmp_path: Path, names: tuple[str, ...], why: str) -> None:
    """It is refused, whatever is in it."""
    with pytest.raises(UnusableError, match=why):
        size_within(by_name("zip"), archive(tmp_path / "a", *names), "x")


def test_a_damaged_zip_archive(tmp_path: Path) -> None:
    """It is refused in one line."""
    (tmp_path / "a").write_bytes(b"PK\3\4 and nothing")
    with pytest.raises(UnusableError, match="the source x is a damaged zip archive"):
        size_within(by_name("zip"), str(tmp_path / "a"), "x")


def test_a_file_is_fetched_without_questions() -> None:
    """No password is asked for, no option can come from an address, and the shell there sees one word."""
    ssh = fetch_command(SshAddress("node1", "a b;c", "ann", 2200), RemoteKeys())
    web = fetch_command(WebAddress("https", "node1", 443, "/a[1].xz?b"), RemoteKeys(tls_ca=Path("/ca")))

    assert ssh[ssh.index("--") :] == ["--", "node1", "cat './a b;c'"]
    assert {"BatchMode=yes", "2200", "ann"} < set(ssh)
    assert web[-1] == "https://node1/a[1].xz?b"
    assert {"--fail", "--globoff", "=https", "/ca"} < set(web)
    assert "=http,https" not in web


def test_a_folder_without_room_is_told(tmp_path: Path) -> None:
    """A folder that can't be asked shows why when the file is made there."""
    assert lacks_room(tmp_path, 1) is None
    assert "--spool DIR" in (lacks_room(tmp_path, 1 << 60) or "")
    assert lacks_room(tmp_path / "missing", 1 << 60) is None
