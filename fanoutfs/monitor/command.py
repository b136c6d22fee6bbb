"""`fanoutfs top`: a mount or a source in, its picture out. What it needs is imported when it runs."""

import sys
from pathlib import Path

import click


@click.command("top")
@click.argument(
    "mountpoint", metavar="MOUNTPOINT|SOURCE", type=Path
)  # click.Path looks at it, and a mount that hangs could not be left
@click.option("-n", "count", type=click.IntRange(min=1), metavar="COUNT",
              help="Print so many pictures one below the other, and end.")  # fmt: skip
@click.option("--interval", type=click.FloatRange(min=0.1), default=0.5, show_default=True, metavar="SECONDS",
              help="From one picture to the next.")  # fmt: skip
def top_command(mountpoint: Path, *, count: int | None, interval: float) -> None:
    """Watch the ring of a mount, or of a source that is copied, as a picture.

    It shows the head, what is in memory, who reads where, and who waits for whom.

    It is drawn anew until "q" or Ctrl-C is typed or the mount ends. Where the output is no terminal, one
    picture is printed as plain text. Colours go with NO_COLOR=1 in the environment.
    """
    from rich.console import Console  # noqa: PLC0415 (only where it is needed)

    from fanoutfs.monitor.read import status_of  # noqa: PLC0415
    from fanoutfs.monitor.top import watch  # noqa: PLC0415

    if hasattr(sys.stdout, "reconfigure"):
        # A path that this terminal has no letters for is no reason to fail.
        sys.stdout.reconfigure(errors="replace")
    watch(lambda: status_of(mountpoint), Console(), interval=interval, count=count)
