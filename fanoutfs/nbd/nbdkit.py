"""nbdkit's command line, and when it is restarted. No I/O, no clock."""

from collections.abc import Iterable
from pathlib import Path

import attrs

from fanoutfs.ranges import Range
from fanoutfs.system.backoff import BackOff

NAME = "image"
"""The name of the export: that of the file in the mount."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds from the end of nbdkit to its next start."""

WELL_SECONDS = 60.0
"""When it has run this long, it is restarted as if it had never failed."""


@attrs.frozen
class TlsOptions:
    """How connections are secured: by a pre-shared key, a certificate, or not at all."""

    keys: Path | None = None
    certificates: Path | None = None
    """A folder with the files that nbdkit expects."""

    def options(self) -> list[str]:
        """Return nbdkit's options; with TLS, clients without it are refused."""
        if self.keys is not None:
            return ["--tls=require", f"--tls-psk={self.keys}"]
        if self.certificates is not None:
            return ["--tls=require", f"--tls-certificates={self.certificates}"]
        return ["--tls=off"]


def serve_command(image: Path, tls: TlsOptions, description: str, data: Path | None) -> list[str]:
    """Return the command that exports an image on the socket that is passed to it.

    Clients that connect again see by the ``description`` whether it is still the same image. ``data`` is a
    file with the ``data_list`` of an image that has holes.
    """
    return ["nbdkit", "--foreground", "--exit-with-parent", *_export(image, tls, description, data)]


def trial_command(file: Path, tls: TlsOptions, description: str) -> list[str]:
    """Return a command that only tests whether nbdkit would do that, with any file."""
    return ["nbdkit", "--unix=-", *_export(file, tls, description, Path("/dev/null")), "--run", ":"]


def data_list(ranges: Iterable[Range]) -> str:
    """Return a file for nbdkit-extentlist-filter(1): the rest is holes, which clients can skip."""
    return "".join(f"{offset} {length}\n" for offset, length in ranges)


def _export(file: Path, tls: TlsOptions, description: str, data: Path | None) -> list[str]:
    # The kernel does not ask a file system in user space with this interface for holes.
    holes = [] if data is None else ["--filter=extentlist", f"extentlist={data}"]
    return [
        "--readonly",
        # With more, nbdkit aborts for all clients when one disconnects while several replies are under way.
        "--threads=1",
        # A client that is not offered several connections makes one, and so reads in order.
        "--filter=multi-conn",
        "--filter=exportname",
        *holes[:1],
        *tls.options(),
        "file",
        f"file={file}",
        "multi-conn-mode=disable",
        "exportname-strict=true",
        f"exportname={NAME}",
        # A client that names no export gets it, too; only the named one is listed.
        "exportname=",
        f"default-export={NAME}",
        "exportname-list=defaultonly",
        f"exportdesc=fixed:{description}",
        *holes[1:],
    ]


def restart_pauses() -> BackOff:
    """Return the pauses between nbdkit's end and its next start."""
    return BackOff(FIRST_PAUSE, LONGEST_PAUSE, reset_after=WELL_SECONDS)
