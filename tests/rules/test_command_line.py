"""The command line without a mount: help, version, wrong arguments."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from fanoutfs.cli import commands, run

NAMES = sorted(commands.commands)

TIMES = {"5": 5.0, "5s": 5.0, "5m": 300.0, "2h": 7200.0}


def printed(*arguments: str) -> str:
    return CliRunner().invoke(commands, arguments, prog_name="fanoutfs", catch_exceptions=False).output


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that returns the line which wrong arguments print."""

    def refuse(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fanoutfs", *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        assert 2 == ended.value.code
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return refuse


def test_the_list_of_commands_has_whole_sentences() -> None:
    """Click would cut a summary that is longer than a line."""
    text = printed("--help")
    assert "..." not in text.split("Commands:")[1]
    assert all(f"\n  {name} " in text for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_ends_with_examples(name: str) -> None:
    """Each is a command that can be typed."""
    _, examples = printed(name, "--help").split("  Examples:\n")
    assert all(line.startswith("    fanoutfs ") for line in examples.splitlines())


@pytest.mark.parametrize(
    ("arguments", "others"),
    [("--help", "help"), ("-V", "--version"), *((f"{name} --help", f"help {name}") for name in NAMES)],
)
def test_two_ways_to_write_the_same(arguments: str, others: str) -> None:
    """`help` has the text of --help, and -V that of --version."""
    assert printed(*arguments.split()) == printed(*others.split())


def test_the_help_has_a_line_that_sets_up_completion() -> None:
    """The variable in it makes the command print a script for the shell."""
    assert '_FANOUTFS_COMPLETE=bash_source fanoutfs)"' in printed("--help")
    found = subprocess.run(
        [sys.executable, "-m", "fanoutfs"],
        env={"_FANOUTFS_COMPLETE": "zsh_source"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "compdef" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("copy --force disk.img /dev/sdb", "no such option '--force'; see: fanoutfs copy --help"),
        ("mount --no-such-option a b", "no such option '--no-such-option'; see: fanoutfs mount --help"),
        ("mount", "missing argument 'SOURCE'; see: fanoutfs mount --help"),
        ("nonsense", "no such command 'nonsense'; see: fanoutfs --help"),
        ("help nonsense", "no such command 'nonsense'; see: fanoutfs --help"),
        ("mount --block 5 a b", "invalid --block 5: a block is a multiple of 4096 bytes, at most 64 MiB"),
        ("mount --ring lots a b", "invalid --ring: 'lots' is not a size; write it as 512K, 64M or 2G"),
        ("copy --patience 0 a b", "invalid --patience 0: must be more than 0 seconds"),
        ("copy --turn soon a b", "invalid --turn: 'soon' is not a time; write it as 90, 1.5s, 5m or 2h"),
        ("top --interval 10ms a", "invalid --interval: 10ms is less than 0.1 s"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(
    arguments: str, line: str, refused: Callable[..., str]
) -> None:
    """The exit code is 2, the line names the command's help; a merely similar option is not suggested."""
    assert f"fanoutfs: {line}" == refused(*arguments.split())


@pytest.mark.parametrize(
    ("options", "mention"),
    [
        ("--ring 1M --block 1M", "--ring"),
        ("--ring 1535K --block 1M", "--ring"),
        ("--ring 0", "--ring"),
        ("--ring -4M", "--ring"),
        ("--ring lots", "--ring"),
        ("--ring 4Q", "--ring"),
        ("--ring M", "--ring"),
        ("--ring 1e6", "--ring"),
        ("--block 0", "--block"),
        ("--block 1000", "--block"),
        ("--block nonsense", "--block"),
        ("--patience -1", "--patience"),
        ("--patience nan", "--patience"),
        ("--patience soon", "--patience"),
        ("--read-rate 0", "--read-rate"),
        ("--read-rate -1M", "--read-rate"),
        ("--read-rate fast", "--read-rate"),
        ("--read-rate 1.5M", "--read-rate"),
        ("--read-rate inf", "--read-rate"),
        ("--pace sometimes", "--pace"),
        ("--no-such-option", "--no-such-option"),
    ],
)
def test_an_option_that_makes_no_sense(options: str, mention: str, refused: Callable[..., str]) -> None:
    """A value that cannot be is wrong usage, before a source is looked for; the line names the option."""
    assert mention in refused("mount", *options.split(), "source", "point")


@pytest.mark.parametrize("words", ["", "mount", "copy", "umount", "nonsense", "mount one"])
def test_a_command_that_lacks_its_words(words: str, refused: Callable[..., str]) -> None:
    """A command without what it needs is wrong usage, and the line names the help."""
    assert refused(*words.split()).endswith("--help")


@pytest.mark.parametrize(
    "arguments",
    ["copy ~ b", "copy a ~", "copy a b ~", "mount ~ b", "mount a ~", "umount ~", "status ~", "top ~"],
)
def test_an_empty_name_is_none(arguments: str, refused: Callable[..., str]) -> None:
    """It would be the working folder."""
    words = ["" if word == "~" else word for word in arguments.split()]
    assert "fanoutfs: an argument is empty; name a file, a disk or a folder" == refused(*words)


@pytest.mark.parametrize("arguments", ["copy a -", "status -"])
def test_standard_input_is_no_file(arguments: str, refused: Callable[..., str]) -> None:
    """A file called "-" would be made."""
    assert refused(*arguments.split()).endswith("for a file of that name: ./-")


def test_a_mistyped_option_is_recognised(refused: Callable[..., str]) -> None:
    """The message suggests the right option."""
    line = refused("copy", "--verfy", "a", "b")
    assert "--verify" in line
    assert line.endswith("See: fanoutfs copy --help")


@pytest.mark.parametrize("name", ["mount", "copy"])
def test_times_have_units(name: str) -> None:
    """No unit means seconds; s, m and h are allowed, as for `simulate`."""
    command = commands.commands[name]
    for option in ("patience", "turn", "source_timeout"):
        flag = f"--{option.replace('_', '-')}"
        found = [command.make_context(name, [flag, text, "a", "b"]).params[option] for text in TIMES]
        assert list(TIMES.values()) == found


def test_a_command_that_starts_no_producer_begins_soon() -> None:
    """It does without what only a producer or TLS needs: that takes longer to import than all the rest."""
    script = (
        "import sys, fanoutfs.cli, fanoutfs.copying.copy_command, fanoutfs.engine.query; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert set() == {"trio", "pyfuse3", "ssl", "httpx"} & set(done.stdout.split())
