"""The command ``fanoutfs top``; what it needs is imported when it runs."""

import sys
from pathlib import Path

import click

from fanoutfs.errors import UsageError
from fanoutfs.options import examples, parsed, status_options
from fanoutfs.units import parse_seconds

LEAST_INTERVAL = 0.1
"""Seconds."""


def _interval(text: str) -> float:
    interval = parse_seconds(text)
    if interval < LEAST_INTERVAL:
        raise UsageError(f"{text} is less than {LEAST_INTERVAL} s")
    return interval


@click.command(
    "top",
    epilog=examples(
        "fanoutfs top /mnt/fan",
        "fanoutfs top --interval 5s /dev/sdb",
        "fanoutfs top -n 1 --token-file token https://node1:8400",
    ),
)
@status_options(required=True)
@click.option("-n", "count", type=click.IntRange(min=1), metavar="COUNT",
              help="Print COUNT frames one below the other, then exit.")  # fmt: skip
@click.option("--interval", callback=parsed(_interval), default="0.5s", show_default=True, metavar="TIME",
              help="Time between two frames, 0.1s or more.")  # fmt: skip
def top_command(
    source: str, *, token_file: Path | None, tls_ca: Path | None, count: int | None, interval: float
) -> None:
    """Watch a mount, or a source that is being copied.

    The display shows the write head, the blocks in memory, the position of each reader, and which reader
    waits for which. URL is the service of a mount on another computer, http://HOST:PORT.

    The display is redrawn until you type "q" or Ctrl-C or the mount ends. If another computer does not
    answer, it is asked again until it does. If the output is not a terminal, one frame is printed as plain
    text. NO_COLOR=1 in the environment turns colours off.
    """
    from rich.console import Console  # noqa: PLC0415 (imported only for this command)

    from fanoutfs.engine.query import status_request  # noqa: PLC0415
    from fanoutfs.top.loop import watch  # noqa: PLC0415

    if hasattr(sys.stdout, "reconfigure"):
        # The terminal's encoding may lack characters of a path.
        sys.stdout.reconfigure(errors="replace")
    watch(status_request(source, token_file, tls_ca), Console(), interval=interval, count=count)
