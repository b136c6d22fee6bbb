"""Programs that look at a disk image rather than copy it, and the formats of virtual machines."""

from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, assert_copies
from tests.rig.commands import run, shell
from tests.rig.disks import Disk
from tests.rig.images import MIB, assert_same
from tests.rig.loops import attached
from tests.rig.mounts import Mount

SIZE = 16 * MIB + 3 * 512


def raw(path: Path, cache: str) -> list[str]:
    """Return qemu's name for a raw image: through the page cache, without it, or with libaio."""
    native = "on,file.aio=native" if cache == "libaio" else "on" if cache == "direct" else "off"
    return ["--image-opts", f"driver=raw,file.driver=file,file.filename={path},file.cache.direct={native}"]


@pytest.fixture
def mounted(shared: MountFactory, source: Path) -> Mount:
    """Mount the module's pattern image, once for all tests."""
    return shared(source)


@pytest.mark.tool("sfdisk", "mkfs.ext4")
def test_sfdisk_dumps_the_table(shared: MountFactory, disk: Disk) -> None:
    """`sfdisk -d` prints the source's partition table."""
    image = shared(disk.path).image
    expected = run("sfdisk", "--dump", disk.path).stdout.replace(bytes(disk.path), b"DISK")
    assert expected == run("sfdisk", "--dump", image).stdout.replace(bytes(image), b"DISK")


@pytest.mark.tool("blkid", "sfdisk", "mkfs.ext4")
def test_blkid_probes_table_and_file_system(shared: MountFactory, disk: Disk) -> None:
    """`blkid -p` names the table of the disk and the file system in its partition."""
    image = shared(disk.path).image
    where = ("--offset", disk.start, "--size", disk.length)
    table = run("blkid", "-p", "-o", "export", image).stdout
    assert b"PTTYPE=gpt" in table
    file_system = run("blkid", "-p", "-o", "export", *where, image).stdout
    assert {b"LABEL=fanout", b"TYPE=ext4"} <= set(file_system.splitlines())


@pytest.mark.tool("file", "sfdisk", "mkfs.ext4")
def test_file_names_the_kind(shared: MountFactory, disk: Disk) -> None:
    """`file` says of the image what it says of the source."""
    expected = run("file", "--brief", disk.path).stdout
    assert expected == run("file", "--brief", shared(disk.path).image).stdout


@pytest.mark.tool("losetup", "sfdisk", "mkfs.ext4")
def test_the_partition_can_be_mounted(shared: MountFactory, disk: Disk, work: Path) -> None:
    """A read-only loop device on the image mounts, and its files are those that were put in."""
    image = shared(disk.path).image
    options = ("--read-only", "--offset", str(disk.start), "--sizelimit", str(disk.length))
    with attached(image, *options) as device:
        run("mount", "-o", "ro,noload", device, work)
        try:
            run("diff", "--recursive", "--no-dereference", "--exclude=lost+found", disk.files, work)
        finally:
            run("umount", work)


@pytest.mark.tool("losetup")
def test_a_loop_device_on_the_image(mounted: Mount, source: Path, work: Path) -> None:
    """A copy of a loop device on the image is the source, through the page cache and without it."""
    with attached(mounted.image, "--read-only") as device:
        run("dd", f"if={device}", f"of={work / 'cached'}", "bs=1M")
        run("dd", f"if={device}", f"of={work / 'direct'}", "bs=1M", "iflag=direct")
    assert_copies(source, work / "cached", work / "direct")


@pytest.mark.tool("qemu-img")
@pytest.mark.parametrize("cache", ["cached", "direct", "libaio"])
def test_qemu_img_converts(cache: str, mounted: Mount, source: Path, work: Path) -> None:
    """An image converted to qcow2 and back is the source."""
    run("qemu-img", "convert", "-O", "qcow2", *raw(mounted.image, cache), work / "copy.qcow2")
    run("qemu-img", "convert", "-O", "raw", work / "copy.qcow2", work / "copy")
    assert_same(source, work / "copy")


@pytest.mark.tool("qemu-img")
@pytest.mark.parametrize("cache", ["cached", "direct", "libaio"])
def test_qemu_img_compares(cache: str, mounted: Mount, source: Path) -> None:
    """`qemu-img compare` finds the image identical to the source."""
    other = raw(source, "cached")[1]
    answer = run("qemu-img", "compare", *raw(mounted.image, cache), other).stdout
    assert b"Images are identical.\n" == answer


@pytest.mark.tool("qemu-img")
def test_qemu_img_sees_a_difference(mounted: Mount, source: Path, work: Path) -> None:
    """`qemu-img compare` finds one byte that differs: the comparison above really reads."""
    other = work / "other"
    shell('cp "$1" "$2"; printf x | dd of="$2" bs=1 seek=9000000 conv=notrunc', source, other)
    done = run("qemu-img", "compare", "-f", "raw", "-F", "raw", mounted.image, other, code=1)
    assert b"Content mismatch at offset 8999936!\n" == done.stdout


@pytest.mark.tool("nbdkit", "nbdcopy", "nbdinfo")
def test_nbdkit_serves_the_image_over_several_connections(mounted: Mount, source: Path, work: Path) -> None:
    """`nbdcopy` with four connections, whose requests come out of order, makes the source."""
    script = 'nbdkit --readonly file "$1" --run "nbdcopy --connections=4 --requests=16 \\"\\$uri\\" \'$2\'"'
    shell(script, mounted.image, work / "copy")
    assert_same(source, work / "copy")
