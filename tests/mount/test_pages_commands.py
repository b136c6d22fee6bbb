"""Pages whose commands are shown with what they print: it is what they print."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from click.testing import CliRunner

from fanoutfs.cli import commands

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("how-to-choose-a-ring.md", "many-machines.md")

SHOWN = re.compile(r"```sh\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
"""A command, and below it what it prints."""

WRITTEN = re.compile(r"cat > (\S+) <<'END'\n(.*?)END\n", re.DOTALL)
"""A file that a command writes first."""


def shown() -> Iterator[tuple[str, str, str]]:
    """Yield each command of each page, and what the page says that it prints."""
    for name in PAGES:
        for words, printed in SHOWN.findall((DOCS / name).read_text()):
            yield name, words, printed


def case(page: str, words: str, printed: str) -> ParameterSet:
    """Return the arguments of one test; those of one that computes for some seconds are for the soak."""
    long = any(text in words for text in ("--size 64G", "slow.yaml", "sticks.yaml --pace free"))
    return pytest.param(page, words, printed, marks=pytest.mark.soak if long else ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with all files that the pages' commands write."""
    path = tmp_path_factory.mktemp("pages")
    for name in PAGES:
        for file, text in WRITTEN.findall((DOCS / name).read_text()):
            (path / file).write_text(text)
    return path


@pytest.mark.parametrize(("page", "words", "printed"), [case(*each) for each in shown()])
def test_a_command_on_a_page_prints_what_the_page_shows(
    folder: Path, monkeypatch: pytest.MonkeyPatch, page: str, words: str, printed: str
) -> None:
    """Figure for figure."""
    monkeypatch.chdir(folder)
    command = shlex.split(WRITTEN.sub("", words).replace("\\\n", " "))
    assert "fanoutfs" == command[0], page
    done = CliRunner().invoke(commands, command[1:], catch_exceptions=False, standalone_mode=False)
    assert printed == done.stdout


def test_each_page_shows_commands() -> None:
    """So that a page is not left out because it is written another way."""
    pages = [page for page, _, _ in shown()]
    assert all(pages.count(page) > 3 for page in PAGES)
