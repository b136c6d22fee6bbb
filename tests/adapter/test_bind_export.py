"""An export before its mount, and its supervisor with a program that only plays nbdkit."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.nbd import bind_export as bind_module
from fanoutfs.nbd import export_supervisor
from fanoutfs.nbd.bind_export import BoundExport, bind_export
from fanoutfs.settings import ExportSettings
from fanoutfs.system import proc
from fanoutfs.system.credentials import first_user
from fanoutfs.system.pipe import MessagePipe
from tests.adapter.conftest import Certificate
from tests.adapter.producers import wait_for
from tests.adapter.service import secret_file
from tests.limits import HANG_SECONDS
from tests.ports import free_port
from tests.rig.hanging import LIMIT

KEY = "fanoutfs:" + "0f" * 32

TRIED = 'case "$*" in *--run*) exit 0;; esac\n'

Play = Callable[[str], None]
Open = Callable[..., BoundExport]


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the folder into which the certificate's links go."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr("fanoutfs.nbd.bind_export.runtime_folder", lambda: folder)
    return folder


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Put a shell script where nbdkit would be found."""

    def write(script: str) -> None:
        program = tmp_path / "nbdkit"
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return write


@pytest.fixture
def make(runtime: Path) -> Iterator[Open]:
    """Open exports on the loopback; at the end their supervisors have ended, and have left nothing."""
    with ExitStack() as stack:

        def begin(**settings: Any) -> BoundExport:
            address: dict[str, Any] = {"host": "127.0.0.1", "port": free_port(), **settings}
            opened = bind_export(ExportSettings(**address))
            stack.callback(see_end, opened)
            return opened

        yield begin
    assert [] == list(runtime.iterdir())


def see_end(opened: BoundExport) -> None:
    opened.close()
    descriptor = os.pidfd_open(opened.supervisor.pid)
    ended = select.select([descriptor], [], [], HANG_SECONDS)[0]
    os.close(descriptor)
    assert ended, "the supervisor has not ended"
    os.waitpid(opened.supervisor.pid, 0)
    with socket.create_server(("127.0.0.1", opened.settings.port)):
        # The address is free again.
        pass


def begun(opened: BoundExport) -> MessagePipe:
    """Start the supervisor; return its pipe."""
    opened.supervisor.pipe.send(begin="/mnt/image", description="fanoutfs disk-8:16", data=None)
    return opened.supervisor.pipe


# Keys


@pytest.mark.parametrize("text", [KEY, KEY + "\n", f"# ours\n\n{KEY}\nanna:{'A0' * 16}\n"])
def test_lines_of_user_and_key_are_keys(tmp_path: Path, text: str) -> None:
    """As psktool writes them, or openssl; with remarks."""
    first_user(secret_file(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (KEY, 0o640, "chmod 600"),
        (KEY, 0o604, "chmod 600"),
        ("", 0o600, "USER:KEY"),
        ("# nothing\n", 0o600, "USER:KEY"),
        ("0f" * 32, 0o600, "USER:KEY"),
        ("fanoutfs:secret words", 0o600, "USER:KEY"),
        ("fanoutfs:0f0", 0o600, "USER:KEY"),
        ("fanoutfs:" + "0f" * 15, 0o600, "16 bytes"),
        (f"{KEY}\nnonsense", 0o600, "USER:KEY"),
    ],
)
def test_a_bad_key_file_is_refused(tmp_path: Path, text: str, mode: int, said: str) -> None:
    """One that others can read, or that nbdkit would not understand; the key is not repeated."""
    with pytest.raises(UnusableError, match=said) as refused:
        first_user(secret_file(tmp_path, text, mode))
    assert "0f0f" not in str(refused.value)


# Before the mount


def test_an_address_in_use_is_refused(make: Open, play: Play) -> None:
    """By the command; nothing of ours is left."""
    play(TRIED)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UnusableError, match=f"--export 127.0.0.1:{port} .*address already in use"):
            make(port=port)


def test_it_needs_nbdkit(make: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnusableError, match=r"--export needs nbdkit.*apt install nbdkit"):
        make()


def test_what_nbdkit_will_not_do_is_said_before_the_mount(
    make: Open, play: Play, certificate: Certificate
) -> None:
    """In its own words."""
    play("echo nbdkit: error: cannot open filter >&2; echo Use --help >&2; exit 1")
    with pytest.raises(UnusableError, match=r"nbdkit can't export: nbdkit: error: cannot open filter$"):
        make(**certificate)


def test_nbdkit_is_stopped_while_it_is_tried(make: Open, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed after the limit, and the line says how to see what it does."""
    monkeypatch.setattr(bind_module, "TRIAL_SECONDS", LIMIT)
    play("kill -STOP $$")
    with pytest.raises(UnusableError, match=rf"^nbdkit does not start within {LIMIT} s: nbdkit --version$"):
        make()


@pytest.mark.parametrize("given", ["token_file", "tls_psk"])
def test_what_others_can_read_is_refused(make: Open, play: Play, tmp_path: Path, given: str) -> None:
    """A token, too, though NBD asks for none: it is the same file as for the service."""
    play(TRIED)
    with pytest.raises(UnusableError, match="chmod 600"):
        make(**{given: secret_file(tmp_path, KEY, 0o644)})


def test_a_certificate_without_its_key_is_refused(make: Open, play: Play, certificate: Certificate) -> None:
    """As for the service."""
    play(TRIED)
    with pytest.raises(UnusableError, match="--tls-key"):
        make(tls_cert=certificate["tls_cert"], tls_key=certificate["tls_cert"])


def test_a_certificate_is_laid_out_as_nbdkit_wants_it(
    make: Open, play: Play, certificate: Certificate, runtime: Path
) -> None:
    """In a folder that only this user can enter, by links, for as long as the export lasts."""
    play(TRIED)
    make(**certificate)
    (folder,) = runtime.iterdir()

    assert 0o700 == folder.stat().st_mode & 0o777
    assert {
        "ca-cert.pem": certificate["tls_cert"],
        "server-cert.pem": certificate["tls_cert"],
        "server-key.pem": certificate["tls_key"],
    } == {file.name: file.readlink() for file in folder.iterdir()}


@pytest.mark.tool("nbdkit")
def test_nbdkit_takes_what_we_say(make: Open, certificate: Certificate, tmp_path: Path) -> None:
    """Plain, with a certificate, with keys: the real one has nothing to say against it."""
    make()
    make(**certificate)
    make(tls_psk=secret_file(tmp_path, KEY))


def test_a_client_that_went_without_a_word_is_noticed(make: Open, play: Play) -> None:
    """After a minute of silence the kernel probes an accepted client; a live client may stay silent."""
    play(TRIED)
    opened = make()
    with socket.create_connection(("127.0.0.1", opened.settings.port)):
        # Nobody accepts it here; the kernel has made its socket all the same.
        port = f":{opened.settings.port:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established = [line for line in lines if line[1].endswith(port) and line[3] == "01"]
    (timer,) = [line[5] for line in established]
    assert timer.startswith("02:"), "the timer is that of keepalive"


# The supervisor


def test_the_socket_is_handed_over_as_systemd_does(make: Open, play: Play, tmp_path: Path) -> None:
    """As descriptor 3, listening, and the process's number says for whom it is."""
    play(
        TRIED + f'echo "$LISTEN_FDS $LISTEN_PID $$ $(readlink /proc/$$/fd/3)" > {tmp_path}/made\n'
        f"mv {tmp_path}/made {tmp_path}/seen; exec sleep 60"
    )
    begun(make())
    wait_for((tmp_path / "seen").exists)
    count, told, own, what = (tmp_path / "seen").read_text().split()

    assert ("1", own) == (count, told)
    assert what.startswith("socket:")


def test_its_end_is_told_and_it_begins_again(make: Open, play: Play) -> None:
    """With what it said last, after a second, then after two."""
    play(TRIED + "echo something is broken >&2; exit 3")
    line = begun(make())
    told = [line.receive(HANG_SECONDS) for _ in range(2)]

    assert [("exit code 3: something is broken", 1), ("exit code 3: something is broken", 2)] == [
        (each["ended"], each["again"]) for each in told
    ]


def test_an_end_requested_while_it_waits_takes_effect_at_once(make: Open, play: Play) -> None:
    """It would begin again in a second, and does not."""
    play(TRIED + "exit 3")
    line = begun(make())
    assert 1 == line.receive(HANG_SECONDS)["again"]
    line.send(end=True)
    # Had it begun again it would have said so, for it fails each time.
    assert {} == line.receive(HANG_SECONDS)


@pytest.mark.parametrize(
    ("does", "state"), [("trap '' TERM; exec sleep 60", "S"), ("kill -STOP $$; exec sleep 60", "T")]
)
def test_one_that_does_not_end_is_killed(
    make: Open, play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, state: str
) -> None:
    """One that ignores SIGTERM, and one that is stopped."""
    monkeypatch.setattr(export_supervisor, "END_SECONDS", LIMIT)
    play(TRIED + f"echo $$ > {tmp_path}/made; mv {tmp_path}/made {tmp_path}/pid; {does}")
    line = begun(make())
    wait_for((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: proc.read(pid, "comm") == "sleep\n" or state == "T" == proc.state(pid))
    line.send(end=True)
    assert {} == line.receive(HANG_SECONDS)
    assert not Path(f"/proc/{pid}").exists()
