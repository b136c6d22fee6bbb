"""The fixture of those who call handlers."""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.fuse.operations import Filesystem
from tests.adapter.rig import make_filesystem, produce


@pytest.fixture
async def filesystem(autojump_clock: MockClock) -> AsyncIterator[Filesystem]:
    """Make a file system over CONTENT, with its producer; at the end nothing waits."""
    made = make_filesystem()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce, made.ring)
        yield made
        nursery.cancel_scope.cancel()
    assert made.ring.waiting() == []
