"""What a service manager (systemd) is told, and how it is asked for: sd_notify(3), sd_watchdog_enabled(3).

A service reports by datagrams, each some lines NAME=value, to the socket that $NOTIFY_SOCKET names. What is
sent never waits: a manager whose queue is full gets the next report instead.
"""

import logging
import os
import socket
from collections.abc import MutableMapping
from typing import Self

import attrs

log = logging.getLogger(__name__)


@attrs.define(eq=False)
class ServiceManager:
    """The manager that has started this process."""

    watchdog: float | None
    """Seconds; without a sign of life for this long it ends the process. None: it waits for none."""
    _socket: socket.socket
    _address: str
    _has_failed: bool = attrs.field(default=False, init=False)

    def send(self, *lines: str) -> bool:
        """Send a report; return whether the manager has it. The log has the first failure."""
        report = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            self._socket.sendto(os.fsencode(report), socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                log.info("the service manager can't be told %s: %s", lines[0], error.strerror)
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()


def find_service_manager(environ: MutableMapping[str, str]) -> ServiceManager | None:
    """Return the manager that wants reports of this process, if there is one.

    What names it is taken out of the environment: programs that are started from here do not report.
    """
    address = environ.pop("NOTIFY_SOCKET", "")
    interval, process = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if address[:1] not in ("/", "@"):
        # vsock addresses are for virtual machines.
        return None
    if address[0] == "@":
        address = f"\0{address[1:]}"
    is_asked = interval.isdecimal() and int(interval) > 0 and process in ("", str(os.getpid()))
    return ServiceManager(
        int(interval) / 1e6 if is_asked else None,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC),
        address,
    )
