"""A file system for tests that call its handlers, and files on a file system that the test names."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.fuse.operations import Filesystem
from tests.adapter.rig import make_filesystem, produce
from tests.rig.certificates import make_certificate


class Certificate(TypedDict):
    """Settings of a service or an export."""

    tls_cert: Path
    tls_key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a self-signed certificate of localhost, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    make_certificate(cert, key)
    return {"tls_cert": cert, "tls_key": key}


@pytest.fixture
def path_in() -> Iterator[Callable[[str], Path]]:
    """Name a file in a folder, by which the test chooses the file system; it is removed at the end."""
    with ExitStack() as stack:

        def name(folder: str) -> Path:
            path = Path(folder, f"fanoutfs-test-{os.getpid()}")
            stack.callback(path.unlink, missing_ok=True)
            return path

        yield name


@pytest.fixture
async def filesystem(autojump_clock: MockClock) -> AsyncIterator[Filesystem]:
    """Make a file system over CONTENT, with its producer; at the end nothing waits."""
    made = make_filesystem()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(produce, made.ring)
        yield made
        nursery.cancel_scope.cancel()
    assert made.ring.waiting() == []
