"""`fanoutfs top`: who is asked in, a picture out. What it needs is imported when it runs."""

import sys
from collections.abc import Callable
from pathlib import Path

import click


def asks(command: Callable[..., object]) -> Callable[..., object]:
    """Add the argument of whoever asks for a status, and the options for one on another computer."""
    # Not click's Path, which looks at files: a mount that hangs could not be left.
    file = click.Path(path_type=Path)
    parts = [
        click.argument("word", metavar="MOUNTPOINT|SOURCE|URL"),
        click.option("--token-file", type=file, metavar="FILE",
                     help="The token of the service at URL."),
        click.option("--tls-ca", type=file, metavar="FILE",
                     help="Certificate of who has signed the service's, unless the system knows it."),
    ]  # fmt: skip
    for part in reversed(parts):
        command = part(command)
    return command


@click.command("top")
@asks
@click.option("-n", "count", type=click.IntRange(min=1), metavar="COUNT",
              help="Print so many pictures one below the other, and end.")  # fmt: skip
@click.option("--interval", type=click.FloatRange(min=0.1), default=0.5, show_default=True, metavar="SECONDS",
              help="From one picture to the next.")  # fmt: skip
def top_command(
    word: str, *, token_file: Path | None, tls_ca: Path | None, count: int | None, interval: float
) -> None:
    """Watch the ring of a mount, or of a source that is copied, as a picture.

    It shows the head, what is in memory, who reads where, and who waits for whom. URL is the service of a
    mount on another computer, http://HOST:PORT.

    It is drawn anew until "q" or Ctrl-C is typed or the mount ends; another computer that is away may come
    back. Where the output is no terminal, one picture is printed as plain text. Colours go with NO_COLOR=1 in
    the environment.
    """
    from rich.console import Console  # noqa: PLC0415 (only where it is needed)

    from fanoutfs.engine.query import asking  # noqa: PLC0415
    from fanoutfs.top.loop import watch  # noqa: PLC0415

    if hasattr(sys.stdout, "reconfigure"):
        # A path that this terminal has no letters for is no reason to fail.
        sys.stdout.reconfigure(errors="replace")
    watch(asking(word, token_file, tls_ca), Console(), interval=interval, count=count)
