"""Options that make no sense, or that the machine does not allow: nothing is mounted."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, Refused
from tests.ports import free_port
from tests.rig import mountinfo
from tests.rig.commands import fanoutfs
from tests.rig.copies import BLOCK, SLOWLY, Copies
from tests.rig.images import MIB, assert_same
from tests.rig.nbd import key_file
from tests.rig.refusals import assert_wrong_usage
from tests.rig.web import token_file

SIZE = 8 * MIB


def test_an_option_that_makes_no_sense(source: Path, point: Path) -> None:
    """It is wrong usage, and nothing is mounted; test_command_line.py has a table of them."""
    done = fanoutfs("mount", "--ring", "1M", "--block", "1M", source, point, code=None)
    assert mountinfo.at(point) == []
    assert_wrong_usage(done, "--ring")


def test_a_log_that_cant_be_written(small: Path, refused: Refused) -> None:
    """A log file that cannot be written is named, in one line, and nothing is mounted."""
    message = refused("--log", "/nonexistent/log", small)
    assert "/nonexistent/log" in message
    assert 1 == message.count("\n")


# Where the monitor service listens, and where the image is exported


def address(option: str, host: str = "127.0.0.1") -> tuple[str, str]:
    return option, f"{host}:{free_port()}"


both = pytest.mark.parametrize(
    "option", ["--listen", pytest.param("--export", marks=pytest.mark.tool("nbdkit"))]
)


@both
def test_an_address_in_use(
    option: str, mount: MountFactory, source: Path, small: Path, refused: Refused
) -> None:
    """One line, and nothing is mounted."""
    taken = address(option)
    mount(source, *taken)
    message = refused(*taken, small)
    assert "address already in use" in message
    assert 1 == message.count("\n")


@pytest.mark.parametrize(
    ("option", "host", "needs"),
    [
        ("--listen", "0.0.0.0", "--token-file"),
        ("--export", "0.0.0.0", "--tls-psk"),
        ("--export", "[::]", "--tls-psk"),
        ("--export", "somewhere.example", "--tls-psk"),
    ],
)
def test_an_address_that_others_reach(
    option: str, host: str, needs: str, small: Path, refused: Refused
) -> None:
    """Wrong usage unless clients have to authenticate, and nothing is mounted."""
    assert needs in refused(*address(option, host), small, code=2)


@pytest.mark.tool("nbdkit")
@pytest.mark.parametrize(("option", "secret"), [("--listen", "--token-file"), ("--export", "--tls-psk")])
def test_a_secret_that_others_can_read(
    option: str, secret: str, small: Path, refused: Refused, tmp_path: Path
) -> None:
    """The message says how to protect it."""
    path = key_file(tmp_path / "keys") if secret == "--tls-psk" else token_file(tmp_path, "t" * 20)
    path.chmod(0o644)
    assert f"chmod 600 {path}" in refused(*address(option), secret, path, small)


@both
def test_a_producer_that_runs_already_can_not_begin_to_serve(
    option: str, copies: Copies, source: Path, work: Path, refused: Refused
) -> None:
    """A mount that a copy's producer would serve is refused with such an option, and the copy goes on."""
    copying = copies.start(source, work / "copy", *SLOWLY)
    held = copies.hold(source, work / "copy", BLOCK)
    message = refused(*address(option), source)
    os.kill(held, signal.SIGCONT)
    copies.finish(copying)

    assert f"without {option}" in message
    assert_same(source, work / "copy")
