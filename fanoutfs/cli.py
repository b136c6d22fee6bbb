"""The command line: words in, settings out, and one line on stderr for every way to fail."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import click

from fanoutfs.errors import FanoutError, UsageError
from fanoutfs.monitor.command import top_command
from fanoutfs.settings import Settings, parse_size
from fanoutfs.simulate.command import simulate_command


def _size(_context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Give the bytes that an option names."""
    try:
        return None if value is None else parse_size(value)
    except UsageError as error:
        raise UsageError(f"--{str(parameter.name).replace('_', '-')}: {error}") from error


@click.group(
    no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="fanoutfs")
def commands() -> None:
    """Read a disk once, copy it to many."""


@commands.command("mount")
@click.argument("source")
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("-f", "--foreground", is_flag=True, help="Stay here, log to the terminal; Ctrl-C unmounts.")
@click.option(
    "--ring",
    callback=_size,
    metavar="SIZE",
    help="Shared memory for the ring [an eighth of what is available].",
)
@click.option("--block", callback=_size, default="1M", show_default=True, metavar="SIZE",
              help="What is read and kept at a time.")  # fmt: skip
@click.option("--patience", type=float, default=10.0, show_default=True, metavar="SECONDS",
              help="Others wait so long for a reader that takes nothing.")  # fmt: skip
@click.option("--turn", type=float, default=2.0, show_default=True, metavar="SECONDS",
              help="A reader waits so long for the sweep before its block is read out of turn.")  # fmt: skip
@click.option("--source-timeout", type=float, default=60.0, show_default=True, metavar="SECONDS",
              help="Readers get an error when the source takes longer than this.")  # fmt: skip
@click.option("--pace", type=click.Choice(["strict", "free"]), default="strict", show_default=True,
              help="strict: readers near one another stay together; free: none waits.")  # fmt: skip
@click.option("--read-rate", callback=_size, metavar="SIZE",
              help="Read at most so much of the source in a second.")  # fmt: skip
@click.option("--allow-other", is_flag=True, help="Let other users see the mount.")
@click.option("-o", "options", multiple=True, metavar="OPT,...", help="Mount options, as for mount(8).")
@click.option("--log", type=click.Path(path_type=Path), metavar="FILE", help="Log there, not to syslog.")
def mount_command(*, foreground: bool, options: tuple[str, ...], **settings: object) -> None:
    """Show SOURCE, a disk or an image file, as MOUNTPOINT/image, for as many readers as you like."""
    from fanoutfs.mounting.start import mount  # noqa: PLC0415 (trio and pyfuse3 only where they are needed)

    split = tuple(option for group in options for option in group.split(",") if option)
    log = mount(Settings(options=split, **settings), foreground=foreground)  # type: ignore[arg-type]
    if log is not None:
        click.echo(f"fanoutfs: there is no syslog here, the log is {log}", err=True)


@commands.command("status")
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The document itself.")
def status_command(mountpoint: Path, *, as_json: bool) -> None:
    """Show what a mount is doing: source, ring, readers."""
    from fanoutfs.monitor.status import describe  # noqa: PLC0415 (as above)
    from fanoutfs.mounting.stop import read_status  # noqa: PLC0415

    document = read_status(mountpoint)
    click.echo(json.dumps(document, indent=1) if as_json else describe(document))


@commands.command("umount")
@click.argument("mountpoint", type=click.Path(path_type=Path))
def umount_command(mountpoint: Path) -> None:
    """Take a mount down; returns when its daemon has ended."""
    from fanoutfs.mounting.stop import umount  # noqa: PLC0415 (as above)

    umount(mountpoint)


commands.add_command(simulate_command)
commands.add_command(top_command)


def main() -> NoReturn:
    """Run a command; ends with 0, 1 (failed) or 2 (wrong usage)."""
    try:
        code = commands.main(standalone_mode=False)
    except FanoutError as error:
        click.echo(f"fanoutfs: {error}", err=True)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"fanoutfs: {error.format_message().rstrip('.')}; see: fanoutfs --help", err=True)
        sys.exit(2)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    sys.exit(code or 0)
