"""`fanoutfs simulate` in the process of a test, and its traces."""

from pathlib import Path

from click.testing import CliRunner, Result

from fanoutfs.cli import commands


def run(options: str, *more: str) -> Result:
    words = ["simulate", *options.split(), *more]
    return CliRunner().invoke(commands, words, catch_exceptions=False, standalone_mode=False)


def trace_file(folder: Path, text: str) -> Path:
    trace = folder / "trace.yaml"
    trace.write_text(text)
    return trace
