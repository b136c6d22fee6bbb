"""The command line: arguments in, settings out, and one line on stderr for every way to fail."""

import json
import logging
import os
import sys
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, NoReturn

import click

from fanoutfs.doctor.doctor_command import doctor_command
from fanoutfs.errors import FanoutError, UnusableError, UsageError, reason
from fanoutfs.options import (
    FILE,
    FOLDER,
    MOUNTED,
    SOURCE,
    TARGET,
    examples,
    producer_options,
    remote_options,
    source_options,
    status_options,
)
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.settings import MountSettings, NetworkSettings, Settings
from fanoutfs.simulate.simulate_command import simulate_command
from fanoutfs.status.text import printable
from fanoutfs.system.interrupts import Interrupted, exit_code, settle_signals
from fanoutfs.system.journal import is_journal, with_priority
from fanoutfs.system.process_limits import settle_limits
from fanoutfs.system.streams import output_failure, require_written, settle_streams
from fanoutfs.system.unloadable import unloadable
from fanoutfs.top.top_command import top_command

SIMILAR = 0.7
"""An unknown option is likened to one whose name differs less than this; click's 0.6 with the dashes takes
--force for --pace."""

EPILOG = """\b
Help for a command:
  fanoutfs help COMMAND

\b
Tab completion (bash; or zsh_source, fish_source):
  eval "$(_FANOUTFS_COMPLETE=bash_source fanoutfs)"
"""


ACTS = {"mount", "copy", "umount"}
"""Commands whose exit code says what they have done, even if they can't print it; the others only report."""


class _Commands(click.Group):
    """The commands, which end in one line whatever the machine and the user do meanwhile."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except click.exceptions.Exit:
            # --help and --version
            require_written()
            raise

    def invoke(self, context: click.Context) -> Any:
        try:
            code = super().invoke(context)
        except click.exceptions.Exit:
            require_written()
            raise
        except Interrupted as interrupted:
            if sys.stderr.isatty():
                # A question may stand there.
                click.echo(err=True)
            _say(str(interrupted))
            raise click.exceptions.Exit(exit_code(interrupted)) from interrupted
        except MemoryError as error:
            raise UnusableError("there is not enough memory here; see: ulimit -a") from error
        except OSError as error:
            # Where files, descriptors or processes run out, any step can be the one that fails.
            raise UnusableError(_unforeseen(error)) from error
        except ImportError as error:
            if why := unloadable(error):
                raise UnusableError(why) from error
            raise
        if context.invoked_subcommand not in ACTS:
            require_written()
        elif (failure := output_failure()) is not None:
            _say(failure)
        return code


def _unforeseen(error: OSError) -> str:
    try:
        os.getcwd()  # noqa: PTH109 (only whether it is there)
    except OSError:
        return "the working folder is gone, or can't be read; cd to a different one, or write whole paths"
    name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{name}{reason(error)}"


def _say(line: str, level: int = logging.WARNING) -> None:
    text = f"fanoutfs: {printable(line)}"
    click.echo(with_priority(level, text) if is_journal(2, os.environ) else text, err=True)


def _show_versions(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from fanoutfs.system.versions import package_version, versions  # noqa: PLC0415 (only for this)

        click.echo(f"fanoutfs, version {package_version('fanoutfs')}\n{versions()}")
        context.exit()


@click.group(
    cls=_Commands,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_versions,
    help="Show the versions of fanoutfs and of what it works with, and exit.",
)
def commands() -> None:
    """Read a disk once, copy it to many."""


@commands.command(
    "mount",
    epilog=examples(
        "fanoutfs mount /dev/sdb /mnt/fan",
        "fanoutfs mount --ring 4G --read-rate 100M disk.img /mnt/fan",
        "fanoutfs mount --listen 127.0.0.1:8400 /dev/sdb /mnt/fan",
        "fanoutfs mount --upstream-token-file token https://node1:8400 /mnt/fan",
    ),
)
@click.argument("source", type=SOURCE)
@click.argument("mountpoint", type=FOLDER)
@click.option(
    "-f", "--foreground", is_flag=True, help="Do not daemonize; log to the terminal. Ctrl-C unmounts."
)
@source_options
@producer_options
@click.option("--allow-other", is_flag=True, help="Let all users read the mount, the image included.")
@click.option("-o", "options", multiple=True, metavar="OPT,...", help="Mount options, as for mount(8).")
@click.option("--listen", metavar="HOST:PORT", help="Serve the monitoring page and Prometheus metrics.")
@click.option("--export", metavar="HOST:PORT", help="Export the image over NBD (needs nbdkit).")
@click.option("--token-file", type=FILE, metavar="FILE",
              help="File with the access token for --listen, required unless HOST is loopback. With "
              "--export, it permits a HOST that is not.")  # fmt: skip
@click.option("--tls-cert", type=FILE, metavar="FILE", help="Certificate chain (PEM) for HTTPS and NBD.")
@click.option("--tls-key", type=FILE, metavar="FILE", help="Private key (PEM) of --tls-cert.")
@click.option("--tls-psk", type=FILE, metavar="FILE",
              help="Pre-shared keys of the NBD clients that may read, one USER:HEX per line.")  # fmt: skip
@remote_options("upstream-")
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
    """Mount SOURCE as MOUNTPOINT/image, to be read by many.

    All readers share one pass over SOURCE: a disk, an image file, which may be compressed or in a format such
    as qcow2 (raw:FILE reads it as it lies), or a source on another computer: https://HOST/FILE,
    ssh://HOST/FILE, nbd://HOST/EXPORT, or the service of a mount there, http://HOST:PORT.
    """
    from fanoutfs.mounting.start import mount  # noqa: PLC0415 (trio and pyfuse3 only where they are needed)

    split = tuple(option for group in options for option in group.split(",") if option)
    started = mount(
        source,
        mountpoint,
        Settings.of(**settings),
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
    if started.url is not None:
        click.echo(f"Monitoring page: {started.url}")
    if started.open_to_all is not None:
        _say(started.open_to_all)
    if started.joined:
        _say(f"{source} has a producer already; it serves the mount, with its own settings")
    elif started.log is not None:
        _say(f"there is no syslog here, the log is {started.log}")


@commands.command(
    "copy",
    epilog=examples(
        "fanoutfs copy disk.img /dev/sdb /dev/sdc /dev/sdd",
        "fanoutfs copy --verify --yes /dev/sda backup.img",
        "fanoutfs copy --resume disk.img /dev/sdb",
        "fanoutfs copy http://node1:8400 /dev/sdb",
    ),
)
@click.argument("source", metavar="SOURCE|MOUNTPOINT|URL", type=SOURCE)
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True, type=TARGET)
@click.option("--yes", is_flag=True, help="Overwrite disks without asking.")
@click.option("--verify", is_flag=True, help="Read each target back and compare it with what was copied.")
@click.option("--resume", is_flag=True, help="Compare first; write only what differs or is missing.")
@click.option("--sparse", is_flag=True, help="Leave holes where the image is zero.")
@click.option("--no-progress", is_flag=True, help="Show no progress: no bars, no lines in a log.")
@click.option("--dry-run", is_flag=True, help="Check everything and print what would be done; write nothing.")
@source_options
@remote_options()
@producer_options
def copy_command(
    source: str,
    targets: tuple[str, ...],
    *,
    yes: bool,
    verify: bool,
    resume: bool,
    sparse: bool,
    no_progress: bool,
    dry_run: bool,
    keys_token_file: Path | None,
    keys_tls_ca: Path | None,
    keys_tls_psk: Path | None,
    log_path: Path | None,
    **settings: Any,
) -> int:
    """Copy SOURCE to each TARGET, a disk or a file.

    SOURCE is a disk, an image file, or a mount point of fanoutfs. A compressed image, or one in a format such
    as qcow2, is read as the disk that it holds; raw:FILE as it lies. URL is https://HOST/FILE,
    ssh://HOST/FILE, nbd://HOST/EXPORT, or the service of a mount on another computer, http://HOST:PORT.
    Copies of one source that run at the same time, started together or in different shells, share one pass
    over it.
    """
    from fanoutfs.copying.copy_command import copy  # noqa: PLC0415 (as above)
    from fanoutfs.copying.copy_options import CopyOptions  # noqa: PLC0415

    options = CopyOptions(
        yes=yes, verify=verify, resume=resume, sparse=sparse, progress=not no_progress, dry_run=dry_run
    )
    keys = RemoteKeys(token_file=keys_token_file, tls_ca=keys_tls_ca, tls_psk=keys_tls_psk)
    return copy(source, keys, targets, Settings.of(**settings), options, log_path)


@commands.command(
    "status",
    epilog=examples(
        "fanoutfs status",
        "fanoutfs status /mnt/fan",
        "fanoutfs status --json /dev/sdb",
        "fanoutfs status --token-file token https://node1:8400",
    ),
)
@status_options(required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the status document as JSON.")
def status_command(source: str | None, *, token_file: Path | None, tls_ca: Path | None, as_json: bool) -> int:
    """Show the source, the ring and the readers of a mount.

    MOUNTPOINT is a mount of fanoutfs, SOURCE a disk or file that a mount or a copy is reading, URL the
    service of a mount on another computer, http://HOST:PORT. Without an argument, the command lists your
    running producers.
    """
    from fanoutfs.engine.query import running_producers, status_request  # noqa: PLC0415 (as above)
    from fanoutfs.status.describe import describe, describe_producers  # noqa: PLC0415
    from fanoutfs.status.document import as_plain  # noqa: PLC0415

    if source is not None:
        document = status_request(source, token_file, tls_ca)()
        click.echo(json.dumps(as_plain(document), indent=1) if as_json else describe(document))
        return 0
    if token_file or tls_ca:
        raise UsageError("--token-file and --tls-ca need the URL of a service")
    documents, errors = running_producers()
    plain = [as_plain(document) for document in documents]
    click.echo(json.dumps(plain, indent=1) if as_json else describe_producers(documents))
    for error in errors:
        _say(error)
    return 1 if errors else 0


@commands.command("umount", epilog=examples("fanoutfs umount /mnt/fan", "fanoutfs umount /dev/sdb"))
@click.argument("mountpoint", metavar="SOURCE|MOUNTPOINT", type=MOUNTED)
def umount_command(mountpoint: Path) -> None:
    """Unmount SOURCE or MOUNTPOINT and wait for its daemon to end.

    If copies are still reading from the daemon, or a different mount namespace has the mount, the daemon
    goes on, and the command does not wait.
    """
    from fanoutfs.mounting.stop import umount  # noqa: PLC0415 (as above)

    if left := umount(mountpoint):
        _say(f"{mountpoint} is unmounted; {left}")


@commands.command("help", epilog=examples("fanoutfs help copy"))
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def help_command(context: click.Context, name: str | None) -> None:
    """Show the help of COMMAND, or the list of commands."""
    group = context.find_root()
    if name is None:
        click.echo(group.get_help())
        return
    _, command, _ = commands.resolve_command(group, [name])
    assert command is not None
    with click.Context(command, info_name=name, parent=group) as of_command:
        click.echo(of_command.get_help())


commands.add_command(doctor_command)
commands.add_command(simulate_command)
commands.add_command(top_command)


def main() -> NoReturn:
    """Run a command, whatever state this process was started in."""
    settle_process()
    run()


def settle_process() -> None:
    """Restore what a parent may have left in disorder: streams, signals, limits."""
    try:
        settle_streams()
    except FanoutError as error:
        _say(str(error), logging.ERROR)
        sys.exit(error.exit_code)
    settle_signals()
    settle_limits()


def run(command: click.Command = commands, name: str = "fanoutfs") -> NoReturn:
    """Run a command; exit with 0, 1 (failed), 2 (wrong usage), or 128 plus the signal that ended it."""
    try:
        code = command.main(prog_name=name, standalone_mode=False)
    except FanoutError as error:
        for line in error.lines:
            _say(line, logging.ERROR)
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        _say(_message(error), logging.ERROR)
        sys.exit(2)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    sys.exit(code or 0)


def _message(error: click.ClickException) -> str:
    """Return what is wrong with the arguments, and the command whose help says what is right."""
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        wrong = error.option_name.lstrip("-")
        error.possibilities[:] = [
            option
            for option in error.possibilities
            if SequenceMatcher(None, wrong, option.lstrip("-")).ratio() >= SIMILAR
        ]
    text = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        # Click 8.2 has no quotation marks there.
        text = text.replace(f"option: {error.option_name}", f"option '{error.option_name}'")
    context = getattr(error, "ctx", None)
    command = "fanoutfs" if context is None else context.command_path
    see = " See:" if text.endswith("?") else "; see:"
    return f"{text[:1].lower()}{text[1:]}{see} {command} --help"
