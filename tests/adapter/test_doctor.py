"""What `doctor` and `--version` find on this machine, and what they find where something does not answer."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from fanoutfs import cli
from fanoutfs.cli import commands
from fanoutfs.doctor import machine_facts
from fanoutfs.doctor.features import FILTERS, MODULES, PLUGINS, PROGRAMS
from fanoutfs.system import versions
from fanoutfs.system.unloadable import unloadable


def printed(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(commands, arguments, standalone_mode=False)
    return done.return_value or 0, done.output


@pytest.mark.mount
@pytest.mark.tool("nbdkit", "nbdfuse", "qemu-nbd", "xz", "zstd", "partclone.restore", "sfdisk")
def test_this_machine() -> None:
    """Where the other tests mount and copy, both work; the document has what the table has."""
    code, text = printed("doctor", "--json")
    document = json.loads(text)
    _, table = printed("doctor")

    assert (0, True) == (code, document["works"])
    states = {one["feature"]: one["state"] for one in document["features"]}
    assert (
        "works" == states["mount"] == states["copy"] == states["ssh:// sources"] == states["mount --export"]
    )
    assert all(f"\n{name} " in f"\n{table}" for name in states)


def test_nothing_is_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All programs are lacking, and what nbdkit loads."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine_facts, "SBIN", ())

    lacking = machine_facts.look().lacking
    assert {*PROGRAMS, *PLUGINS, *FILTERS} == lacking - MODULES


def test_a_folder_of_path_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs count as lacking, with the reason; it takes no longer than its limit."""
    monkeypatch.setattr(machine_facts, "LOOK_UP_SECONDS", 0.05)
    monkeypatch.setattr(machine_facts, "_not_in", lambda _path: time.sleep(600))

    facts = machine_facts.look()
    assert set(PROGRAMS) <= facts.lacking
    assert "a folder of PATH has not answered for 0.05 seconds" == facts.silent


def test_nbdkit_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its plugins count as lacking."""
    nbdkit = tmp_path / "nbdkit"
    nbdkit.write_text("#!/bin/sh\nexec sleep 600\n")
    nbdkit.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(machine_facts, "PLUGIN_SECONDS", 0.05)

    lacking = machine_facts.look().lacking
    assert {*PLUGINS, *FILTERS} <= lacking
    assert "nbdkit" not in lacking


def test_the_version() -> None:
    """It has those of fanoutfs and of what it works with."""
    _, text = printed("--version")
    first, second = text.splitlines()

    assert f"fanoutfs, version {version('fanoutfs')}" == first
    assert second.startswith(f"pyfuse3 {version('pyfuse3')}, libfuse 3.")
    assert second.endswith(f"Python {platform.python_version()}, Linux {platform.release()}")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda _name: None, versions.UNKNOWN),
        (lambda _name: find_spec("json"), versions.MISSING),
        (lambda _name: find_spec("_ctypes"), versions.UNKNOWN),
    ],
    ids=["no pyfuse3", "it can't be loaded", "it has a different libfuse"],
)
def test_libfuse_has_no_version(
    found: Callable[[str], object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said in place of it."""
    monkeypatch.setattr(versions, "find_spec", found)
    assert expected == versions.libfuse_version()


def test_a_package_has_no_version() -> None:
    """It is not installed, or its version is not recorded."""
    assert versions.MISSING == versions.package_version("nothing")
    assert versions.UNKNOWN == versions.package_version("json")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ImportError("libfuse3.so.3: cannot open shared object file"), "apt install fuse3 (Fedora: "),
        (
            ModuleNotFoundError("No module named 'trio'", name="trio"),
            "the Python package trio is not installed",
        ),
        (ModuleNotFoundError("No module named 'fanoutfs.x'", name="fanoutfs.x"), ""),
        (ImportError("cannot import name 'x' from 'y'"), ""),
    ],
)
def test_a_module_that_cannot_be_loaded(error: ImportError, expected: str) -> None:
    """What is not installed is named with what installs it; the rest is a bug, with its traceback."""
    why = unloadable(error)
    assert expected in why
    assert bool(expected) == bool(why)


def test_a_command_whose_library_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and exit code 1."""
    monkeypatch.setattr(sys, "argv", ["fanoutfs", "umount", str(tmp_path)])
    monkeypatch.setitem(sys.modules, "fanoutfs.mounting.stop", None)
    monkeypatch.setattr(cli, "unloadable", lambda _error: "libfuse is not installed")
    with pytest.raises(SystemExit) as ended:
        cli.run()
    assert 1 == ended.value.code
    assert "fanoutfs: libfuse is not installed\n" == capsys.readouterr().err
