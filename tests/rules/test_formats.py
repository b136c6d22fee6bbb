"""Formats of images, recognised by their contents."""

import struct

import pytest

from fanoutfs.source.formats import (
    FORMATS,
    TAIL,
    Way,
    by_name,
    recognise,
    recognise_within,
    split_prefix,
)
from fanoutfs.source.image_header import facts

NO_END = bytes(TAIL)

HEADS = {
    "qcow2": b"QFI\xfb\0\0\0\3",
    "qcow": b"QFI\xfb\0\0\0\1",
    "qed": b"QED\0",
    "vmdk": b"KDMV\1\0\0\0",
    "vdi": b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe",
    "vhdx": b"vhdxfile",
    "vhd": b"conectix",
    "parallels": b"WithoutFreeSpace",
    "xz": b"\xfd7zXZ\0\0\4",
    "gzip": b"\x1f\x8b\x08\0",
    "zstd": b"\x28\xb5\x2f\xfd\4",
    "bzip2": b"BZh91AY&SY",
    "lz4": b"\x04\x22\x4d\x18d",
    "zip": b"PK\3\4\x14\0",
    "7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "RAR archive": b"Rar!\x1a\7\1\0",
    "legacy lz4 file": b"\x02\x21\x4c\x18abcd",
    "lzip file": b"LZIP\1\x17",
    "lzop file": b"\x89LZO\0\r\n\x1a\n\x10",
    "LZMA file": b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0",
    "compress (.Z) file": b"\x1f\x9d\x90ab",
    "Android sparse image": b"\x3a\xff\x26\xed\1\0\0\0",
    "partclone image": b"partclone-image\0",
    "partimage image": b"PaRtImAgE-VoLuMe",
    "ntfsclone image": b"\0ntfsclone-image",
    "WIM image": b"MSWIM\0\0\0",
    "dmg image": b"",
    "HTML page": b"\n<!DOCTYPE html><html>",
    "EnCase image": b"EVF\t\r\n\xff\0\1",
}
"""The first bytes of a file in each format."""

DISKS = {
    "zeros": b"",
    "GRUB": b"\xeb\x63\x90",
    "Windows": b"\x33\xc0\x8e\xd0\xbc\0\x7c",
    "NTFS": b"\xeb\x52\x90NTFS    ",
    "XFS": b"XFSB",
    "LUKS": b"LUKS\xba\xbe\0\2",
    "squashfs": b"hsqs",
    "tar": b"name".ljust(257, b"\0") + b"ustar",
    "an LZMA mark alone": b"\x5d\0\0\x81\1\2\3",
    "a bzip2 mark alone": b"BZh9 is text",
    "a skippable frame": b"\x50\x2a\x4d\x18\4\0\0\0abcdefgh",
}


@pytest.mark.parametrize("name", [one.name for one in FORMATS])
def test_each_format_is_recognised(name: str) -> None:
    """By its first bytes, or by its last; and within a compressed file by its first."""
    head = HEADS[name].ljust(4096, b"\0")
    tail = b"koly".ljust(TAIL, b"\0") if name == "dmg image" else NO_END

    assert by_name(name) is recognise(head, tail)
    if name != "dmg image":
        assert by_name(name) is recognise_within(head)


@pytest.mark.parametrize("name", DISKS)
def test_a_disk_is_no_image(name: str) -> None:
    """The first bytes of disks are those of no format."""
    assert recognise(DISKS[name].ljust(4096, b"\0"), NO_END) is None


@pytest.mark.parametrize("head", [head[:length] for head in HEADS.values() for length in range(4)])
def test_a_short_file(head: bytes) -> None:
    """A file of a few bytes is no image, and no error."""
    assert recognise(head, head) is None or len(head) > 2


def test_a_fixed_vhd_image_is_one_by_its_end() -> None:
    """It begins as the disk does."""
    assert recognise(DISKS["GRUB"], b"conectix".ljust(TAIL, b"\0")) is by_name("vhd")


@pytest.mark.parametrize(("inner", "name"), [("zstd", "zstd"), ("lz4", "lz4")])
def test_frames_without_data_come_before_the_first_with_data(inner: str, name: str) -> None:
    """As pzstd writes them."""
    frame = b"\x50\x2a\x4d\x18\4\0\0\0abcd"
    assert recognise(2 * frame + HEADS[inner], NO_END) is by_name(name)


def test_a_tar_archive_counts_within_a_compressed_file_only() -> None:
    """On a disk it may stand as it lies."""
    found = recognise_within(DISKS["tar"].ljust(4096, b"\0"))
    assert found is not None
    assert found.way is Way.REFUSED


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("raw:os.img.xz", ("raw", "os.img.xz")),
        ("raw:https://example.org/os.img.xz", ("raw", "https://example.org/os.img.xz")),
        ("qcow2:overlay", ("qcow2", "overlay")),
        ("vhd:/images/disk", ("vhd", "/images/disk")),
        ("./raw:x", ("", "./raw:x")),
        ("raw:", ("", "raw:")),
        ("xz:disk", ("", "xz:disk")),
        ("https://example.org/raw:x", ("", "https://example.org/raw:x")),
        ("disk.img", ("", "disk.img")),
        ("RAW:disk.img", ("", "RAW:disk.img")),
    ],
)
def test_prefixes(argument: str, expected: tuple[str, str]) -> None:
    """A prefix is what stands before the first colon, if it is one of ours."""
    assert expected == split_prefix(argument)


def _qcow2(*, version: int = 3, backing: int = 0, encryption: int = 0, features: int = 0) -> bytes:
    start = struct.pack(">4sIQIIQI", b"QFI\xfb", version, backing, 0, 16, 1 << 30, encryption)
    return start.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(24)


def _vmdk(text: bytes) -> bytes:
    head = struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 2048, 128, 1, 20)
    return head.ljust(512, b"\0") + text.ljust(20 * 512, b"\0")


@pytest.mark.parametrize(
    ("name", "head", "others", "obstacle"),
    [
        ("qcow2", _qcow2(), "", ""),
        ("qcow2", _qcow2(version=2), "", ""),
        ("qcow2", _qcow2(backing=512), "a backing file", ""),
        ("qcow2", _qcow2(features=4), "a file with its data", ""),
        ("qcow2", _qcow2(encryption=2), "", "it is encrypted"),
        ("qcow2", _qcow2(features=2), "", "it is marked as corrupt (qemu-img check -r all)"),
        ("qcow2", _qcow2()[:20], "", "it ends within its header"),
        ("qed", b"QED\0" + struct.pack("<IIIQ", 65536, 4, 1, 0), "", ""),
        ("qed", b"QED\0" + struct.pack("<IIIQ", 65536, 4, 1, 1), "a backing file", ""),
        ("vmdk", _vmdk(b"# Disk DescriptorFile\nparentCID=ffffffff\n"), "", ""),
        ("vmdk", _vmdk(b"# Disk DescriptorFile\nparentCID=1234abcd\n"), "a parent", ""),
        ("vmdk", _vmdk(b'encryption.keySafe = "vmware:key"\n'), "", "it is encrypted"),
        ("vmdk", b'# Disk DescriptorFile\nRW 4096 FLAT "/etc/shadow" 0\n', "files with its data", ""),
        ("vmdk", struct.pack("<4sIIQQQQ", b"KDMV", 1, 3, 2048, 128, 1 << 40, 20), "a parent, perhaps", ""),
        ("vhd", b"conectix".ljust(60, b"\0") + b"\0\0\0\3", "", ""),
        ("vhd", b"conectix".ljust(60, b"\0") + b"\0\0\0\4", "",
         "it holds only differences from a different image"),
        ("vdi", HEADS["vdi"], "", ""),
    ],
)  # fmt: skip
def test_what_a_header_names(name: str, head: bytes, others: str, obstacle: str) -> None:
    """A header can name other files, which may be any of this computer."""
    found = facts(by_name(name), head, NO_END)
    assert (others, obstacle) == (found.others, found.obstacle)
