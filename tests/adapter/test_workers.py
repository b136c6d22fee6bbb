"""The workers of a command as real processes: what they have said counts, whenever it is interrupted."""

import contextlib
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from fanoutfs.control.client import ControlConnection
from fanoutfs.copying import silent_target, workers
from fanoutfs.copying import watch as watch_module
from fanoutfs.copying.progress import Phase, Progress
from fanoutfs.copying.watch import Watch
from fanoutfs.copying.workers import WorkerHandle
from fanoutfs.system.pipe import MessagePipe, message_pipes
from tests.rig.hanging import undying

if TYPE_CHECKING:
    from fanoutfs.copying.bars import Display

SIZE = 1000

CLOSES: dict[str, Any] = {}
"""Stands for the end of the pipe."""

WorkerFactory = Callable[..., WorkerHandle]


@pytest.fixture
def interrupted() -> Iterator[None]:
    """Block SIGINT as the command does, and leave one pending; the tests' parent may ignore it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.raise_signal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is still pending goes
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)


@pytest.fixture
def worker() -> Iterator[WorkerFactory]:
    """Start processes that say something and stop; those that are left are killed."""
    made: list[WorkerHandle] = []

    def start(path: str, *messages: dict[str, Any]) -> WorkerHandle:
        server, line = message_pipes()
        pid = os.fork()
        if pid == 0:
            _say(server, messages)
        server.close()
        os.waitpid(pid, os.WUNTRACED)
        made.append(WorkerHandle(path, pid, line))
        return made[-1]

    yield start
    for hand in made:
        hand.pipe.close()
        # One that was reaped is not signalled: its number may be another's by now.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(hand.pid, os.WNOHANG)
            os.kill(hand.pid, signal.SIGKILL)
            os.waitpid(hand.pid, 0)


def _say(line: MessagePipe, messages: tuple[dict[str, Any], ...]) -> NoReturn:
    try:
        for message in messages:
            if message is CLOSES:
                line.close()
            else:
                line.send(**message)
        os.kill(os.getpid(), signal.SIGSTOP)
    finally:
        os._exit(0)


def watch(hands: list[WorkerHandle]) -> Watch:
    copies = {hand: Progress(target=hand.path, size=SIZE, began=0.0) for hand in hands}
    return Watch(ControlConnection.__new__(ControlConnection), copies)


@pytest.mark.usefixtures("interrupted")
def test_who_was_done_before_an_interrupt_is_done(worker: WorkerFactory) -> None:
    """Also when nobody has heard it yet; others stand where they said that they were, and all are ended."""
    hands = [
        worker("good", {"phase": "copying", "done": 500}, {"phase": "done", "done": SIZE}),
        worker("slow", {"phase": "copying", "done": 300}),
        worker("full", {"phase": "failed", "error": "no space left on device"}),
        worker("new"),
    ]
    watching = watch(hands)
    with pytest.raises(KeyboardInterrupt):
        watching.run(drawn=False)

    said = [(progress.phase.value, progress.done) for progress in watching.progress.values()]
    assert [("done", SIZE), ("copying", 300), ("failed", 0), ("joining", 0)] == said
    for hand in hands:
        with pytest.raises(ChildProcessError):
            os.waitpid(hand.pid, os.WNOHANG)


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_comes_only_between_two_hearings(worker: WorkerFactory) -> None:
    """It stays blocked outside, so that the message pipes of the targets are written in one piece."""
    watching = watch([worker("target")])
    with pytest.raises(KeyboardInterrupt):
        watching.run(drawn=False)

    assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_only_what_is_there_is_heard() -> None:
    """A line that is asked without waiting says nothing when nothing was said."""
    server, other = message_pipes()
    assert {} == other.receive(0)
    server.send(word=1)
    assert {"word": 1} == other.receive(0)
    server.close()
    other.close()


@pytest.mark.parametrize("kill", [contextlib.nullcontext, undying], ids=["it ends", "it stays"])
def test_a_target_takes_nothing(
    kill: Callable[[], contextlib.AbstractContextManager[None]],
    worker: WorkerFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is mentioned, then its copy is given up and its process killed; the others are not affected."""
    monkeypatch.setattr(silent_target, "TELL_SECONDS", 0.1)
    monkeypatch.setattr(silent_target, "GIVE_UP_SECONDS", 0.5)
    monkeypatch.setattr(watch_module, "is_stopped", lambda _pid: False)
    hands = [
        worker("hangs", {"phase": "copying", "done": 300}),
        worker("good", {"phase": "done", "done": SIZE}, {"ended": True}),
    ]
    watching = watch(hands)
    with kill():
        watching.run(drawn=False)

    hanging, good = watching.progress.values()
    assert (hanging.phase, hanging.done, hanging.reason) == (Phase.FAILED, 300, silent_target.GIVEN_UP)
    assert good.phase is Phase.DONE
    assert capsys.readouterr().err == f"fanoutfs: hangs {silent_target.TELL}\n"
    with pytest.raises(ChildProcessError):
        os.waitpid(hands[0].pid, os.WNOHANG)


@pytest.mark.usefixtures("interrupted")
def test_a_killed_worker_stays(worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an interrupt the command ends all the same, and says so; a target that was finished stays so."""
    monkeypatch.setattr(watch_module, "END_SECONDS", 0.05)
    watching = watch(
        [
            worker("hangs", {"phase": "copying", "done": 300}),
            worker("good", {"phase": "done", "done": SIZE}),
        ]
    )
    with undying(), pytest.raises(KeyboardInterrupt):
        watching.run(drawn=False)

    found = [(progress.phase, progress.reason) for progress in watching.progress.values()]
    assert [(Phase.FAILED, workers.HANGS), (Phase.DONE, "")] == found


def test_a_worker_stays_after_its_last_report(worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing its target never ends: that is said of one that has not finished."""
    monkeypatch.setattr(workers, "END_SECONDS", 0.05)
    watching = watch(
        [
            worker("hangs", {"phase": "copying", "done": 300}, CLOSES),
            worker("good", {"phase": "done", "done": SIZE}, CLOSES),
        ]
    )
    watching.run(drawn=False)

    found = [(progress.phase, progress.reason) for progress in watching.progress.values()]
    assert [(Phase.FAILED, workers.HANGS), (Phase.DONE, "")] == found


def test_the_producer_is_stopped_while_the_display_asks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rate is not shown; the copy is not affected."""
    monkeypatch.setattr(watch_module, "ASK_SECONDS", 0.05)
    near, far = socket.socketpair()
    shown = SimpleNamespace(source_rate=1.0)
    watching = Watch(ControlConnection(near), {})
    with near, far:
        watching._ask_producer(cast("Display", shown))
    assert shown.source_rate is None


@pytest.mark.parametrize("how", ["the worker is stopped", "the command was stopped", "neither"])
def test_ctrl_z(how: str, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence in which the worker or the command was stopped is none: the copy goes on afterwards."""
    monkeypatch.setattr(silent_target, "GIVE_UP_SECONDS", 0.0)
    monkeypatch.setattr(watch_module, "PAUSED_SECONDS", 0.0 if how == "the command was stopped" else math.inf)
    monkeypatch.setattr(watch_module, "is_stopped", lambda _pid: how == "the worker is stopped")
    hand = worker("target", {"phase": "copying", "done": 300})
    watching = watch([hand])
    for report in hand.unread_reports():
        watching._record(hand, report)
    live = [hand]
    watching._look_after(live, None)

    assert live == ([] if how == "neither" else [hand])


@pytest.mark.parametrize("taken", [True, False], ids=["read", "not read"])
def test_sigusr1(
    taken: bool, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each target on stderr, also without bars; one that nobody takes is not waited for."""
    monkeypatch.setattr(watch_module, "is_writable", lambda _descriptor: taken)
    hands = [
        worker("slow", {"phase": "copying", "done": 300}, {"ended": True, "error": "it broke"}),
        worker("good", {"phase": "done", "done": SIZE}, {"ended": True}),
    ]
    watching = watch(hands)
    look_after = Watch._look_after

    def ask(self: Watch, *others: Any) -> None:
        signal.raise_signal(signal.SIGUSR1)
        monkeypatch.setattr(Watch, "_look_after", look_after)
        look_after(self, *others)

    monkeypatch.setattr(Watch, "_look_after", ask)
    before = signal.getsignal(signal.SIGUSR1)
    watching.run(drawn=False)

    told = [" ".join(line.split()[:3]) for line in capsys.readouterr().err.splitlines()]
    assert (["fanoutfs: slow: copying,", "fanoutfs: good: 1000"] if taken else []) == told
    assert before == signal.getsignal(signal.SIGUSR1)
    assert [Phase.FAILED, Phase.DONE] == [progress.phase for progress in watching.progress.values()]
