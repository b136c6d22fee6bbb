"""The one place that knows pyfuse3's and the kernel's inner workings; each has a contract test.

Nothing here is fatal but the hooks: what the system does not permit is skipped with one log line.
"""

import errno
import fcntl
import logging
import os
import select
from pathlib import Path
from types import SimpleNamespace

import pyfuse3
import trio

from fanoutfs.system.fuse_access import BDI, FUSECTL

log = logging.getLogger(__name__)

MAX_BACKGROUND = 1024
"""Page-cache reads under way before the kernel holds further ones back, and RELEASE with them (default 12):
above it readers could wait for one whose request is never delivered."""

READ_AHEAD_KIB = 1024
"""Read-ahead of page-cache readers (default 128): about twice as fast, and a request is 1 MiB at most."""

CACHED_WHERE_UNTUNED = 4
"""With max_background at 12, many readers with read-aheads under way leave room for RELEASE."""

TIMEOUTS = ("default_request_timeout", "max_request_timeout")


def session_descriptor() -> int:
    """Return the descriptor of /dev/fuse of this process's only mount."""
    found = []
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 (names, and one of them is gone by then)
        try:
            if os.readlink(f"/proc/self/fd/{entry}") == "/dev/fuse":  # noqa: PTH115 (no Path needed)
                found.append(int(entry))
        except FileNotFoundError:
            continue
    if len(found) != 1:
        raise RuntimeError(f"one descriptor of /dev/fuse was expected, found {found}")
    return found[0]


def never_block(descriptor: int) -> None:
    """Keep a vanished request from stopping the process: pyfuse3 reads /dev/fuse blocking, holding the GIL.

    It reads after the descriptor was seen readable, but the request may be gone by then (its reader was
    killed). Non-blocking, the read fails with EAGAIN instead, and the loop that this ends is begun again.
    """
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    loop = pyfuse3._session_loop  # type: ignore[attr-defined]  # noqa: SLF001 (the hook, pinned and tested)
    if hasattr(loop, "begins_again"):
        return

    async def begin_again(*args: object) -> None:
        while True:
            try:
                return await loop(*args)  # type: ignore[no-any-return]
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise

    begin_again.begins_again = True  # type: ignore[attr-defined]
    pyfuse3._session_loop = begin_again  # type: ignore[attr-defined]  # noqa: SLF001


def read_without_waiting(descriptor: int) -> None:
    """Let pyfuse3 take a request that is there already without going through epoll for it.

    It waits for the descriptor to be readable before each request, which costs two system calls and a turn
    of the scheduler more than to look; while readers are busy a request is nearly always there. Others get
    their turn all the same: the lock around this wait is a checkpoint. The name ``trio`` in pyfuse3 is meant
    to be replaced: its asyncio support does so.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)

    async def wait_readable(waited_for: int) -> None:
        if not poll.poll(0):
            await trio.lowlevel.wait_readable(waited_for)

    lowlevel = SimpleNamespace(**{**vars(trio.lowlevel), "wait_readable": wait_readable})
    pyfuse3.trio = SimpleNamespace(**{**vars(trio), "lowlevel": lowlevel})  # type: ignore[attr-defined]


def raise_background(minor: int) -> bool:
    """Let many page-cache reads of the mount with this device number wait at once, before the first reader.

    Return whether that succeeded.
    """
    connection = FUSECTL / str(minor)
    try:
        (connection / "max_background").write_text(str(MAX_BACKGROUND))
        (connection / "congestion_threshold").write_text(str(MAX_BACKGROUND * 3 // 4))
    except OSError as error:
        log.info(
            "only %d readers without O_DIRECT use the page cache, further ones are slow: "
            "%s can't be written (%s); as root: mount -t fusectl fusectl %s",
            CACHED_WHERE_UNTUNED, connection, error.strerror, FUSECTL)  # fmt: skip
        return False
    return True


def raise_read_ahead(major: int, minor: int) -> None:
    """Let the kernel read further ahead for page-cache readers."""
    setting = BDI / f"{major}:{minor}" / "read_ahead_kb"
    try:
        setting.write_text(str(READ_AHEAD_KIB))
    except OSError as error:
        log.info("read-ahead stays as it is: %s can't be written (%s)", setting, error.strerror)


def warn_of_timeouts() -> None:
    """Warn if the kernel will end the whole mount because one request waits long (Linux 6.15 and later)."""
    for name in TIMEOUTS:
        try:
            seconds = int((Path("/proc/sys/fs/fuse") / name).read_text())
        except (OSError, ValueError):
            continue
        if seconds:
            log.warning("fs.fuse.%s is %d: a read that waits longer than that ends the mount; "
                        "set it to 0", name, seconds)  # fmt: skip
