"""Parts of the command line that several commands share: parsed values, groups of options, examples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import click.shell_completion

from fanoutfs import completion
from fanoutfs.errors import UsageError
from fanoutfs.units import parse_seconds, parse_size


def require_name(text: str) -> str:
    """Return the name of a source or target unchanged; raise UsageError for an empty name and for "-"."""
    if not text:
        raise UsageError("an argument is empty; name a file, a disk or a folder")
    if text == "-":
        raise UsageError("standard input and output can't be used here; for a file of that name: ./-")
    return text


def _source(text: str) -> str:
    """Return the name of a source unchanged, "-" for standard input included."""
    return text if text == "-" else require_name(text)


def _path(text: str) -> Path:
    """Return a path. Not by click.Path, which calls stat(2): that never ends on a mount that hangs."""
    return Path(require_name(text))


class NameType(click.ParamType):  # type: ignore[type-arg]  # older versions of click have it without
    """A name on the command line: how its text becomes a value, and how Tab completes it."""

    name = "name"

    def __init__(self, parse: Callable[[str], Any], complete: completion.Complete) -> None:
        self._parse = parse
        self._complete = complete

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> Any:
        """Return the value; raise UsageError."""
        return self._parse(value)

    def shell_complete(
        self, context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Return what may stand here, apart from the command's other arguments."""
        given = (context.params.get("source"), *(context.params.get("targets") or ()))
        return self._complete(incomplete, [name for name in given if name])


SOURCE = NameType(_source, completion.sources)
TARGET = NameType(require_name, completion.targets)
FILE = NameType(_path, completion.files)
FOLDER = NameType(_path, completion.folders)
MOUNTED = NameType(_path, completion.mounted)
READ_SOURCE = NameType(require_name, completion.mounted_or_files)
"""A source that is being read, or its mount point."""

Decorator = Callable[[Callable[..., object]], Callable[..., object]]


def parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """Return the callback of an option whose text ``parse`` reads; a UsageError then names the option."""

    def callback(_context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except UsageError as error:
            raise UsageError(f"invalid {max(parameter.opts, key=len)}: {error}") from error

    return callback


size, seconds = parsed(parse_size), parsed(parse_seconds)


def examples(*lines: str) -> str:
    """Return the end of a command's help: the lines as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def _together(*options: Decorator) -> Decorator:
    def add(command: Callable[..., object]) -> Callable[..., object]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


producer_options = _together(
    click.option("--ring", callback=size, metavar="SIZE",
                 help="Shared memory for the ring.  [default: an eighth of the available memory]"),
    click.option("--block", callback=size, metavar="SIZE",
                 help="Unit of reading and caching.  [default: 1M]"),
    click.option("--patience", callback=seconds, default="10s", show_default=True, metavar="TIME",
                 help="How long other readers wait for one that has stopped reading."),
    click.option("--turn", callback=seconds, default="2s", show_default=True, metavar="TIME",
                 help="How long a reader waits for the sequential pass before its block is fetched "
                 "out of order."),
    click.option("--source-timeout", callback=seconds, default="60s", show_default=True, metavar="TIME",
                 help="How long the source may be silent before readers get an I/O error."),
    click.option("--pace", type=click.Choice(["strict", "free"]), default="strict", show_default=True,
                 help="strict: readers near one another stay together; free: no reader waits for another."),
    click.option("--read-rate", callback=size, metavar="SIZE",
                 help="Read at most this many bytes of the source per second."),
    click.option("--log", "log_path", type=FILE, metavar="FILE", help="Log to this file instead of syslog."),
)  # fmt: skip
"""Settings of the process that becomes the producer."""


source_options = _together(
    click.option("--size", callback=size, metavar="SIZE",
                 help="Size of a source that is a pipe."),
    click.option("--spool", type=FOLDER, metavar="DIR",
                 help="Keep what was read in a temporary file in DIR, so that nothing is read twice."),
    click.option("--on-read-error", type=click.Choice(["fail", "zero"]), default="fail", show_default=True,
                 help="What readers get where the source can't be read: an error or zeros."),
    click.option("--mapfile", type=FILE, metavar="FILE",
                 help="Map of bad places, as of GNU ddrescue; FILE is read and kept up to date."),
    click.option("--retries", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
                 help="How many times a bad sector is read again."),
    click.option("--only", metavar="MAP|used",
                 help="Read only what MAP, a ddrescue map or a .bmap file, lists; used: what the file "
                 "systems use."),
    click.option("--only-zero-rest", is_flag=True,
                 help="With --only: fill the rest of a target with zeros, instead of leaving it as it is."),
    click.option("--strict-source", is_flag=True,
                 help="Refuse a source that may change while it is read."),
)  # fmt: skip
"""How the source is read."""


def remote_options(prefix: str = "") -> Decorator:
    """Return the options for a source on another computer, with a prefix to their names."""
    return _together(
        click.option(f"--{prefix}token-file", "keys_token_file", type=FILE, metavar="FILE",
                     help="File with the access token of the remote service."),
        click.option(f"--{prefix}tls-ca", "keys_tls_ca", type=FILE, metavar="FILE",
                     help="CA certificate (PEM) to trust for the remote service, if the system does not "
                     "trust it already."),
        click.option(f"--{prefix}tls-psk", "keys_tls_psk", type=FILE, metavar="FILE",
                     help="Pre-shared keys for the remote NBD export, one USER:HEX per line."),
    )  # fmt: skip


def status_options(*, required: bool) -> Decorator:
    """Return the argument of ``status`` and ``top``, and the options for a service on another computer."""
    return _together(
        click.argument("source", metavar="MOUNTPOINT|SOURCE|URL", required=required, type=READ_SOURCE),
        click.option("--token-file", type=FILE, metavar="FILE",
                     help="File with the access token of the service at URL."),
        click.option("--tls-ca", type=FILE, metavar="FILE",
                     help="CA certificate (PEM) to trust for the service at URL, if the system does not "
                     "trust it already."),
    )  # fmt: skip
