"""The carousel's handlers, called as pyfuse3 would, without a mount."""

import errno
import os
import stat

import pyfuse3
import pytest

from fanoutfs.fuse import files
from fanoutfs.fuse.operations import Filesystem
from fanoutfs.units import PAGE
from tests.adapter.rig import CALLER, CONTENT, SIZE, errno_of, look_up, open_image


async def bring_head_to_the_middle(filesystem: Filesystem) -> int:
    """Read until the head is in the middle of the image; return its position."""
    opened = await open_image(filesystem)
    for offset in range(0, 3 * PAGE, PAGE):
        await filesystem.read(opened.fh, offset, PAGE)
    await filesystem.release(opened.fh)
    head = filesystem.ring.head
    assert 0 < head < SIZE - PAGE
    return head


async def open_carousel(
    filesystem: Filesystem, flags: int = os.O_RDONLY
) -> tuple[pyfuse3.InodeT, pyfuse3.FileInfo]:
    inode = await look_up(filesystem, b"carousel")
    return inode, await filesystem.open(inode, flags, CALLER)


async def read_to_the_end(filesystem: Filesystem, opened: pyfuse3.FileInfo, size: int) -> bytes:
    got = bytearray()
    while piece := bytes(await filesystem.read(opened.fh, len(got), size)):
        got += piece
    return bytes(got)


def turned(start: int) -> bytes:
    """Return the bytes of a turn from ``start``."""
    return CONTENT[start:] + CONTENT[:start]


@pytest.mark.parametrize("size", [1000, PAGE, 3 * PAGE + 17, 2 * SIZE])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDONLY | os.O_DIRECT])
async def test_a_turn_is_the_image_once_round_from_the_head(
    filesystem: Filesystem, size: int, flags: int
) -> None:
    """Every byte once, those over the image's end in one read with those before it, then the end."""
    head = await bring_head_to_the_middle(filesystem)
    _, opened = await open_carousel(filesystem, flags)

    assert await read_to_the_end(filesystem, opened, size) == turned(head)
    assert bytes(await filesystem.read(opened.fh, SIZE, 1)) == b""
    assert bytes(await filesystem.read(opened.fh, SIZE + PAGE, 1)) == b""


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (0, 1),
        (0, SIZE),
        (SIZE - 1, 1),
        (SIZE - 1, PAGE),
        (SIZE - PAGE, 2 * PAGE),
        (PAGE - 1, 2),
        (7 * PAGE - 9, 99),
    ],
)
async def test_a_read_anywhere_in_a_turn_gives_just_what_is_there(
    filesystem: Filesystem, offset: int, size: int
) -> None:
    """Read-ahead and mmap ask in any order: never short, never beyond the turn's end."""
    head = await bring_head_to_the_middle(filesystem)
    _, opened = await open_carousel(filesystem)

    assert bytes(await filesystem.read(opened.fh, offset, size)) == turned(head)[offset : offset + size]


async def test_of_a_mount_that_was_never_read_the_turn_begins_at_0(filesystem: Filesystem) -> None:
    """It is the image itself."""
    inode, opened = await open_carousel(filesystem)

    assert await filesystem.getxattr(inode, files.START, CALLER) == b"0"
    assert await read_to_the_end(filesystem, opened, PAGE) == CONTENT


@pytest.mark.parametrize(("flags", "direct"), [(os.O_RDONLY, False), (os.O_RDONLY | os.O_DIRECT, True)])
async def test_a_carousel_cant_be_sought(filesystem: Filesystem, flags: int, *, direct: bool) -> None:
    """A program that seeks to offset X would take that for the image's byte X; `image` can be sought."""
    _, carousel = await open_carousel(filesystem, flags)
    image = await open_image(filesystem, flags)

    assert (carousel.nonseekable, carousel.direct_io, carousel.keep_cache) == (True, direct, True)
    assert (image.nonseekable, image.direct_io, image.keep_cache) == (False, direct, True)


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
async def test_opening_a_carousel_for_writing_is_refused(filesystem: Filesystem, flags: int) -> None:
    """The mount is read-only, even for root."""
    assert errno.EROFS == await errno_of(open_carousel(filesystem, flags))


async def test_a_carousel_is_a_file_of_the_images_size(filesystem: Filesystem) -> None:
    """A file of mode 0400 with a constant number that is not the image's."""
    attributes = [await filesystem.getattr(await look_up(filesystem, b"carousel"), CALLER) for _ in range(2)]

    assert [(a.st_ino, a.st_mode, a.st_size) for a in attributes] == [
        (files.CAROUSEL.number, stat.S_IFREG | 0o400, SIZE)
    ] * 2
    assert files.CAROUSEL.number != files.IMAGE.number


async def test_an_open_carousel_says_where_it_began(filesystem: Filesystem) -> None:
    """In decimal, under the one name that it lists."""
    head = await bring_head_to_the_middle(filesystem)
    inode, _ = await open_carousel(filesystem)

    assert await filesystem.getxattr(inode, b"user.fanoutfs.start", CALLER) == b"%d" % head
    assert await filesystem.listxattr(inode, CALLER) == [b"user.fanoutfs.start"]


@pytest.mark.parametrize("name", [b"image", b"carousel"])
async def test_what_has_no_turn_says_so(filesystem: Filesystem, name: bytes) -> None:
    """ENODATA of the image, and of a carousel before it is opened; ENOSYS would hold for the whole mount."""
    inode = await look_up(filesystem, name)

    assert errno.ENODATA == await errno_of(filesystem.getxattr(inode, files.START, CALLER))
    assert await filesystem.listxattr(inode, CALLER) == []


async def test_another_attribute_of_an_open_carousel_is_not_there(filesystem: Filesystem) -> None:
    """ENODATA: `ls` and `cp -a` ask for several."""
    inode, _ = await open_carousel(filesystem)

    assert errno.ENODATA == await errno_of(filesystem.getxattr(inode, b"security.selinux", CALLER))


async def test_a_turn_begins_where_the_head_was_at_open(filesystem: Filesystem) -> None:
    """However far others take the head before it reads."""
    inode, opened = await open_carousel(filesystem)
    assert await bring_head_to_the_middle(filesystem) > 0

    assert await filesystem.getxattr(inode, files.START, CALLER) == b"0"
    assert await read_to_the_end(filesystem, opened, PAGE) == CONTENT


async def test_one_inode_opened_twice_is_one_turn(filesystem: Filesystem) -> None:
    """It has one page cache: what the first has read there is served to the second without a word to us."""
    inode, first = await open_carousel(filesystem)
    head = await bring_head_to_the_middle(filesystem)
    second = await filesystem.open(inode, os.O_RDONLY, CALLER)

    assert await filesystem.getxattr(inode, files.START, CALLER) == b"0"
    assert await read_to_the_end(filesystem, second, PAGE) == CONTENT
    assert bytes(await filesystem.read(first.fh, 0, PAGE)) == CONTENT[:PAGE]
    assert head > 0


async def test_each_look_up_of_a_carousel_is_a_turn_of_its_own(filesystem: Filesystem) -> None:
    """The second one begins where the head has gone meanwhile."""
    first, _ = await open_carousel(filesystem)
    head = await bring_head_to_the_middle(filesystem)
    second, opened = await open_carousel(filesystem)

    starts = [int(await filesystem.getxattr(inode, files.START, CALLER)) for inode in (first, second)]

    assert starts == [0, head]
    assert await read_to_the_end(filesystem, opened, SIZE) == turned(head)
