"""The command line: words in, settings out, and one line on stderr for every way to fail."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from fanoutfs.errors import FanoutError, UsageError
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.settings import MountSettings, NetworkSettings, Settings
from fanoutfs.simulate.simulate_command import simulate_command
from fanoutfs.top.top_command import asks, top_command
from fanoutfs.units import parse_size


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


def _settings(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options of whoever becomes the producer."""
    options = [
        click.option("--ring", callback=_size, metavar="SIZE",
                     help="Shared memory for the ring [an eighth of what is available]."),
        click.option("--block", callback=_size, default="1M", show_default=True, metavar="SIZE",
                     help="What is read and kept at a time."),
        click.option("--patience", type=float, default=10.0, show_default=True, metavar="SECONDS",
                     help="Others wait so long for a reader that takes nothing."),
        click.option("--turn", type=float, default=2.0, show_default=True, metavar="SECONDS",
                     help="A reader waits so long for the sweep before its block is read out of turn."),
        click.option("--source-timeout", type=float, default=60.0, show_default=True, metavar="SECONDS",
                     help="Readers get an error when the source takes longer than this."),
        click.option("--pace", type=click.Choice(["strict", "free"]), default="strict", show_default=True,
                     help="strict: readers near one another stay together; free: none waits."),
        click.option("--read-rate", callback=_size, metavar="SIZE",
                     help="Read at most so much of the source in a second."),
        click.option("--log", "log_path", type=click.Path(path_type=Path), metavar="FILE",
                     help="Log there, not to syslog."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _keys(prefix: str, whose: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Add the options for a source on another computer."""
    file = click.Path(path_type=Path)
    options = [
        click.option(f"--{prefix}token-file", "keys_token_file", type=file, metavar="FILE",
                     help=f"The token of {whose} service."),
        click.option(f"--{prefix}tls-ca", "keys_tls_ca", type=file, metavar="FILE",
                     help=f"Certificate of who has signed {whose}, unless the system knows it."),
        click.option(f"--{prefix}tls-psk", "keys_tls_psk", type=file, metavar="FILE",
                     help=f"RemoteKeys for {whose} export, lines of USER:KEY."),
    ]  # fmt: skip

    def add(command: Callable[..., object]) -> Callable[..., object]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@commands.command("mount")
@click.argument("source")
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("-f", "--foreground", is_flag=True, help="Stay here, log to the terminal; Ctrl-C unmounts.")
@_settings
@click.option("--allow-other", is_flag=True, help="Let other users see the mount.")
@click.option("-o", "options", multiple=True, metavar="OPT,...", help="Mount options, as for mount(8).")
@click.option("--listen", metavar="HOST:PORT", help="Show what it does to browsers and Prometheus there.")
@click.option("--export", metavar="HOST:PORT", help="Let NBD clients read the image there (needs nbdkit).")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show it only to those who know what this file says; a must where others can reach it.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Certificate, with its chain, for https and NBD.",
)
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key.")
@click.option(
    "--tls-psk",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="RemoteKeys of the NBD clients that may read: lines of USER:HEX.",
)
@_keys("upstream-", "the source's")
def mount_command(
    source: str,
    mountpoint: Path,
    *,
    foreground: bool,
    allow_other: bool,
    options: tuple[str, ...],
    listen: str | None,
    export: str | None,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_psk: Path | None,
    keys_token_file: Path | None,
    keys_tls_ca: Path | None,
    keys_tls_psk: Path | None,
    log_path: Path | None,
    **settings: Any,
) -> None:
    """Show SOURCE as MOUNTPOINT/image, for as many readers as you like.

    SOURCE is a disk, an image file, or what another computer exports: nbd://HOST/EXPORT, or the address of a
    mount's service there, http://HOST:PORT.
    """
    from fanoutfs.mounting.start import mount  # noqa: PLC0415 (trio and pyfuse3 only where they are needed)

    split = tuple(option for group in options for option in group.split(",") if option)
    started = mount(
        source,
        mountpoint,
        Settings(**settings),
        MountSettings(allow_other=allow_other, options=split),
        NetworkSettings.of(
            listen=listen,
            export=export,
            token_file=token_file,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_psk=tls_psk,
        ),
        keys=RemoteKeys(token_file=keys_token_file, tls_ca=keys_tls_ca, tls_psk=keys_tls_psk),
        log_path=log_path,
        foreground=foreground,
    )
    if started.open_to_all is not None:
        click.echo(f"fanoutfs: {started.open_to_all}", err=True)
    if started.joined:
        click.echo(
            f"fanoutfs: {source} has a producer already; it serves the mount, with its own settings",
            err=True,
        )
    elif started.log is not None:
        click.echo(f"fanoutfs: there is no syslog here, the log is {started.log}", err=True)


@commands.command("copy")
@click.argument("source", metavar="SOURCE|MOUNTPOINT|URL")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Don't ask before targets are written over.")
@click.option("--verify", is_flag=True, help="Read each target back, and compare it with what went by.")
@click.option("--resume", is_flag=True, help="Compare first, and write only what differs or is missing.")
@click.option("--sparse", is_flag=True, help="Leave holes where the image is zeros.")
@click.option("--no-progress", is_flag=True, help="Draw no progress bars.")
@_keys("", "the other computer's")
@_settings
def copy_command(
    source: str,
    targets: tuple[str, ...],
    *,
    yes: bool,
    verify: bool,
    resume: bool,
    sparse: bool,
    no_progress: bool,
    keys_token_file: Path | None,
    keys_tls_ca: Path | None,
    keys_tls_psk: Path | None,
    log_path: Path | None,
    **settings: Any,
) -> int:
    """Copy SOURCE, a disk, an image file or what a mount shows, to each TARGET, a disk or a file.

    URL is http://HOST:PORT, the service of a mount on another computer, or nbd://HOST/EXPORT. Whoever copies
    the same source now, in whatever shell, is joined: it is read once for all.
    """
    from fanoutfs.copying.copy_command import CopyOptions, copy  # noqa: PLC0415 (as above)

    wishes = CopyOptions(yes=yes, verify=verify, resume=resume, sparse=sparse, progress=not no_progress)
    keys = RemoteKeys(token_file=keys_token_file, tls_ca=keys_tls_ca, tls_psk=keys_tls_psk)
    return copy(source, keys, targets, Settings(**settings), wishes, log_path)


@commands.command("status")
@asks
@click.option("--json", "as_json", is_flag=True, help="The document itself.")
def status_command(word: str, *, token_file: Path | None, tls_ca: Path | None, as_json: bool) -> None:
    """Show what a mount, or the producer of a source, is doing: source, ring, readers.

    URL is the service of a mount on another computer, http://HOST:PORT.
    """
    from fanoutfs.engine.query import asking  # noqa: PLC0415 (as above)
    from fanoutfs.status.describe import describe  # noqa: PLC0415

    document = asking(word, token_file, tls_ca)()
    click.echo(json.dumps(document, indent=1) if as_json else describe(document))


@commands.command("umount")
@click.argument("mountpoint", type=click.Path(path_type=Path))
def umount_command(mountpoint: Path) -> None:
    """Take a mount down; returns when its daemon has ended, or goes on for copies alone."""
    from fanoutfs.mounting.stop import umount  # noqa: PLC0415 (as above)

    if copies := umount(mountpoint):
        plural = "copy" if copies == 1 else "copies"
        click.echo(
            f"fanoutfs: {mountpoint} is unmounted; its producer goes on for {copies} {plural}", err=True
        )


commands.add_command(simulate_command)
commands.add_command(top_command)


def main() -> NoReturn:
    """Run a command; ends with 0, 1 (failed) or 2 (wrong usage)."""
    try:
        code = commands.main(standalone_mode=False)
    except FanoutError as error:
        for line in str(error).splitlines():
            click.echo(f"fanoutfs: {line}", err=True)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"fanoutfs: {error.format_message().rstrip('.')}; see: fanoutfs --help", err=True)
        sys.exit(2)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    sys.exit(code or 0)
