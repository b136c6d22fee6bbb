"""The completion scripts in contrib/completion, each in its shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "contrib" / "completion"

# Outside an editor, what only an editor can do is recorded instead.
BASH = """
compopt() { echo "compopt $2"; }
source fanoutfs.bash
COMP_WORDS=(fanoutfs copy TYPED)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_fanoutfs fanoutfs
printf '%s\\n' "${COMPREPLY[@]}"
"""

ZSH = """
fpath=($PWD/functions $fpath)
autoload -Uz compinit; compinit -u -D
print -r -- $_comps[fanoutfs]
compadd() { print -rl -- $completions }
_describe() { print -rl -- $completions_with_descriptions }
compset() { print -r -- compset $* }
_path_files() { print -r -- path_files $* }
words=(fanoutfs copy TYPED)
CURRENT=$#words
_fanoutfs
"""

FISH = """
source fanoutfs.fish
complete -C 'fanoutfs copy TYPED'
"""


def run(folder: Path, shell: list[str], script: str, words: str) -> list[str]:
    """Run a script in a folder with the completions, and return the lines that it prints."""
    program = folder / "fanoutfs"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fanoutfs "$@"\n')
    program.chmod(0o755)
    for name in ("fanoutfs.bash", "fanoutfs.fish"):
        (folder / name).symlink_to(SCRIPTS / name)
    (folder / "functions").mkdir()
    (folder / "functions" / "_fanoutfs").symlink_to(SCRIPTS / "fanoutfs.zsh")
    for name in ("picture.img", "pictures.img"):
        (folder / name).touch()
    paths = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(SCRIPTS.parents[1]),
    }
    done = subprocess.run(
        [*shell, script.replace("TYPED", words)],
        cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **paths},
    )  # fmt: skip
    assert "" == done.stderr
    return done.stdout.splitlines()


@pytest.mark.tool("bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--pace ''", ["strict", "free"]),
        ("--pace = s", ["strict"]),
        ("--pa", ["--patience", "--pace"]),
        ("pict", ["compopt default", ""]),
        ("--spool ''", ["compopt dirnames", ""]),
    ],
)
def test_bash_completes(words: str, expected: list[str], tmp_path: Path) -> None:
    """Values of options, also behind =; files are left to the shell."""
    assert expected == run(tmp_path, ["bash", "--norc", "-c"], BASH, words)


@pytest.mark.tool("zsh")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--pace ''", ["strict", "free"]),
        ("--pace=s", ["compset -P *=", "strict"]),
        ("pict", ["path_files -f"]),
    ],
)
def test_zsh_completes(words: str, expected: list[str], tmp_path: Path) -> None:
    """Zsh finds the file by its name, and loads it when it is needed first."""
    assert ["_fanoutfs", *expected] == run(tmp_path, ["zsh", "-f", "-c"], ZSH, words)


@pytest.mark.tool("fish")
@pytest.mark.parametrize(
    ("words", "expected"),
    [("--pace ", ["free", "strict"]), ("pict", ["picture.img", "pictures.img"])],
)
def test_fish_completes(words: str, expected: list[str], tmp_path: Path) -> None:
    """Values and files."""
    assert expected == run(tmp_path, ["fish", "--no-config", "-c"], FISH, words)
