"""What the definition of a command says of it, as roff."""

import re

import click

from contrib.manual.documents import sections
from contrib.manual.roff import bold, converted, escaped, example, guarded, tagged
from fanoutfs.cli import commands
from fanoutfs.fuse.mount_options import ALLOWED
from fanoutfs.mount_helper import long_options

HELP = "-h, --help"

FIRST = ("copy", "mount", "umount", "status", "top")
"""The commands that a manual begins with; others follow by name."""

SHARED = "OPTIONS OF SEVERAL COMMANDS"


def named(heading: str) -> list[str]:
    """Return the commands that a heading of docs/options.md names."""
    return [name for name in re.findall(r"`(\w+)`", heading) if name in commands.commands]


def in_order() -> list[str]:
    """Return the commands, the most important first."""
    return [*FIRST, *sorted(set(commands.commands) - {*FIRST, "help"})]


def usage(name: str) -> str:
    """Return how a command is written."""
    # Click remembers the help option that it makes first: the names are those of a real call.
    context = click.Context(commands.commands[name], info_name=name, help_option_names=["-h", "--help"])
    pieces = commands.commands[name].collect_usage_pieces(context)
    return f"{bold(f'fanoutfs {name}')} {escaped(' '.join(pieces))}"


def synopsis() -> list[str]:
    """Return a line for each command."""
    lines = []
    for name in sorted(commands.commands):
        lines += [usage(name), ".br"]
    return lines[:-1]


def all_examples() -> list[str]:
    """Return the examples of all commands."""
    lines: list[str] = []
    for name in in_order():
        _, _, text = (commands.commands[name].epilog or "").partition("Examples:\n")
        lines += [".PP", f"The command {bold(name)}:", *example(map(str.strip, text.splitlines()))[1:]]
    return lines


def command(name: str) -> list[str]:
    """Return the section of a command: how it is written, what it does, its options."""
    pages = sections("options.md")
    lines = [".PP", usage(name)]
    for part in re.split(r"\n\s*\n", commands.commands[name].help or ""):
        lines += [".PP", *(guarded(escaped(line.strip())) for line in part.strip().split("\n"))]
    own = [text for title, text in pages.items() if title == f"`{name}`"]
    for text in own:
        lines += converted(f"\n{text}")
    if any(name in named(title) and len(named(title)) > 1 for title in pages):
        lines += [".PP", f"The other options are below {bold(SHARED)}."]
    return [*lines, *tagged(bold(HELP), "Show the help of the command and exit.")]


def shared_options() -> list[str]:
    """Return the options that several commands have."""
    lines: list[str] = []
    for title, text in sections("options.md").items():
        if len(named(title)) > 1:
            lines += converted(f"## {title}\n{text}")
    return lines


def fstab_options() -> list[str]:
    """Return the options of ``mount`` as they are written in fstab, and those of mount(8)."""
    lines: list[str] = []
    taken = long_options()
    for option in commands.commands["mount"].params:
        if isinstance(option, click.Option):
            name = max(option.opts, key=len).removeprefix("--")
            if name in taken:
                value = "" if option.is_flag else option.make_metavar(click.Context(commands)).strip("[]")
                tag = bold(name.replace("-", "_")) + (f"=\\fI{escaped(value)}\\fR" if value else "")
                # As in a line of fstab: --token-file is token_file there.
                text = re.sub(r"--([a-z][\w-]*)", lambda found: found[1].replace("-", "_"), option.help or "")
                lines += tagged(tag, escaped(text))
    plain = [name for name in ALLOWED if name != "allow_other"]
    return [*lines, *tagged(", ".join(map(bold, plain)), "As for every file system, see mount(8).")]
