"""nbdkit's command line, and when it is started again. Pure."""

from pathlib import Path

import attrs

from fanoutfs.system.backoff import BackOff

NAME = "image"
"""What the export is called, as the file in the mount."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds from its end to its next start."""

WELL_SECONDS = 60.0
"""When it has run this long, it is restarted as if it had never failed."""


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


def restart_pauses() -> BackOff:
    """Return the pauses between nbdkit's end and its next start."""
    return BackOff(FIRST_PAUSE, LONGEST_PAUSE, reset_after=WELL_SECONDS)
