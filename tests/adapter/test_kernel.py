"""What we rely on in pyfuse3 and the kernel, held to it; and that what is not permitted is skipped."""

import errno
import fcntl
import logging
import os
from pathlib import Path

import pyfuse3
import pytest
import trio
from trio.testing import MockClock

from fanoutfs.fuse import kernel


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Put pyfuse3's session loop back afterwards."""
    monkeypatch.setattr(pyfuse3, "_session_loop", pyfuse3._session_loop)  # type: ignore[attr-defined]
    monkeypatch.setattr(pyfuse3, "trio", pyfuse3.trio)  # type: ignore[attr-defined]
    return monkeypatch


def test_pyfuse3_has_the_hook_that_we_need() -> None:
    """Versions are limited because of this name: main() looks it up in the module for each of its tasks."""
    assert callable(pyfuse3._session_loop)  # type: ignore[attr-defined]


async def test_a_vanished_request_does_not_end_the_session(hook: pytest.MonkeyPatch) -> None:
    """EAGAIN from the descriptor begins the loop again; any other error ends it, as before."""
    failures = [BlockingIOError(errno.EAGAIN, "gone"), BlockingIOError(errno.EAGAIN, "gone"), None]
    calls = []

    async def loop(*args: object) -> None:
        calls.append(args)
        if (failure := failures.pop(0)) is not None:
            raise failure

    hook.setattr(pyfuse3, "_session_loop", loop)
    reader, writer = os.pipe()
    kernel.never_block(reader)

    await pyfuse3._session_loop("nursery", 16, 99)  # type: ignore[attr-defined]
    assert calls == [("nursery", 16, 99)] * 3
    assert fcntl.fcntl(reader, fcntl.F_GETFL) & os.O_NONBLOCK

    failures.append(OSError(errno.EBADF, "closed"))  # type: ignore[arg-type]
    with pytest.raises(OSError, match="closed"):
        await pyfuse3._session_loop("nursery", 16, 99)  # type: ignore[attr-defined]
    os.close(reader)
    os.close(writer)


def test_the_hook_is_set_once(hook: pytest.MonkeyPatch) -> None:
    """A second mount in one process does not wrap the wrapper."""
    reader, writer = os.pipe()
    kernel.never_block(reader)
    first = pyfuse3._session_loop  # type: ignore[attr-defined]
    kernel.never_block(reader)

    assert pyfuse3._session_loop is first  # type: ignore[attr-defined]
    os.close(reader)
    os.close(writer)


async def test_a_request_that_is_there_is_not_waited_for(
    hook: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Pyfuse3's wait returns at once when there is something to read, else it waits as trio does."""
    reader, writer = os.pipe()
    kernel.read_without_waiting(reader)
    wait_readable = pyfuse3.trio.lowlevel.wait_readable  # type: ignore[attr-defined]
    with trio.move_on_after(1) as empty:
        await wait_readable(reader)
    os.write(writer, b"x")
    waited = wait_readable(reader)
    with pytest.raises(StopIteration):
        waited.send(None)
    os.close(reader)
    os.close(writer)

    assert empty.cancelled_caught is True
    assert pyfuse3.trio.Lock is trio.Lock  # type: ignore[attr-defined]


def test_tuning_is_written_where_the_kernel_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Background requests by the connection's number, read-ahead by the device's."""
    monkeypatch.setattr(kernel, "FUSECTL", tmp_path)
    monkeypatch.setattr(kernel, "BDI", tmp_path)
    (tmp_path / "45").mkdir()
    (tmp_path / "0:45").mkdir()

    assert kernel.raise_background(45) is True
    kernel.raise_read_ahead(0, 45)

    assert (tmp_path / "45/max_background").read_text() == "1024"
    assert (tmp_path / "45/congestion_threshold").read_text() == "768"
    assert (tmp_path / "0:45/read_ahead_kb").read_text() == "1024"


def test_tuning_that_is_not_permitted_is_skipped_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Never fatal; the line says what it costs and how to mend it."""
    monkeypatch.setattr(kernel, "FUSECTL", tmp_path / "none")
    monkeypatch.setattr(kernel, "BDI", tmp_path / "none")
    caplog.set_level(logging.INFO)

    assert kernel.raise_background(45) is False
    kernel.raise_read_ahead(0, 45)

    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    assert "mount -t fusectl" in caplog.records[0].getMessage()


def test_the_descriptor_is_the_only_one_of_dev_fuse() -> None:
    """None or several would be another mount's: that is a bug, and said."""
    with pytest.raises(RuntimeError, match="expected"):
        kernel.session_descriptor()
