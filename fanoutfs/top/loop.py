"""The picture of a ring, drawn again and again: on a terminal in its place, else one below the other."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import attrs
from rich.console import Console
from rich.live import Live

from fanoutfs.errors import FanoutError, NoAnswerError
from fanoutfs.status.rates import Rates, Speeds
from fanoutfs.status.text import printable
from fanoutfs.top.screen import Screen
from fanoutfs.top.terminal import Event, Keyboard, suspend, terminal
from fanoutfs.units import format_seconds, format_size

Document = dict[str, Any]
Clock = Callable[[], float]

ANSWER_SECONDS = 0.2
"""A producer that takes longer to answer does not keep the picture from being drawn."""

SILENT_SECONDS = 2.0
"""It is said when it has not answered for so long."""


@attrs.define(eq=False)
class Look:
    """One reading of the status document, in a thread: a producer that hangs must not make us deaf.

    The kernel lets a signal end a read of a FUSE file only while nobody serves it.
    """

    read: Callable[[], Document]
    since: float
    """When it was begun, in seconds."""
    _found: Document | None = attrs.field(default=None, init=False)
    _error: BaseException | None = attrs.field(default=None, init=False)
    _thread: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="look", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self.read()
        except BaseException as error:  # noqa: BLE001 (raised again by ``wait``)
            self._error = error

    def wait(self, seconds: float | None) -> Document | None:
        """Give the document; None: it has not come yet. Raises what reading it raised."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return self._found


@attrs.define(eq=False)
class TopLoop:
    """What is known of a producer, from look to look."""

    read: Callable[[], Document]
    clock: Clock
    document: Document = attrs.field(init=False)
    speeds: Speeds = attrs.field(init=False)
    _began: float = attrs.field(init=False)
    _rates: Rates = attrs.field(factory=Rates, init=False)
    _look: Look | None = attrs.field(default=None, init=False)
    _away: NoAnswerError | None = attrs.field(default=None, init=False)
    """Why another computer did not answer the last time."""
    _away_since: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._began = self.clock()
        self.look(None)
        if self._away is not None:
            raise self._away

    def look(self, seconds: float | None) -> bool:
        """Look; says whether the answer came in so many seconds. If not, the next look waits on for it.

        Raises what reading it raised, but where another computer is away: that may come back.
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
        """Give the page of the last answer."""
        note = ""
        if self._away is not None:
            note = f"away for {format_seconds(round(self.clock() - self._away_since))}: {self._away}"
        elif self._look is not None and (silent := self.clock() - self._look.since) >= SILENT_SECONDS:
            note = f"no answer for {format_seconds(round(silent))}; this is what was known before"
        return Screen(self.document, self.speeds, fills=fills, note=note, keys="q quits" if fills else "")

    def ended(self, error: FanoutError) -> str:
        """Say in a line that there is nothing to watch any more."""
        source, passed = self.document["source"], format_seconds(round(self.clock() - self._began))
        read, size = source["bytes_read"], source["size"]
        return (
            f"{printable(source['path'])} is served no longer, after {passed} of watching "
            f"and {read / size:.2f} times its size ({format_size(read)}) read: {error}"
        )


def watch(
    read: Callable[[], Document],
    console: Console,
    *,
    interval: float,
    count: int | None = None,
    clock: Clock = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    keys: Callable[[], AbstractContextManager[Keyboard]] = terminal,
) -> None:
    """Draw what ``read`` gives every ``interval`` seconds, until Ctrl-C, "q", or there is nothing more.

    With ``count``, or where there is no terminal to draw on (then once), that many pictures come one below
    the other, each an interval after a look, so that rates are known. Raises what the first reading raises;
    when a later one fails with FanoutError, that is the end and said in a line.
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
    except KeyboardInterrupt:
        # The way to end it.
        return


def _draw(
    watched: TopLoop, console: Console, interval: float, keys: Callable[[], AbstractContextManager[Keyboard]]
) -> bool:
    """Draw in place; says whether it is to be gone on with after a suspension."""
    with keys() as typed, Live(
        console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:  # fmt: skip
        while True:
            live.update(watched.page(fills=True), refresh=True)
            event = typed.wait(interval)
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
