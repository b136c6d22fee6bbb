"""The log never holds up what logs: a thread writes it, and what it does not take is lost and counted."""

import logging
import os
import socket
import syslog
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanoutfs.engine import logs
from fanoutfs.engine.logs import ThreadedLog, configure
from fanoutfs.errors import NoAnswerError, UnusableError
from tests.limits import HANG_SECONDS
from tests.rig.hanging import let_hang


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put the log where it is nobody else's, and give the root logger back what it had."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(logs, "runtime_folder", lambda: tmp_path)
    monkeypatch.setattr(logs, "SYSLOG", tmp_path / "syslog")
    yield tmp_path
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("trio.serve_listeners").filters.clear()


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.WARNING, "", 0, text, None, None)


def test_whoever_takes_the_log_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines beyond the queue are lost, the end does not wait for them, and their number is written later."""
    monkeypatch.setattr(logs, "END_SECONDS", 0.01)
    lines: list[str] = []
    begun, goes_on = threading.Event(), threading.Event()

    def write(_level: int, line: str) -> None:
        begun.set()
        assert goes_on.wait(HANG_SECONDS)
        lines.append(line)

    handler = ThreadedLog(write, most=2)
    handler.emit(record("line 0"))
    assert begun.wait(HANG_SECONDS)
    for number in range(1, 6):
        handler.emit(record(f"line {number}"))
    handler.flush()
    at_the_end = list(lines)
    monkeypatch.setattr(logs, "END_SECONDS", HANG_SECONDS)
    goes_on.set()
    handler.flush()

    assert at_the_end == []
    assert lines == [
        "line 0",
        "lines of this log that were lost, because nothing took them: 3",
        "line 1",
        "line 2",
    ]


def test_a_full_disk_under_the_log() -> None:
    """What can't be written is lost, and the log goes on."""
    lines: list[str] = []
    full = True

    def write(_level: int, line: str) -> None:
        if full:
            raise OSError
        lines.append(line)

    handler = ThreadedLog(write)
    handler.emit(record("lost"))
    handler.flush()
    full = False
    handler.emit(record("kept"))
    handler.flush()

    assert lines == ["kept", "lines of this log that were lost, because nothing took them: 1"]


def test_a_log_file(runtime: Path) -> None:
    """It has all lines when the process ends, and names as the file system has them."""
    path = runtime / "log"
    assert configure(path, foreground=False) is None
    logging.getLogger("test").info("the source %s", os.fsdecode(b"/x\xff"))
    logging.getLogger().handlers[0].flush()

    assert path.read_bytes().endswith(b" INFO test: the source /x\xff\n")


def test_a_name_that_looks_like_lines(runtime: Path) -> None:
    """A line break, or an escape sequence, in a name does not reach whoever reads the log."""
    path = runtime / "log"
    configure(path, foreground=False)
    try:
        raise OSError("a\nb\x1b[2J")  # noqa: TRY301 (the example)
    except OSError:
        logging.getLogger("test").exception("the source %s", "/x\n2026 ERROR root: no\x1b[2J\udc9b")
    logging.getLogger().handlers[0].flush()

    text = path.read_text()
    assert "test: the source /x\\n2026 ERROR root: no\\x1b[2J\\udc9b\nTraceback" in text
    assert "\x1b" not in text


def test_a_log_file_that_can_not_be_written(runtime: Path) -> None:
    """The command says so, in one line."""
    with pytest.raises(UnusableError, match=r"the log .* can't be written: no such file"):
        configure(runtime / "missing" / "log", foreground=False)


@pytest.mark.parametrize("left", [False, True])
def test_no_syslog(runtime: Path, *, left: bool) -> None:
    """Warnings go to a file in the runtime folder, also where a syslog that has ended left its socket."""
    if left:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ended:
            ended.bind(str(runtime / "syslog"))
    path = configure(None, foreground=False)
    logging.getLogger("test").info("not worth a file")
    logging.getLogger().handlers[0].flush()
    before = list(runtime.glob("log-*"))
    logging.getLogger("test").warning("worth it")
    logging.getLogger().handlers[0].flush()

    assert path == str(runtime / f"log-{os.getpid()}")
    assert before == []
    assert Path(path).read_text().endswith("WARNING test: worth it\n")


def test_syslog(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line goes there with its severity; what is no text is spelled out."""
    said: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, line: said.append((level, line)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(runtime / "syslog"))
        assert configure(None, foreground=False) is None
    logging.getLogger("test").error("the source %s", os.fsdecode(b"/x\xff"))
    logging.getLogger().handlers[0].flush()

    assert said == [(syslog.LOG_ERR, "ERROR: the source /x\\udcff")]


@pytest.mark.parametrize("is_journal", [True, False])
def test_the_journal(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *, is_journal: bool
) -> None:
    """In the foreground each line gets its priority where stderr is the journal's; elsewhere its level."""
    status = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + (not is_journal)}")
    configure(None, foreground=True)
    try:
        raise OSError("gone")  # noqa: TRY301 (the example)
    except OSError:
        logging.getLogger("test").exception("a line")
    logging.getLogger("test").info("a line")
    logging.getLogger().handlers[0].flush()

    lines = capfd.readouterr().err.splitlines()
    if is_journal:
        assert (lines[0], lines[1], lines[-1]) == (
            "<3>a line",
            "<3>Traceback (most recent call last):",
            "<6>a line",
        )
    else:
        assert (lines[0], lines[-1]) == ("fanoutfs: ERROR: a line", "fanoutfs: INFO: a line")


def test_a_pipe_that_nobody_reads(runtime: Path) -> None:
    """It is refused at once: opening it would wait for a reader."""
    os.mkfifo(runtime / "pipe")
    with pytest.raises(UnusableError, match=r"the log .*/pipe can't be written: no such device or address"):
        configure(runtime / "pipe", foreground=False)


def test_a_log_on_a_file_system_that_hangs(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused with the file system's name."""
    let_hang(runtime, monkeypatch)
    with pytest.raises(NoAnswerError, match=rf"{runtime}/log does not answer: the file system on {runtime} "):
        configure(runtime / "log", foreground=False)
