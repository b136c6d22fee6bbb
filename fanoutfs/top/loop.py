"""Draws the picture of a ring repeatedly: in place on a terminal, otherwise one below the other."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import attrs
from rich.console import Console
from rich.live import Live

from fanoutfs.errors import FanoutError, NoAnswerError, NotRunningError
from fanoutfs.status.document import StatusDocument
from fanoutfs.status.rates import Rates, Speeds
from fanoutfs.status.text import printable
from fanoutfs.status.wording import source_text
from fanoutfs.system.fork import starting
from fanoutfs.system.interrupts import Interrupted
from fanoutfs.system.streams import is_heard
from fanoutfs.top.screen import Screen
from fanoutfs.top.terminal import Event, Wait, suspend, terminal
from fanoutfs.units import format_seconds

Clock = Callable[[], float]

ANSWER_SECONDS = 0.2
"""How long drawing waits for an answer."""

SILENT_SECONDS = 2.0
"""After this time without an answer the page shows a message."""


@attrs.define(eq=False)
class Look:
    """One request for the status document, in a thread, so that keys work while the producer hangs.

    Once a FUSE daemon has received a read request, a signal does not interrupt it.
    """

    read: Callable[[], StatusDocument]
    since: float
    """When it started, in seconds."""
    _found: StatusDocument | None = attrs.field(default=None, init=False)
    _error: BaseException | None = attrs.field(default=None, init=False)
    _thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="look", daemon=True)
        with starting():
            self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self.read()
        except BaseException as error:  # noqa: BLE001 (raised again by ``wait``)
            self._error = error

    def wait(self, seconds: float | None) -> StatusDocument | None:
        """Wait for the document and return it; None: it has not arrived. Raises what the request raised."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return self._found


@attrs.define(eq=False)
class TopLoop:
    """The last status of a producer, and its rates."""

    read: Callable[[], StatusDocument]
    clock: Clock
    document: StatusDocument = attrs.field(init=False)
    speeds: Speeds = attrs.field(init=False)
    _began: float = attrs.field(init=False)
    _rates: Rates = attrs.field(factory=Rates, init=False)
    _look: Look | None = attrs.field(default=None, init=False)
    _away: NoAnswerError | None = attrs.field(default=None, init=False)
    """Why a producer on another computer did not answer the last request."""
    _away_since: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._began = self.clock()
        self.look(None)
        if self._away is not None:
            raise self._away

    def look(self, seconds: float | None) -> bool:
        """Request the status; return whether the answer arrived within ``seconds``.

        If not, the next call continues to wait for it. Raises what the request raised, except NoAnswerError:
        a computer that is unreachable may come back.
        """
        self._look = self._look or Look(self.read, self.clock())
        try:
            found = self._look.wait(seconds)
        except NoAnswerError as error:
            if self._away is None:
                self._away_since = self._look.since
            self._away, self._look = error, None
            return False
        if found is None:
            return False
        self.document, self._look, self._away = found, None, None
        self.speeds = self._rates.update(found, self.clock())
        return True

    def page(self, *, fills: bool) -> Screen:
        """Return the page for the last answer."""
        note = ""
        if self._away is not None:
            note = f"no connection for {format_seconds(round(self.clock() - self._away_since))}: {self._away}"
        elif self._look is not None and (silent := self.clock() - self._look.since) >= SILENT_SECONDS:
            note = f"no answer for {format_seconds(round(silent))}; this is the last known state"
        return Screen(self.document, self.speeds, fills=fills, note=note, keys="q quits" if fills else "")

    def ended(self, error: FanoutError) -> str:
        """Return the line that is printed when the mount or the copy has ended."""
        source, passed = self.document.source, format_seconds(round(self.clock() - self._began))
        point = self.document.mountpoint
        what = f"the copy of {source.path}" if point is None else f"the mount of {source.path} on {point}"
        why = "" if isinstance(error, NotRunningError) else f": {error}"
        return printable(f"{what} has ended after {passed} of watching; read {source_text(source)}{why}")


def watch(
    read: Callable[[], StatusDocument],
    console: Console,
    *,
    interval: float,
    count: int | None = None,
    clock: Clock = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    keys: Callable[[], AbstractContextManager[Wait]] = terminal,
) -> None:
    """Draw the document that ``read`` returns every ``interval`` seconds, until Ctrl-C, "q" or its end.

    With ``count``, or without a terminal (then once), print that many pictures one below the other, each an
    interval after the previous request, so that rates are known. Raises what the first request raises; if a
    later one fails with FanoutError, print the end in a line and return.
    """
    try:
        watched = TopLoop(read, clock)
        try:
            if count is None and console.is_terminal and not console.is_dumb_terminal:
                while _draw(watched, console, interval, keys):
                    suspend()
            else:
                _print(watched, console, interval, count or 1, pause)
        except FanoutError as error:
            console.print(watched.ended(error), markup=False, highlight=False, soft_wrap=True)
    except Interrupted:
        raise
    except KeyboardInterrupt:
        # Ctrl-C is how the user ends it.
        return


def _draw(
    watched: TopLoop, console: Console, interval: float, keys: Callable[[], AbstractContextManager[Wait]]
) -> bool:
    """Draw in place; return whether to continue after a suspension."""
    with keys() as wait, Live(
        console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:  # fmt: skip
        while True:
            live.update(watched.page(fills=True), refresh=True)
            if not is_heard():
                return False
            event = wait(interval)
            if event in (Event.QUIT, Event.SUSPEND):
                return event is Event.SUSPEND
            if event is Event.TIME:
                watched.look(ANSWER_SECONDS)


def _print(
    watched: TopLoop, console: Console, interval: float, count: int, pause: Callable[[float], None]
) -> None:
    for number in range(count):
        pause(interval)
        watched.look(None)
        if number:
            console.print()
        console.print(watched.page(fills=False))
        if not is_heard():
            return
