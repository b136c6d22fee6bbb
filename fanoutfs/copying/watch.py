"""Following the workers of a command: what they say, and what the producer says of them, as progress."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.copying import workers
from fanoutfs.copying.progress import Progress
from fanoutfs.copying.workers import WorkerHandle
from fanoutfs.errors import FanoutError

HEAR_SECONDS = 0.2

END_SECONDS = 5.0
"""Workers that were killed are waited for so long: not for ever for one whose disk does not answer."""

ASK_SECONDS = 1.0
"""So often the producer is asked what the copies wait for, while somebody sees it."""


class Drawn(Protocol):
    """What is seen of the copies meanwhile."""

    def refresh(self, now: float) -> None:
        """Draw it anew."""


@attrs.define(eq=False)
class Watch:
    """The workers of one command, until all have ended."""

    producer: ControlConnection
    progress: dict[WorkerHandle, Progress]
    resume: bool
    _ids: dict[WorkerHandle, int] = attrs.field(factory=dict, init=False)
    """What number each has at the producer."""
    _asked: float = attrs.field(default=0.0, init=False)

    def run(self, *, drawn: bool) -> None:
        """Follow the workers to the end, drawing their progress on a terminal; when interrupted, end them.

        The caller has blocked SIGINT, and it is blocked afterwards: it is let in while this waits for the
        workers, so that what they have said by then counts. Raise KeyboardInterrupt.
        """
        live = list(self.progress)
        try:
            with self._display(drawn=drawn) as display:
                while live:
                    for hand, message in workers.hear(live, HEAR_SECONDS):
                        if message.pop("ended", False):
                            live.remove(hand)
                        self._heard(hand, message)
                    if display is not None:
                        self._ask_what_they_wait_for()
                        display.refresh(time.monotonic())
        except KeyboardInterrupt:
            # Once more: Python may have raised this just before it was blocked again.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            self._end(live)
            raise

    def _end(self, live: Sequence[WorkerHandle]) -> None:
        """End the workers, and hear what they said before: a target that is done stays done."""
        for hand in live:
            hand.end()
        until = time.monotonic() + END_SECONDS
        for hand in live:
            has_ended = hand.ends_before(until)
            for message in hand.last_words():
                self._heard(hand, message)
            if not has_ended and self.progress[hand].phase != "done":
                self.progress[hand].fail("its process does not end, the target hangs", time.monotonic())

    @contextlib.contextmanager
    def _display(self, *, drawn: bool) -> Iterator[Drawn | None]:
        if not drawn or not sys.stderr.isatty():
            yield None
            return
        # rich takes a tenth of a second to import, for what only a terminal shows.
        from rich.console import Console  # noqa: PLC0415

        from fanoutfs.copying.bars import Display  # noqa: PLC0415

        with Display(list(self.progress.values()), Console(stderr=True)) as display:
            yield display

    def _heard(self, hand: WorkerHandle, message: dict[str, Any]) -> None:
        """Enter what a worker has said."""
        progress, now = self.progress[hand], time.monotonic()
        if progress.phase == "failed":
            return
        if message.get("error"):
            progress.fail(message["error"], now)
        elif "phase" in message:
            progress.enter(message["phase"], now)
            if "done" in message:
                progress.advance(message["done"], now)
            if "start" in message:
                progress.start = message["start"]
                self._ids[hand] = message["id"]
            if self.resume and "written" in message:
                progress.written = message["written"]
            progress.sha256 = message.get("sha256")

    def _ask_what_they_wait_for(self) -> None:
        now = time.monotonic()
        if now - self._asked < ASK_SECONDS:
            return
        self._asked = now
        # Where it has ended the workers find another one, and say it if they can't.
        readers: dict[int, dict[str, Any]] = {}
        with contextlib.suppress(FanoutError):
            status = self.producer.request("status", ASK_SECONDS)["status"]
            readers = {reader["id"]: reader for reader in status["readers"]}
        for hand, number in self._ids.items():
            self.progress[hand].waits = waits(readers.get(number), readers)


def waits(reader: dict[str, Any] | None, readers: dict[int, dict[str, Any]]) -> str | None:
    """Say what a reader of the status document waits for; None when it is for nothing, or not known."""
    if reader is None or reader["waiting"] is None:
        return None
    if reader["waiting"] == "source":
        return "waits for the source"
    other = readers.get(reader["waiting"], {})
    name = other.get("target") or other.get("command") or "gone"
    return f"waits for reader {reader['waiting']} ({name})"


def all_good(copies: Sequence[Progress]) -> bool:
    """Say whether every target is a copy."""
    return all(copy.phase == "done" for copy in copies)
