"""nbdkit's command line, and when it is started again. Pure."""

from pathlib import Path

import attrs

NAME = "image"
"""What the export is called, as the file in the mount."""

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 30.0
WELL_SECONDS = 60.0
"""Having run for so long, it is started again as if it had never failed."""


@attrs.frozen
class TlsOptions:
    """How clients are spoken to: with a key that both know, a certificate, or in plain words."""

    keys: Path | None = None
    certificates: Path | None = None
    """A folder with the files that nbdkit looks for."""

    def words(self) -> list[str]:
        """Give nbdkit's options; nobody who can do without TLS is let in then."""
        if self.keys is not None:
            return ["--tls=require", f"--tls-psk={self.keys}"]
        if self.certificates is not None:
            return ["--tls=require", f"--tls-certificates={self.certificates}"]
        return ["--tls=off"]


def serving(image: Path, secured: TlsOptions, description: str) -> list[str]:
    """Give the command that exports an image on the socket that it is handed.

    Clients that connect again see by the ``description`` whether it is the same still.
    """
    return ["nbdkit", "--foreground", "--exit-with-parent", *_export(image, secured, description)]


def trial(file: Path, secured: TlsOptions, description: str) -> list[str]:
    """Give a command that only tries whether nbdkit would do that, with any file."""
    return ["nbdkit", "--unix=-", *_export(file, secured, description), "--run", ":"]


def _export(file: Path, secured: TlsOptions, description: str) -> list[str]:
    return [
        "--readonly",
        # With more, nbdkit aborts for all when one client is gone while it is sent several answers.
        "--threads=1",
        # A client that does not hear of several connections makes one, and so reads in order.
        "--filter=multi-conn",
        "--filter=exportname",
        *secured.words(),
        "file",
        f"file={file}",
        "multi-conn-mode=disable",
        "exportname-strict=true",
        f"exportname={NAME}",
        # Who names none means it, too; listed is the one.
        "exportname=",
        f"default-export={NAME}",
        "exportname-list=defaultonly",
        f"exportdesc=fixed:{description}",
    ]


@attrs.define
class BackOff:
    """How long is waited before it is started again: longer each time, unless it ran well between."""

    next: float = SHORTEST_SECONDS

    def after(self, ran: float) -> float:
        """Give the seconds to wait now that it has ended, having run for ``ran`` seconds."""
        seconds = SHORTEST_SECONDS if ran >= WELL_SECONDS else self.next
        self.next = min(2 * seconds, LONGEST_SECONDS)
        return seconds
