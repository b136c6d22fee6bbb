"""What `top` draws on a terminal and into a file, and how it ends."""

import io
import os
import pty
import re
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from rich.cells import cell_len
from rich.console import Console

from fanoutfs.errors import NoAnswerError, UnusableError
from fanoutfs.status.document import ReaderEntry, StatusDocument
from fanoutfs.status.rates import Speeds
from fanoutfs.top import loop
from fanoutfs.top.loop import watch
from fanoutfs.top.screen import Screen, ScreenLayout
from fanoutfs.top.terminal import Event, Terminal, Wait, suspend, terminal
from fanoutfs.units import MIB
from tests.documents import SIZE, document, reader
from tests.limits import HANG_SECONDS
from tests.rig.drawing import console, drawn

ON, OFF, SHOWN = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
"""The alternate screen on and off, the cursor shown."""


@pytest.fixture(autouse=True)
def _answers_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for each answer: the thread that asks may begin late on a busy machine."""
    monkeypatch.setattr(loop, "ANSWER_SECONDS", HANG_SECONDS)


def lines(page: Screen, *, width: int = 80, height: int = 24) -> list[str]:
    on = console(width=width, height=height, is_terminal=False)
    on.print(page)
    return drawn(on).splitlines()


def many(count: int) -> list[ReaderEntry]:
    return [reader(number, position=number * MIB, waiting=7 if number > 9 else None)
            for number in range(1, count + 1)]  # fmt: skip


def answers(*said: StatusDocument | Exception) -> Callable[[], StatusDocument]:
    """Return a function that answers these in turn, and the last one again and again."""
    left = list(said)

    def read() -> StatusDocument:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return read


class Time:
    """A clock that goes on when it is told to, and by a step whenever it is asked."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


class Typed:
    """A keyboard whose waits return these events in turn."""

    def __init__(self, *events: Event | BaseException, clock: Time | None = None) -> None:
        self.events = list(events)
        self.clock = clock or Time()
        self.waited: list[float] = []

    def wait(self, seconds: float) -> Event:
        self.waited.append(seconds)
        self.clock.passes(seconds)
        event = self.events.pop(0)
        if isinstance(event, BaseException):
            raise event
        return event

    def __call__(self) -> AbstractContextManager[Wait]:
        @contextmanager
        def taken() -> Iterator[Wait]:
            yield self.wait

        return taken()


def test_a_page_says_what_a_producer_does() -> None:
    """Source, ring, readers and which waits for which; the picture; a row and a lane for each reader."""
    first = reader(1, position=SIZE // 4)
    second = reader(2, waiting=1)
    third = reader(3, kind="copy", command="fanoutfs", target="/dev/sdd", start=300 * MIB,
                   left=SIZE - 200 * MIB)  # fmt: skip
    said = document(first, second, third, source={"errors": 2})
    page = Screen(said, Speeds(20.0 * MIB, {1: 5.0 * MIB, 2: 5.0 * MIB, 3: 10.0 * MIB}))
    expected = """\
source   /dev/sdb, 1000 MiB; read 500 MiB, 0.50 times the image, 20 MiB/s
ring     100 of 100 blocks of 1 MiB filled, 10.0% of the image; 2 bad places
readers  3, 20 MiB/s together; the last is ready in about 2 min 30 s
         2 reading, 1 waiting for reader 1 (dd, pid 4701)

                                        ▼ head 50.0%
░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
                    ▲                   ▲
                    1                   2-3
0                250 MiB             500 MiB             750 MiB        1000 MiB
█ in the ring  ▒ partly  ▼ head  ├ began  ═ received  ► now  ─ to go

id reader       at    behind        rate ready in state
 1 dd        25.0%   250 MiB     5 MiB/s  0:02:30 reads; 1 waits for it
├═══════════════════►───────────────────│───────────────────────────────────────
 2 dd        50.0%       0 B     5 MiB/s  0:01:40 waits for 1 (dd, pid 4701)
├═══════════════════════════════════════►───────────────────────────────────────
 3 /dev/sdd  50.0%       0 B    10 MiB/s  0:01:20 reads
────────────────────────├═══════════════►───────────────────────────────────────
"""
    assert expected.splitlines() == lines(page)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 20, 200])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (132, 30), (40, 12), (20, 8)])
def test_a_page_fits_its_terminal(count: int, width: int, height: int) -> None:
    """No line is longer; none is left over unless the terminal is lower than what is always there."""
    page = Screen(document(*many(count)), Speeds(), fills=True, keys="q quits")
    found = lines(page, width=width, height=height)

    assert max(map(cell_len, found)) <= width
    assert len(found) <= max(height, 10)


def test_few_readers_have_lanes_and_many_have_rows() -> None:
    """Rows go before lanes, lanes before the scale, empty lines come last."""
    assert ScreenLayout(rows=14, lanes=True, scale=True, gaps=2) == ScreenLayout.of(4, 24)
    assert ScreenLayout(rows=14, lanes=True, scale=False, gaps=0) == ScreenLayout.of(7, 24)
    assert ScreenLayout(rows=14, lanes=False, scale=True, gaps=2) == ScreenLayout.of(8, 24)
    assert ScreenLayout(rows=14, lanes=False, scale=False, gaps=0) == ScreenLayout.of(200, 24)
    assert ScreenLayout(rows=50, lanes=True, scale=True, gaps=2) == ScreenLayout.of(20, 60)
    assert ScreenLayout(rows=200, lanes=False, scale=True, gaps=2) == ScreenLayout.of(200, None)


def test_readers_that_do_not_fit_are_summarised() -> None:
    """How many, where, and what they do; a reader that holds others up has a row."""
    page = Screen(document(*many(200)), Speeds(), fills=True)
    found = lines(page)

    assert 24 == len(found)
    assert any(line.startswith(" 7 dd") and line.endswith("191 wait for it") for line in found)
    assert "and 187 more, at 1.4% to 20.0%: 187 waiting for reader 7 (dd, pid 4707)" == found[-1]


def test_a_wide_terminal_has_lanes_beside_the_words() -> None:
    """When there are too many readers for lanes of their own."""
    found = lines(Screen(document(*many(30)), Speeds(), fills=True), width=160, height=45)

    assert any(line.startswith(" 1 dd") and line.endswith("─") and "►" in line for line in found)


def test_without_utf_8_a_page_is_ascii() -> None:
    """A terminal that can't show the signs gets others."""
    shown = io.BytesIO()
    file = io.TextIOWrapper(shown, encoding="ascii")
    Console(file=file, width=80, height=24, force_terminal=False).print(Screen(document(reader(1)), Speeds()))
    file.flush()

    assert b"\n" + b"." * 32 + b"#" * 8 + b"." * 40 + b"\n" in shown.getvalue()


def test_colours_are_used_unless_they_are_not_wanted() -> None:
    """NO_COLOR leaves bold and dim."""
    outputs = []
    for environment in ({"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}):
        on = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard",
                     _environ=environment)  # fmt: skip
        on.print(Screen(document(reader(1)), Speeds()))
        outputs.append(drawn(on))

    assert "\x1b[32m" in outputs[0]
    assert "\x1b[32m" not in outputs[1]


def test_a_name_can_do_nothing_to_the_terminal() -> None:
    """Escape sequences in a process's name or the source's path are shown as question marks."""
    said = document(reader(1, command="\x1b[2Jdd"), source={"path": "/srv/\x1b]0;hi\x07.img"})

    assert not any("\x1b" in line or "\x07" in line for line in lines(Screen(said, Speeds())))


def test_a_file_gets_one_picture_with_the_rates_of_an_interval() -> None:
    """Plain text, all readers, and no sign for a terminal."""
    on, time = console(is_terminal=False), Time()
    read = answers(document(source={"bytes_read": 0}), document(source={"bytes_read": 10 * MIB}))
    watch(read, on, interval=2.0, clock=time, pause=time.passes, keys=Typed())

    assert 2.0 == time.now
    assert "read 10 MiB, 0.01 times the image, 5 MiB/s" in drawn(on)
    assert 1 == drawn(on).count("source ")
    assert "\x1b" not in drawn(on)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_count_prints_so_many_pictures_one_below_the_other(is_terminal: bool) -> None:
    """On a terminal too: they stay there."""
    on = console(is_terminal=is_terminal)
    pauses: list[float] = []
    watch(answers(document()), on, interval=1.0, count=3, pause=pauses.append, keys=Typed())

    assert 3 == drawn(on).count("/dev/sdb")
    assert [1.0] * 3 == pauses
    assert ON not in drawn(on)


def test_a_dumb_terminal_gets_one_picture() -> None:
    """It can't be drawn over."""
    on = console(is_terminal=True, term="dumb")
    watch(answers(document()), on, interval=1.0, pause=lambda _: None, keys=Typed())

    assert 1 == drawn(on).count("/dev/sdb")


@pytest.mark.parametrize("end", [Event.QUIT, KeyboardInterrupt()])
def test_q_and_ctrl_c_end_it_and_leave_the_terminal_as_it_was(end: Event | BaseException) -> None:
    """The page goes, the cursor comes back."""
    on, typed = console(is_terminal=True), Typed(Event.TIME, Event.TIME, end)
    watch(answers(document()), on, interval=0.5, keys=typed)

    assert [0.5] * 3 == typed.waited
    assert drawn(on).startswith(ON)
    assert 3 == drawn(on).count("/dev/sdb")
    assert drawn(on).rindex(SHOWN) > drawn(on).rindex("/dev/sdb")
    assert drawn(on).endswith(OFF)


def test_a_new_size_is_drawn_at_once_from_what_is_known() -> None:
    """Without another look."""
    on = console(is_terminal=True)
    read = answers(document(), UnusableError("not to be asked again"))
    watch(read, on, interval=0.5, keys=Typed(Event.RESIZED, Event.QUIT))

    assert 2 == drawn(on).count("/dev/sdb")
    assert "asked again" not in drawn(on)


def test_ctrl_z_gives_the_terminal_back_until_it_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the page is drawn anew."""
    on = console(is_terminal=True)
    when: list[str] = []
    monkeypatch.setattr(loop, "suspend", lambda: when.append(drawn(on)))
    watch(answers(document()), on, interval=0.5, keys=Typed(Event.SUSPEND, Event.QUIT))

    assert 1 == len(when)
    assert when[0].endswith(OFF)
    assert 2 == drawn(on).count(ON)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_end_of_the_mount_is_said_in_a_line(is_terminal: bool) -> None:
    """With what had been read until then; it is no failure."""
    on = console(is_terminal=is_terminal)
    shown, ended = document(mountpoint="/mnt/fanout"), UnusableError("/mnt/fanout has nothing mounted on it")
    watch(answers(shown, shown, ended), on, interval=0.5, count=None if is_terminal else 9,
          pause=lambda _: None, keys=Typed(*[Event.TIME] * 9))  # fmt: skip
    told = drawn(on).splitlines()[-1].rpartition(OFF)[2]

    assert told.startswith("the mount of /dev/sdb on /mnt/fanout has ended after 0 s of watching; ")
    assert told.endswith("read 500 MiB, 0.50 times the image: /mnt/fanout has nothing mounted on it")


def test_a_producer_that_does_not_answer_is_said_to_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known before stays in sight, and keys are heard."""
    asked: list[float | None] = []
    first = iter([document()])
    monkeypatch.setattr(loop, "ANSWER_SECONDS", 0.25)

    class Silent:
        def __init__(self, _read: Callable[[], StatusDocument], since: float) -> None:
            self.since = since

        def wait(self, seconds: float | None) -> StatusDocument | None:
            asked.append(seconds)
            return next(first, None)

    monkeypatch.setattr(loop, "Look", Silent)
    on, typed = console(is_terminal=True), Typed(Event.TIME, Event.TIME, Event.QUIT)
    watch(answers(document()), on, interval=0.5, clock=Time(step=1.5), keys=typed)

    assert [None, 0.25, 0.25] == asked
    assert "no answer for 3 s; this is the last known state" in drawn(on)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_another_computer_that_is_away_may_come_back(is_terminal: bool) -> None:
    """What was known before is shown meanwhile, and why it does not answer, and for how long."""
    away = NoAnswerError("nobody listens at http://node1:8400")
    on, time = console(is_terminal=is_terminal, width=120), Time()
    typed = Typed(*[Event.TIME] * 4, Event.QUIT, clock=time)
    read = answers(document(), document(), away, away, document(head=0))
    count = None if is_terminal else 5
    watch(read, on, interval=2.0, count=count, clock=time, pause=time.passes, keys=typed)
    notes = re.findall("no connection for [^:]*: nobody listens at http://node1:8400", drawn(on))

    assert ["no connection for 0 s", "no connection for 2 s"] == [note.partition(":")[0] for note in notes]
    assert drawn(on).index("▼ head 0.0%") > drawn(on).index("no connection for 2 s")


@pytest.mark.parametrize(
    "error",
    [
        UnusableError("/tmp has no fanoutfs"),
        NoAnswerError("away"),  # at the beginning: it may be the wrong address
        KeyError("pid"),  # a bug is not swallowed in the thread that reads
    ],
    ids=repr,
)
def test_what_the_first_look_raises_is_raised(error: Exception) -> None:
    """There is nothing to show."""
    time = Time()
    with pytest.raises(type(error), match=str(error)):
        watch(answers(error), console(is_terminal=False), interval=0.5, clock=time, pause=time.passes)


def test_no_further_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said in a line that names the limits."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(UnusableError, match=r"no further process or thread .* ulimit -u"):
        watch(answers(document()), console(), interval=1)


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    woken, typed = os.pipe(), os.pipe()
    yield (*woken, *typed)
    for end in (*woken, *typed):
        os.close(end)


def test_keys_and_signals_end_a_wait(pipes: tuple[int, int, int, int]) -> None:
    """However long it would be."""
    woken, wake, typed, keys = pipes
    ours = Terminal(woken, typed)

    os.write(keys, b"Q")
    assert Event.QUIT is ours.wait(1000.0)
    os.write(wake, bytes([signal.SIGWINCH]))
    assert Event.RESIZED is ours.wait(1000.0)
    os.write(wake, bytes([signal.SIGWINCH, signal.SIGTSTP]))
    assert Event.SUSPEND is ours.wait(1000.0)
    os.write(keys, b"x")
    assert Event.TIME is ours.wait(1000.0)
    assert Event.TIME is ours.wait(0.0)


def test_a_terminal_that_hung_up_is_listened_to_no_more() -> None:
    """Else every wait would end at once."""
    (woken, wake), (typed, keys) = os.pipe(), os.pipe()
    os.close(keys)
    ours = Terminal(woken, typed)
    assert Event.TIME is ours.wait(1000.0)
    os.write(wake, bytes([signal.SIGWINCH]))

    assert Event.RESIZED is ours.wait(1000.0)
    for end in (woken, wake, typed):
        os.close(end)


def test_the_terminals_settings_and_the_signals_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is ours keys come at once and unseen; Ctrl-C still is a signal."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        before = termios.tcgetattr(theirs)
        handlers = [signal.getsignal(number) for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGTERM)]
        with terminal() as taken:
            local = termios.tcgetattr(theirs)[3]
            assert 0 == local & (termios.ICANON | termios.ECHO)
            assert termios.ISIG == local & termios.ISIG
            signal.raise_signal(signal.SIGWINCH)
            assert Event.RESIZED is taken(1000.0)
            os.write(ours, b"q")
            assert Event.QUIT is taken(1000.0)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        after = [signal.getsignal(number) for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGTERM)]
        assert before == termios.tcgetattr(theirs)
        assert handlers == after
    os.close(ours)


def test_suspending_is_ctrl_zs_own_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the shell sees what it knows."""
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    suspend()

    assert [signal.SIGTSTP] == raised
