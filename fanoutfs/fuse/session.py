"""The life of a mount, from init to unmount: the tasks that serve it, and how it ends.

It ends in one of three ways. *Unmounted* from outside: the kernel ends the session and the mount is gone.
*Requested*: opens are refused, and after the ring has been shut the session is ended and unmounted. *Broken*:
the session ended without a request, which is an error. ``pyfuse3.close`` is called exactly once for each
``pyfuse3.init``: a second call, or ``terminate`` after it, crashes the process.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from pathlib import Path

import attrs
import pyfuse3
import trio

from fanoutfs.errors import UnusableError
from fanoutfs.fuse import kernel
from fanoutfs.fuse.drop_behind import DropBehind
from fanoutfs.fuse.mount_options import mount_options
from fanoutfs.fuse.obstacle import obstacle
from fanoutfs.fuse.operations import Filesystem
from fanoutfs.fuse.reaper import Reaper
from fanoutfs.ring.ring import Ring
from fanoutfs.settings import MountSettings
from fanoutfs.system.fuse_access import fuse_access
from fanoutfs.system.mountinfo import detach, mount_at

log = logging.getLogger(__name__)

MIN_TASKS, MAX_TASKS = 16, 100_000
"""With pyfuse3's default limit of 99 tasks, 99 waiting reads would block all other requests, even RELEASE."""


class SessionState(Enum):
    """The states of a session; TRANSITIONS has their order."""

    NEW = "not mounted yet"
    SERVING = "mounted; opens are accepted"
    ENDING = "an end was requested: opens are refused, reads under way are answered"
    ENDED = "unmounted, or about to be"


TRANSITIONS = {
    SessionState.NEW: {SessionState.SERVING},
    SessionState.SERVING: {
        SessionState.ENDING,
        SessionState.ENDED,
    },  # ENDED: unmounted from outside, or broken
    SessionState.ENDING: {SessionState.ENDING, SessionState.ENDED},
    SessionState.ENDED: set[SessionState](),
}


@attrs.define(eq=False, kw_only=True)
class Session:
    """A mount that this process serves; it serves one at a time."""

    ring: Ring
    source: str
    point: Path
    settings: MountSettings
    status: Callable[[], bytes]
    mapfile: Callable[[], bytes] = bytes
    numbers: Iterator[int]
    filesystem: Filesystem = attrs.field(init=False)
    drop_behind: DropBehind = attrs.field(factory=DropBehind, init=False)
    ended: trio.Event = attrs.field(factory=trio.Event, init=False)
    device: tuple[int, int] | None = attrs.field(default=None, init=False)
    """Of the mount, once the kernel has it."""
    _state: SessionState = attrs.field(default=SessionState.NEW, init=False)

    def __attrs_post_init__(self) -> None:
        self.filesystem = Filesystem(
            ring=self.ring,
            drop_behind=self.drop_behind,
            status=self.status,
            mapfile=self.mapfile,
            numbers=self.numbers,
            shared="allow_other" in mount_options(self.settings, self.source),
        )

    async def serve(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Mount, serve, and unmount; ``ready`` is awaited once the mount can answer.

        Raise UnusableError if it can't be mounted, does not answer, or ends without a request. Nothing stays
        mounted then, nor after a cancellation.
        """
        options = mount_options(self.settings, self.source)
        if missing := obstacle(fuse_access(), options):
            raise UnusableError(missing)
        failed: UnusableError | None = None
        try:
            pyfuse3.init(self.filesystem, str(self.point), options)
        except RuntimeError as error:
            raise UnusableError(
                f"{self.point} can't be mounted; libfuse's reason stands above or in the log"
            ) from error
        self._enter(SessionState.SERVING)
        try:
            descriptor = kernel.session_descriptor()
            kernel.never_block(descriptor)
            kernel.read_without_waiting(descriptor)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Reaper(self.ring, self.filesystem).run)
                nursery.start_soon(self._main, nursery)
                try:
                    await self._tune()
                    nursery.start_soon(self.drop_behind.run, descriptor)
                    await ready()
                except UnusableError as error:
                    failed = error
                    nursery.cancel_scope.cancel()
        finally:
            serving = self._state is SessionState.SERVING
            self._enter(SessionState.ENDED)
            unrequested = serving and failed is None and self._is_mounted()
            # A mount that others have made on the mount point since is not ours to unmount.
            pyfuse3.close(unmount=self._is_mounted())
            for number in list(self.filesystem.handles):
                # The kernel sends no RELEASE for handles that are open at the end, and the ring may live on.
                self.filesystem.close_handle(number)
            if self._is_mounted():
                # close() does not unmount a connection that was aborted through fusectl.
                detach(self.point, lazy=True)
            self.ended.set()
        if failed is not None:
            raise failed
        if unrequested:
            raise UnusableError(
                f"the kernel ended the mount on {self.point}; was it aborted through fusectl?"
            )
        log.info("%s is unmounted", self.point)

    def refuse_opens(self) -> None:
        """Refuse further opens: the mount is about to end."""
        self._enter(SessionState.ENDING)
        self.filesystem.closing = True

    def end(self) -> None:
        """End the session. The caller has made sure that no read waits in the ring."""
        self._enter(SessionState.ENDING)
        pyfuse3.terminate()

    def _is_mounted(self) -> bool:
        """Return whether the mount is the visible one on its mount point."""
        mount = mount_at(self.point)
        return mount is not None and self.device in (None, mount.device)

    def _enter(self, state: SessionState) -> None:
        assert state in TRANSITIONS[self._state], f"{self._state.name} to {state.name}"
        self._state = state

    async def _tune(self) -> None:
        """Tune the kernel's side, after INIT: its reply resets the read-ahead."""
        await self.filesystem.initialised.wait()
        mount = mount_at(self.point)
        if mount is None:
            raise UnusableError(f"{self.point} was unmounted as soon as it was mounted")
        self.device = mount.device
        if not kernel.raise_background(mount.minor):
            self.filesystem.cached_limit = kernel.CACHED_WHERE_UNTUNED
        kernel.raise_read_ahead(mount.major, mount.minor)
        kernel.warn_of_timeouts()

    async def _main(self, nursery: trio.Nursery) -> None:
        await pyfuse3.main(min_tasks=MIN_TASKS, max_tasks=MAX_TASKS)
        nursery.cancel_scope.cancel()
