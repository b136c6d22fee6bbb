"""Reports of a mount in the foreground to the service manager: it answers, what it does, it ends."""

from typing import Protocol

import trio

from fanoutfs.control.client import ControlConnection
from fanoutfs.status.document import StatusDocument
from fanoutfs.status.text import printable
from fanoutfs.status.wording import mounted_text, source_text
from fanoutfs.system.ready import readable
from fanoutfs.system.service_manager import ServiceManager

REPORT_SECONDS = 10.0
"""How often the manager is told what the mount does, or that it lives, unless its watchdog is faster."""

AGAIN_SECONDS = 0.5
"""When a report that did not reach the manager is sent again."""

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


class ReportedEngine(Protocol):
    """What is reported of an engine."""

    @property
    def mounted(self) -> trio.Event:
        """Set when the mount answers."""

    @property
    def end_requested(self) -> trio.Event:
        """Set by a signal."""

    def status(self) -> StatusDocument:
        """Return the status document."""


async def report(manager: ServiceManager, engine: ReportedEngine) -> None:
    """Report until cancelled; nothing before the mount answers. Background task of an engine."""
    with manager:
        await engine.mounted.wait()
        try:
            first = [READY]
            while not engine.end_requested.is_set():
                has_arrived = manager.send(*first, ALIVE, f"STATUS={status_line(engine.status())}")
                first = [] if has_arrived else first
                with trio.move_on_after(_interval(manager) if has_arrived else AGAIN_SECONDS):
                    await engine.end_requested.wait()
        finally:
            # A signal ends it, or it was unmounted.
            manager.send(STOPPING, "STATUS=the mount is ending")
        await trio.sleep_forever()


def report_joined(manager: ServiceManager, producer: ControlConnection) -> None:
    """Report until a different process, which serves the mount, has a message: that it has ended."""
    with manager:
        status = f"STATUS=served by the producer that was there already, process {producer.peer}"
        try:
            first = [READY]
            while True:
                has_arrived = manager.send(*first, ALIVE, status)
                first = [] if has_arrived else first
                pause = _interval(manager) if has_arrived else AGAIN_SECONDS
                if readable([producer.socket.fileno()], pause):
                    return
        finally:
            manager.send(STOPPING)


def _interval(manager: ServiceManager) -> float:
    return REPORT_SECONDS if manager.watchdog is None else min(REPORT_SECONDS, manager.watchdog / 3)


def status_line(document: StatusDocument) -> str:
    """Return what the mount does, for ``systemctl status``."""
    readers = len(document.readers)
    return (
        f"{printable(document.source.path)} {mounted_text(document)}: "
        f"{readers} reader{'s' * (readers != 1)}, {source_text(document.source)}"
    )
