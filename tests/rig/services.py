"""The service and the export of a mount on a host: their options and addresses, and status requests."""

import contextlib
from pathlib import Path
from typing import Any

from fanoutfs.control.client import ControlConnection
from fanoutfs.errors import FanoutError
from tests.rig.hosts import Host

SERVICE, EXPORT = 8400, 10809  # ports
RUNTIME = Path("/run/fanoutfs")
REPLIES = 5.0  # seconds to wait for a producer's reply


def listening(token: Path, export: str = f"0.0.0.0:{EXPORT}") -> tuple[str, ...]:
    """Return the options that give a mount a service and an export."""
    return "--listen", f"0.0.0.0:{SERVICE}", "--export", export, "--token-file", str(token)


def service_url(host: Host, scheme: str = "http") -> str:
    """Return the address of the service on a host."""
    return f"{scheme}://{host.name}:{SERVICE}"


def export_url(host: Host) -> str:
    """Return the address of the exported image on a host."""
    return f"nbd://{host.name}:{EXPORT}/image"


def statuses(host: Host) -> list[dict[str, Any]]:
    """Return the status documents of all producers on a host."""
    found = []
    for path in host.seen(RUNTIME).glob("*.sock"):
        with contextlib.suppress(OSError, FanoutError):
            connection = ControlConnection.to(path)
            try:
                found.append(connection.request("status", REPLIES)["status"])
            finally:
                connection.close()
    return found
