"""Following the workers of a command: their reports, and the producer's status, become progress."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.copying.progress import Phase, Progress
from fanoutfs.copying.progress_line import ProgressLog, progress_line
from fanoutfs.copying.silent_target import GIVEN_UP, TELL, Silence, Verdict
from fanoutfs.copying.workers import END_SECONDS, HANGS, WorkerHandle, receive
from fanoutfs.engine.query import parse_status
from fanoutfs.errors import FanoutError
from fanoutfs.shm.copy_zeros import CopyZeros
from fanoutfs.status.rates import Rates
from fanoutfs.status.text import printable
from fanoutfs.status.wording import by_id, state
from fanoutfs.system.interrupts import ENDS
from fanoutfs.system.proc import is_stopped
from fanoutfs.system.process_end import is_reaped
from fanoutfs.system.ready import is_writable

if TYPE_CHECKING:
    from fanoutfs.copying.bars import Display
    from fanoutfs.status.document import ReaderEntry

WITH_ZEROS = 3
"""The exit code when a target holds zeros in place of data."""

REFRESH_SECONDS = 0.2

DYING_SECONDS = 0.2
"""How long the command, which has others to follow, waits for one killed worker."""

PAUSED_SECONDS = 10.0
"""If more time passes between two looks at the workers, this process was stopped."""

ASK_SECONDS = 1.0
"""How often the producer is asked for its status while the display is drawn."""


@attrs.define(eq=False)
class Watch:
    """The workers of one command, until all have ended."""

    producer: ControlConnection
    progress: dict[WorkerHandle, Progress]
    awaits: bool = False
    """Whether the producer waits for all workers to join."""
    _ids: dict[WorkerHandle, int] = attrs.field(factory=dict, init=False)
    """The producer's number for each."""
    _silences: dict[WorkerHandle, Silence] = attrs.field(init=False)
    _rates: Rates = attrs.field(factory=Rates, init=False)
    _asked: float = attrs.field(default=0.0, init=False)
    _wanted: bool = attrs.field(default=False, init=False)
    """SIGUSR1 has asked for the progress."""

    _looked: float = attrs.field(init=False)
    """When the workers were last looked after."""

    def __attrs_post_init__(self) -> None:
        self._looked = now = time.monotonic()
        self._silences = {worker: Silence(now) for worker in self.progress}

    def run(self, *, drawn: bool) -> None:
        """Follow the workers to the end, showing their progress; when interrupted, kill them.

        It is drawn on a terminal; elsewhere it is a line now and then. SIGUSR1 asks for a line per target.
        The caller has blocked ``ENDS``, and they are blocked afterwards. They are unblocked only while this
        waits for the workers, so that all reports sent by then count. Raise KeyboardInterrupt.
        """
        live = list(self.progress)
        try:
            with self._display(drawn=drawn) as display, self._answering():
                journal = ProgressLog(list(self.progress.values())) if drawn and display is None else None
                while live:
                    for worker, report in receive(live, REFRESH_SECONDS):
                        if report.pop("ended", False):
                            live.remove(worker)
                        self._record(worker, report)
                    self._tell_producer()
                    self._look_after(live, display)
                    if display is not None:
                        self._ask_producer(display)
                        display.draw(time.monotonic())
                    self._show_lines(journal, display)
        except KeyboardInterrupt:
            # Again: Python may have raised this just before they were blocked.
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
            self._end(live)
            raise

    def _tell_producer(self) -> None:
        """Tell the producer of a pipe when all workers have joined, or failed: its beginning may go."""
        if not self.awaits or not all(worker.joined for worker in self.progress):
            return
        self.awaits = False
        # If it has ended, the workers report that.
        with contextlib.suppress(FanoutError):
            self.producer.send("started")

    def _look_after(self, live: list[WorkerHandle], display: "Display | None") -> None:
        """Mention the targets that take nothing, and give up those that have taken nothing for very long."""
        now = time.monotonic()
        paused, self._looked = now - self._looked > PAUSED_SECONDS, now
        for worker in list(live):
            progress = self.progress[worker]
            if paused or is_stopped(worker.pid):
                # Ctrl-Z stops the command and its workers: they have had no time.
                self._silences[worker].reported(now)
            match self._silences[worker].verdict(progress.phase, now):
                case Verdict.TELL:
                    _show(f"{printable(progress.target)} {TELL}", display)
                case Verdict.GIVE_UP:
                    worker.kill()
                    is_reaped(worker.pid, now + DYING_SECONDS)
                    live.remove(worker)
                    progress.fail(GIVEN_UP, now)
                case Verdict.NOTHING:
                    pass

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Record that SIGUSR1 has come, which would end this process by default; it interrupts no call."""

        def want(_number: int, _frame: object) -> None:
            self._wanted = True

        before = signal.signal(signal.SIGUSR1, want)
        try:
            yield
        finally:
            signal.signal(signal.SIGUSR1, before)

    def _show_lines(self, journal: ProgressLog | None, display: "Display | None") -> None:
        """Show the lines that SIGUSR1 has asked for, and that is due in a log.

        The reports of the workers are read on whether or not anybody takes these lines.
        """
        now = time.monotonic()
        lines = []
        if self._wanted:
            self._wanted = False
            for progress in self.progress.values():
                progress.tick(now)
                lines.append(progress_line(progress))
        if journal is not None and (line := journal.line(now)) is not None:
            lines.append(line)
        for line in lines:
            if is_writable(2):
                _show(line, display)

    def _end(self, live: Sequence[WorkerHandle]) -> None:
        """Kill the workers, and record the reports that they have sent: a finished target stays finished."""
        for worker in live:
            worker.kill()
        until = time.monotonic() + END_SECONDS
        for worker in live:
            has_ended = is_reaped(worker.pid, until)
            for report in worker.unread_reports():
                self._record(worker, report)
            if not has_ended and self.progress[worker].phase is not Phase.DONE:
                self.progress[worker].fail(HANGS, time.monotonic())

    @contextlib.contextmanager
    def _display(self, *, drawn: bool) -> Iterator["Display | None"]:
        if not drawn or not sys.stderr.isatty():
            yield None
            return
        # rich takes a tenth of a second to import, and only a terminal needs it.
        from rich.console import Console  # noqa: PLC0415

        from fanoutfs.copying.bars import Display  # noqa: PLC0415

        with Display(list(self.progress.values()), Console(stderr=True)) as display:
            yield display

    def _record(self, worker: WorkerHandle, report: dict[str, Any]) -> None:
        progress, now = self.progress[worker], time.monotonic()
        self._silences[worker].reported(now)
        if progress.phase in (Phase.FAILED, Phase.DONE):
            return
        if "size" in report:
            progress.learn(report["size"])
        if report.get("error"):
            progress.fail(report["error"], now)
        elif "phase" in report:
            progress.enter(Phase(report["phase"]), now)
            if "done" in report:
                progress.advance(report["done"], now)
            if "start" in report:
                progress.start = report["start"]
                self._ids[worker] = report["id"]
            if "written" in report:
                progress.written = report["written"]
            progress.sha256 = report.get("sha256")
            progress.stale = report.get("stale")
            if "zeros" in report:
                places, count, size = report["zeros"]
                progress.zeros = CopyZeros(tuple((begin, end) for begin, end in places), count, size)

    def _ask_producer(self, display: "Display") -> None:
        """Update what each copy waits for, and the source's rate."""
        now = time.monotonic()
        if now - self._asked < ASK_SECONDS:
            return
        self._asked = now
        # If the producer has ended, the workers find or start another, and report it if they can't.
        readers: dict[int, ReaderEntry] = {}
        display.source_rate = None
        with contextlib.suppress(FanoutError):
            status = parse_status(self.producer.request("status", ASK_SECONDS)["status"])
            readers = by_id(status.readers)
            display.source_rate = self._rates.update(status, now).source
        for worker, number in self._ids.items():
            self.progress[worker].waits = None
            if (reader := readers.get(number)) is not None and reader.waiting is not None:
                self.progress[worker].waits = state(reader, readers, 0, brief=False)


def _show(line: str, display: "Display | None") -> None:
    """Print a line on stderr, above what is drawn."""
    if display is None:
        print(f"fanoutfs: {line}", file=sys.stderr)
    else:
        display.console.print(f"fanoutfs: {line}", markup=False, highlight=False, soft_wrap=True)


def code_of(copies: Sequence[Progress]) -> int:
    """Return the exit code: 1 if a copy has failed, 3 if one holds zeros in place of data."""
    if not all_good(copies):
        return 1
    return WITH_ZEROS if any(copy.has_zeros for copy in copies) else 0


def all_good(copies: Sequence[Progress]) -> bool:
    """Return whether every target is a copy."""
    return all(copy.phase is Phase.DONE for copy in copies)
