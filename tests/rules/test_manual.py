"""The manual pages in docs/man: written by contrib/manual, complete, and right for man(1) and mandoc(1)."""

import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from contrib.manual.commands import named
from contrib.manual.pages import PAGES
from fanoutfs.cli import commands
from fanoutfs.fuse.mount_options import ALLOWED
from fanoutfs.mount_helper import long_options

TOP = Path(__file__).parents[2]
MAN = TOP / "docs" / "man"

NAMES = sorted(commands.commands)


def plain(roff: str) -> str:
    """Return a line of roff without its types and escapes."""
    return re.sub(r"\\f[BIR]|\\&", "", roff).replace("\\-", "-")


def parts(page: str, request: str) -> dict[str, str]:
    """Return the text below each heading that this request makes."""
    _, *found = re.split(rf'^\.{request} "?', (MAN / page).read_text(), flags=re.MULTILINE)
    return {plain(title).rstrip('"'): text for title, _, text in (one.partition("\n") for one in found)}


def tags(text: str) -> list[str]:
    """Return the names of the items in a list."""
    return [plain(tag) for tag in re.findall(r"^\.TP\n(.*)$", text, re.MULTILINE)]


def options(text: str) -> set[str]:
    """Return the options that a list describes, each with its short name."""
    return {name for tag in tags(text) for name in re.findall(r"(?:^|, )(--?[\w-]+)", tag)}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_what_the_commands_and_documents_say(page: str) -> None:
    """If not: python -m contrib.manual."""
    assert PAGES[page]() == (MAN / page).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_manual_has_the_options_of_a_command(name: str) -> None:
    """Each option that --help has, and no other."""
    described = parts("fanoutfs.1", "SH").get(f"fanoutfs {name}", ".TP\n-h, --help")
    shared = [
        text for title, text in parts("fanoutfs.1", "SS").items() if name in title.split(": ")[-1].split()
    ]

    # Not from get_params: click keeps the help option that it was first asked for.
    defined = {
        one
        for option in commands.commands[name].params
        if isinstance(option, click.Option)
        for one in option.opts
    }
    found = set().union(options(described), *(options(text.partition("\n.SH")[0]) for text in shared))
    assert defined | {"-h", "--help"} == found


def test_the_helper_of_mount_has_the_options_of_mount() -> None:
    """By the names that -o takes."""
    taken = {name.replace("-", "_") for name in long_options()}
    found = [tag.partition("=")[0] for tag in tags(parts("mount.fanoutfs.8", "SH")["OPTIONS"])]
    assert taken | set(ALLOWED) == {name for tag in found for name in tag.split(", ")}


@pytest.mark.parametrize("page", PAGES)
def test_examples_come_before_the_description(page: str) -> None:
    """Most readers of a manual look for an example."""
    titles = list(parts(page, "SH"))
    assert titles.index("NAME") < titles.index("EXAMPLES") < titles.index("DESCRIPTION")
    assert "SEE ALSO" == titles[-1]


def test_the_manual_of_the_program_is_complete() -> None:
    """It has a section for each command, and those that a user of manuals expects."""
    expected = {"LIMITATIONS", "EXIT STATUS", "FILES", "SIGNALS", "ENVIRONMENT"}
    assert set() == (expected | {f"fanoutfs {name}" for name in NAMES if name != "help"}) - set(
        parts("fanoutfs.1", "SH")
    )


def test_headings_that_name_commands_are_found() -> None:
    """A heading of options.md may name several."""
    assert ["copy", "mount"] == named("The producer: `copy` and `mount`")


@pytest.mark.tool("man", "mandoc")
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("command", ["mandoc -Tlint -Wwarning", "man --warnings -E UTF-8 -l"])
def test_both_programs_for_manuals_show_a_page_without_a_warning(command: str, page: str) -> None:
    """Groff for man-db, and mandoc."""
    done = subprocess.run(
        [*command.split(), MAN / page],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    if command.startswith("mandoc"):
        assert "" == done.stdout
    else:
        assert "EXAMPLES" in done.stdout


def test_pip_installs_all_pages_and_completions() -> None:
    """Each where its program looks for it: below the prefix of the environment."""
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())
    shared = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    pages = {f"docs/man/{page}": f"share/man/man{page[-1]}/{page}" for page in PAGES}
    scripts = {
        "contrib/completion/fanoutfs.bash": "share/bash-completion/completions/fanoutfs",
        "contrib/completion/fanoutfs.zsh": "share/zsh/site-functions/_fanoutfs",
        "contrib/completion/fanoutfs.fish": "share/fish/vendor_completions.d/fanoutfs.fish",
    }
    assert pages | scripts == {file: place for file, place in shared.items() if file in pages | scripts}
    assert set(pages) == {f"docs/man/{path.name}" for path in MAN.iterdir()}
