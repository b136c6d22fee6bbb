"""docs/options.md and the command line: every option of every command, compared both ways.

A row is `| option | default | meaning |`; the meaning begins with the text of --help. A section's heading
names the commands whose options it lists. The message of a failed test has the rows that the page needs.
"""

import re
from pathlib import Path

import click
import pytest

from fanoutfs.cli import commands

PAGE = (Path(__file__).parents[2] / "docs" / "options.md").read_text()
COMMANDS = {"fanoutfs": commands, **commands.commands}

Row = tuple[str, str, str]
"""Option with its argument, default, meaning."""


def defined(command: click.Command) -> list[Row]:
    """Return the rows of a command, from its definition."""
    rows = []
    for option in command.params:
        if isinstance(option, click.Option):
            argument = "" if option.is_flag else f" {option.make_metavar(click.Context(command))}"
            names = ", ".join(f"`{name}`" for name in option.opts)
            text, default = option.help or "", str(option.default) if option.show_default else ""
            if ended := re.fullmatch(r"(.*?)\s*\[(?:default: )?(.*)\](\.?)", text):
                text, default = ended[1] + ended[3], ended[2]
            rows.append((f"{names[:-1]}{argument}`", default, text))
    return rows


def on_page(name: str) -> list[Row]:
    """Return the rows of all sections that list options of a command."""
    rows = []
    for section in PAGE.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        if f"`{name}`" in heading:
            for line in re.findall(r"^\| (`.*) \|$", text, re.MULTILINE):
                option, default, meaning = re.split(r" *(?<!\\)\| *", line)
                rows.append((option.replace("\\|", "|"), default, meaning))
    return rows


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_each_option_of_a_command(name: str) -> None:
    """With its argument and default, and a meaning that begins with the text of --help."""
    page = {option: (default, meaning) for option, default, meaning in on_page(name)}
    lacking = [
        row for row in defined(COMMANDS[name])
        if row[0] not in page or page[row[0]][0] != row[1] or not page[row[0]][1].startswith(row[2])
    ]  # fmt: skip
    assert [] == lacking


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_each_option_of_the_page(name: str) -> None:
    """No row is left of a former version, and none is listed twice."""
    assert sorted(option for option, _, _ in on_page(name)) == sorted(
        option for option, _, _ in defined(COMMANDS[name])
        if option != "`-h`, `--help`"
    )  # fmt: skip


def test_headings_name_the_commands_with_options() -> None:
    """Each of them, and no other."""
    headings = re.findall(r"^## (.*`.*)$", PAGE, re.MULTILINE)
    named = {name for heading in headings for name in re.findall(r"`(\w+)`", heading)}
    assert named == {name for name, command in COMMANDS.items() if defined(command)}
