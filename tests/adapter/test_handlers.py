"""The handlers, called as pyfuse3 would, without a mount."""

import errno
import inspect
import json
import os
import stat
from typing import Any

import pyfuse3
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.errors import SourceBrokeError
from fanoutfs.fuse import files
from fanoutfs.fuse.inodes import CROWD, FIRST_FRESH
from fanoutfs.fuse.operations import MOST_HANDLES, Filesystem
from fanoutfs.units import PAGE
from tests.adapter.rig import CALLER, CONTENT, ROOT, SIZE, errno_of, look_up, make_filesystem, open_image


async def test_each_lookup_of_a_file_gives_a_fresh_inode(filesystem: Filesystem) -> None:
    """Each open by name has its own page cache; the reply must not be cached."""
    one = await filesystem.lookup(ROOT, b"image", CALLER)
    two = await filesystem.lookup(ROOT, b"image", CALLER)

    assert one.st_ino != two.st_ino
    assert {one.entry_timeout, two.entry_timeout, one.attr_timeout, two.attr_timeout} == {0}


async def test_stat_shows_one_constant_inode_number(filesystem: Filesystem) -> None:
    """cp and tar take a file whose number changes for one that was replaced."""
    attributes = [await filesystem.getattr(await look_up(filesystem, b"image"), CALLER) for _ in range(2)]

    assert [a.st_ino for a in attributes] == [files.IMAGE.number] * 2
    assert attributes[0].st_size == SIZE
    assert attributes[0].st_mode == stat.S_IFREG | 0o400
    assert attributes[0].st_blocks * 512 >= SIZE


async def test_forgotten_inodes_are_gone(filesystem: Filesystem) -> None:
    """Nothing is kept for a name that the kernel no longer knows."""
    before = dict(filesystem.inodes.nodes)
    inode = await look_up(filesystem, b"image")

    await filesystem.forget([(inode, 1)])

    assert filesystem.inodes.nodes == before
    assert errno.ESTALE == await errno_of(filesystem.getattr(inode, CALLER))


async def test_folders_survive_a_forget(filesystem: Filesystem) -> None:
    """Their inodes are not counted: they are always there."""
    inode = await look_up(filesystem, b".fanoutfs")
    await filesystem.forget([(inode, 1)])

    assert (await filesystem.getattr(inode, CALLER)).st_mode == files.FOLDER.mode


async def test_a_crowd_that_looks_up_finds_one_inode_until_somebody_opens_it(filesystem: Filesystem) -> None:
    """Each would drop what the others have just found: with one for all they get through, a stat as well."""
    alone = [await look_up(filesystem, b"image") for _ in range(CROWD)]
    crowd = [await look_up(filesystem, b"image") for _ in range(200)]
    assert (CROWD, {alone[-1]}) == (len(set(alone)), set(crowd))

    await filesystem.release((await filesystem.open(crowd[0], os.O_RDONLY, CALLER)).fh)

    after = await look_up(filesystem, b"image")
    assert after not in alone
    await filesystem.forget([(inode, 1) for inode in {*alone[:-1], after}] + [(alone[-1], 200)])
    assert alone[-1] in filesystem.inodes.nodes
    await filesystem.forget([(alone[-1], 1)])
    assert all(inode < FIRST_FRESH for inode in filesystem.inodes.nodes)


@pytest.mark.parametrize(("parent", "name"), [(ROOT, b"Image"), (ROOT, b"status"), (2, b"image")])
async def test_other_names_are_not_there(filesystem: Filesystem, parent: int, name: bytes) -> None:
    """ENOENT, and nothing else."""
    assert errno.ENOENT == await errno_of(filesystem.lookup(pyfuse3.InodeT(parent), name, CALLER))


@pytest.mark.parametrize(("flags", "direct"), [(os.O_RDONLY, False), (os.O_RDONLY | os.O_DIRECT, True)])
async def test_o_direct_goes_past_the_page_cache(filesystem: Filesystem, flags: int, *, direct: bool) -> None:
    """With 512 bytes at a time past the cache a copy would take a hundred times as long."""
    opened = await open_image(filesystem, flags)

    assert (opened.direct_io, opened.keep_cache) == (direct, True)


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
async def test_opening_for_writing_is_refused(filesystem: Filesystem, flags: int) -> None:
    """The mount is read-only, even for root."""
    assert errno.EROFS == await errno_of(open_image(filesystem, flags))


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (0, 1),
        (0, SIZE),
        (PAGE - 1, 2),
        (SIZE - 1, 1),
        (SIZE - 1, 4096),
        (3, 9 * PAGE),
        (SIZE, 1),
        (SIZE + 99, 5),
    ],
)
async def test_a_read_gives_just_what_is_there(filesystem: Filesystem, offset: int, size: int) -> None:
    """Never short, never beyond the end."""
    opened = await open_image(filesystem)

    found = bytes(await filesystem.read(opened.fh, offset, size))

    assert found == CONTENT[offset : offset + size]


async def test_readers_through_one_page_cache_wait_for_none_of_them(filesystem: Filesystem) -> None:
    """What one was given the other finds in the cache and never asks for; so it does not stand still there.

    Each asks for what the other has not, as the kernel does; a ring of four blocks can't hold all of it.
    """
    began = trio.current_time()
    inode = await look_up(filesystem, b"image")
    handles = [(await filesystem.open(inode, os.O_RDONLY, CALLER)).fh for _ in range(2)]
    for block in range(11):
        handle = handles[block // 2 % 2]
        assert CONTENT[block * PAGE : (block + 1) * PAGE] == await filesystem.read(handle, block * PAGE, PAGE)

    assert trio.current_time() - began < filesystem.ring.rules.cursors.patience
    assert [SIZE, SIZE] == [reader.consumer.position for reader in filesystem.readers]


async def test_a_reader_alone_in_its_page_cache_stands_where_its_gap_is(filesystem: Filesystem) -> None:
    """What was answered beyond the gap, while its first read waited, does not move it there."""
    direct = (await open_image(filesystem, os.O_RDONLY | os.O_DIRECT)).fh
    await filesystem.read(direct, 3 * PAGE, PAGE)
    fh = (await open_image(filesystem)).fh
    async with trio.open_nursery() as nursery:
        nursery.start_soon(filesystem.read, fh, 0, PAGE)
        await wait_all_tasks_blocked()
        await filesystem.read(fh, 3 * PAGE, PAGE)
    await filesystem.release(direct)

    assert [PAGE] == [reader.consumer.position for reader in filesystem.readers]


async def test_one_that_comes_to_a_page_cache_later_need_not_ask_for_what_is_there(
    filesystem: Filesystem,
) -> None:
    """Its first request is for what lies behind that; nobody waits for it before."""
    inode = await look_up(filesystem, b"image")
    first = (await filesystem.open(inode, os.O_RDONLY, CALLER)).fh
    await filesystem.read(first, 0, 3 * PAGE)
    late = (await filesystem.open(inode, os.O_RDONLY, CALLER)).fh
    await filesystem.read(first, 4 * PAGE, PAGE)
    await filesystem.read(late, 3 * PAGE, PAGE)
    await filesystem.release(first)

    assert [5 * PAGE] == [reader.consumer.position for reader in filesystem.readers]


async def test_release_lets_go_of_everything(filesystem: Filesystem) -> None:
    """The consumer leaves the ring with its handle."""
    opened = await open_image(filesystem)
    await filesystem.read(opened.fh, 0, 100)
    await filesystem.flush(opened.fh)
    assert len(filesystem.ring.rules.open_cursors) == 1

    await filesystem.release(opened.fh)

    assert (filesystem.handles, filesystem.ring.rules.open_cursors) == ({}, {})


async def test_status_and_head_are_snapshots_with_their_true_size(filesystem: Filesystem) -> None:
    """What stat says is what is read."""
    for name, expected in ((b"status", {"readers": []}), (b"head", 0)):
        entry = await filesystem.lookup(pyfuse3.InodeT(files.FOLDER.number), name, CALLER)
        opened = await filesystem.open(entry.st_ino, os.O_RDONLY, CALLER)
        text = bytes(await filesystem.read(opened.fh, 0, 65536))
        await filesystem.release(opened.fh)

        assert json.loads(text) == expected
        assert (await filesystem.getattr(entry.st_ino, CALLER)).st_size == len(text)


async def test_too_many_opens_are_refused(filesystem: Filesystem, caplog: pytest.LogCaptureFixture) -> None:
    """EMFILE, with a line in the log, and the mount goes on."""
    opened = await open_image(filesystem)
    filesystem.handles.update(dict.fromkeys(range(-MOST_HANDLES, 0), filesystem.handles[opened.fh]))

    assert errno.EMFILE == await errno_of(open_image(filesystem))
    assert "is the most" in caplog.text


async def test_opens_are_refused_while_the_mount_is_taken_down(filesystem: Filesystem) -> None:
    """Nobody begins what can't be finished."""
    filesystem.closing = True

    assert errno.EIO == await errno_of(open_image(filesystem))


async def test_an_untuned_kernel_gets_few_page_cache_readers(
    filesystem: Filesystem, caplog: pytest.LogCaptureFixture
) -> None:
    """With max_background as it was, further readers go past the page cache; said once."""
    filesystem.cached_limit = 2

    opened = [await open_image(filesystem) for _ in range(4)]

    assert [o.direct_io for o in opened] == [False, False, True, True]
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


HANDLERS: dict[str, tuple[Any, ...]] = {
    "lookup": (ROOT, b"image", CALLER),
    "forget": ([(FIRST_FRESH, 1)],),
    "getattr": (ROOT, CALLER),
    "statfs": (CALLER,),
    "getxattr": (ROOT, b"user.x", CALLER),
    "listxattr": (ROOT, CALLER),
    "opendir": (ROOT, CALLER),
    "readdir": (ROOT, 0, None),
    "releasedir": (ROOT,),
    "open": (FIRST_FRESH, os.O_RDONLY, CALLER),
    "read": (1, 0, 1),
    "flush": (1,),
    "release": (1,),
}


NEED_NOTHING = {"flush", "releasedir"}
"""Handlers whose answer is always the same."""


def test_every_handler_is_listed() -> None:
    """A handler that is added must be tried with the failures below."""
    ours = {
        name
        for name, member in inspect.getmembers(Filesystem, inspect.iscoroutinefunction)
        if member is not getattr(pyfuse3.Operations, name, None)
    }

    assert ours == set(HANDLERS)


class Broken(dict[int, Any]):
    """A book in which every look-up fails."""

    def _fail(self, *_: object) -> Any:
        raise ZeroDivisionError

    __getitem__ = __contains__ = get = pop = __len__ = _fail


@pytest.mark.parametrize("name", sorted(HANDLERS.keys() - NEED_NOTHING))
async def test_a_bug_in_a_handler_costs_one_request(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Anything but FUSEError would end the session, and all readers with it: it is logged, and EIO."""
    filesystem = make_filesystem()
    filesystem.inodes.nodes = filesystem.handles = Broken()
    monkeypatch.setattr(files, "TREE", Broken())
    monkeypatch.setattr(files, "find", lambda *_: 1 / 0)
    monkeypatch.setattr(pyfuse3, "StatvfsData", lambda: 1 / 0)

    found = await errno_of(getattr(filesystem, name)(*HANDLERS[name]))

    assert (found, filesystem.handler_bugs) == (errno.EIO, 1)
    assert f"{name} failed" in caplog.text


async def test_a_wrong_length_is_an_error_and_never_a_short_read(
    filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the page cache a short reply is a silent end of file."""
    opened = await open_image(filesystem)

    async def short(*_: object) -> bytes:
        return b"short"

    monkeypatch.setattr(files.ReaderHandle, "read", short)
    assert (errno.EIO, 1) == (await errno_of(filesystem.read(opened.fh, 0, 4096)), filesystem.handler_bugs)


async def test_a_broken_source_is_its_readers_error(
    filesystem: Filesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO, no bug, no trace in the log."""
    opened = await open_image(filesystem)

    async def broken(*_: object) -> bytes:
        raise SourceBrokeError("the source can't be read at byte 0")

    monkeypatch.setattr(files.ReaderHandle, "read", broken)
    assert (errno.EIO, 0) == (await errno_of(filesystem.read(opened.fh, 0, 4096)), filesystem.handler_bugs)


async def test_a_waiting_read_does_not_keep_others_out(autojump_clock: MockClock) -> None:
    """While one waits for its bytes, look-ups, opens and closes of others are answered."""
    filesystem = make_filesystem()
    opened = await open_image(filesystem)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(filesystem.read, opened.fh, 0, 10)
        await wait_all_tasks_blocked()

        other = await open_image(filesystem)
        await filesystem.release(other.fh)
        nursery.cancel_scope.cancel()

    assert filesystem.ring.waiting() == []
