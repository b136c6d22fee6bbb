"""``mount.fanoutfs``, the program that mount(8) runs for ``mount -t fanoutfs`` and for lines of fstab.

It translates the call to ``fanoutfs mount`` and its exit code to one of mount(8). The environment is that of
mount(8), at boot an almost empty one: programs are also found in the standard folders.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from fanoutfs.cli import commands, mount_command, run, settle_process
from fanoutfs.errors import UnusableError, UsageError
from fanoutfs.mounting.fstab_options import REFUSED, has_option, mount_words
from fanoutfs.remote.source_argument import local_path

STANDARD_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

USAGE, INTERRUPTED, FAILED = 1, 8, 32
"""Exit codes of mount(8): wrong usage, ended by a signal, the mount has failed."""


def long_options(command: click.Command = mount_command) -> dict[str, bool]:
    """Return the long options of ``fanoutfs mount`` that -o takes, and whether each takes a value."""
    return {
        name.removeprefix("--"): not option.is_flag
        for option in command.params
        if isinstance(option, click.Option)
        for name in option.opts
        if name.startswith("--") and name.removeprefix("--") not in REFUSED
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.argument("folder", metavar="DIR")
@click.option("-o", "groups", multiple=True, metavar="OPT,...",
              help="Options of `fanoutfs mount` by their long names: ring=1G,allow_other.")  # fmt: skip
@click.option("-f", "fake", is_flag=True, help="Check the options; mount nothing.")
@click.option("-s", "sloppy", is_flag=True, help="Ignore options that are unknown.")
@click.option("-n", "_no_mtab", is_flag=True, help="Ignored: there is no mtab.")
@click.option("-v", "_verbose", is_flag=True, help="Ignored.")
@click.option("-t", "_kind", metavar="TYPE", help="Ignored.")
@click.option("-N", "namespace", metavar="NAMESPACE", help="Refused: enter the namespace with nsenter(1).")
def helper_command(
    source: str,
    folder: str,
    *,
    groups: tuple[str, ...],
    fake: bool,
    sloppy: bool,
    namespace: str | None,
    **_ignored: object,
) -> int:
    """Mount SOURCE on DIR: the helper of mount(8), which calls it for `mount -t fanoutfs`."""
    options = ",".join(groups)
    words = mount_words(options, long_options(), sloppy=sloppy)
    if namespace is not None:
        raise UsageError("mount -N is not supported; use: nsenter --mount=NAMESPACE mount ...")
    if fake:
        return 0
    try:
        code: int | None = commands.main(
            ["mount", *words, "--", source, folder], prog_name="fanoutfs", standalone_mode=False
        )
    except UnusableError:
        path = local_path(source)
        if not has_option(options, "nofail") or path is None or Path(path).exists():
            raise
        return 0
    return code or 0


def with_standard_folders(path: str) -> str:
    """Return a PATH that has the standard folders, too."""
    folders = path.split(":") if path else []
    return ":".join([*folders, *(folder for folder in STANDARD_FOLDERS if folder not in folders)])


def exit_status(code: str | int | None) -> int:
    """Return the exit code of mount(8) that means the same as one of ``fanoutfs mount``."""
    if not isinstance(code, int):
        return FAILED
    if code >= 128:  # noqa: PLR2004 (as in shells)
        return INTERRUPTED
    return {0: 0, UsageError.exit_code: USAGE}.get(code, FAILED)


def main() -> NoReturn:
    """Mount, as mount(8) asks for it."""
    os.environ["PATH"] = with_standard_folders(os.environ.get("PATH", ""))
    try:
        settle_process()
        run(helper_command, "mount.fanoutfs")
    except SystemExit as ended:
        sys.exit(exit_status(ended.code))
