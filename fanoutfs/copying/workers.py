"""The workers of one ``copy``: a process for each target, forked by the command, heard until all have ended.

A worker does not outlive its command (PR_SET_PDEATHSIG), so that ``--resume`` can have the target. A signal
from the terminal reaches all of the group; workers leave it to the command to end them.
"""

import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import attrs

from fanoutfs.checking.claimed import Claimed
from fanoutfs.copying.connector import ProducerConnector
from fanoutfs.copying.worker import Worker
from fanoutfs.errors import FanoutError
from fanoutfs.shm.borrower import Image
from fanoutfs.system.fork import close_all_but, die_with_parent
from fanoutfs.system.pipe import MessagePipe, message_pipes
from fanoutfs.targets.target import Target

log = logging.getLogger(__name__)


TOGETHER_SECONDS = 2.0
"""So long a target waits for the others to join, that all of them begin at the same block. One that lags,
its disk being slow or its file preallocated, begins where the head is by then."""


LOOK_SECONDS = 0.01


@attrs.frozen
class CopyJob:
    """What all workers of a command are told."""

    image: Image
    way: ProducerConnector
    preferred_start: int
    """The block where the head was when the command came."""
    verify: bool
    resume: bool
    sparse: bool


@attrs.define(eq=False)
class WorkerHandle:
    """One worker, as its command sees it."""

    path: str
    """Of its target."""
    pid: int
    line: MessagePipe
    joined: bool = attrs.field(default=False, init=False)
    begun: bool = attrs.field(default=False, init=False)
    """It was told that all have joined."""

    def end(self) -> None:
        """Tell it to end now; its target is unfinished."""
        with contextlib.suppress(ProcessLookupError):
            # Not SIGTERM: that waits with one that is stopped.
            os.kill(self.pid, signal.SIGKILL)

    def ends_before(self, until: float) -> bool:
        """Wait for its end, at most to a time of the monotonic clock, and reap it; False: it goes on."""
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def last_words(self) -> Iterator[dict[str, Any]]:
        """Return what it said that nobody has heard yet; does not wait for more."""
        while message := self.line.receive(0):
            yield message

    def wait(self) -> str | None:
        """Reap it, ended or about to; gives an error that it did not live to tell."""
        self.line.close()
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            return f"its process was killed ({name})"
        if os.WEXITSTATUS(status):
            return f"its process ended with code {os.WEXITSTATUS(status)}"
        return None


def fork(orders: CopyJob, claimed: list[Claimed]) -> list[WorkerHandle]:
    """Start a worker for each target; the targets are the workers' from now on.

    SIGINT has to be blocked: it would unwind the command's stack in a worker that is only just forked.
    """
    hands: list[WorkerHandle] = []
    command = os.getpid()
    for one in claimed:
        worker_line, line = message_pipes()
        pid = os.fork()
        if pid == 0:
            _be_worker(orders, one, worker_line, command)
        worker_line.close()
        hands.append(WorkerHandle(one.candidate.path, pid, line))
    for one in claimed:
        one.close()
    return hands


def hear(hands: list[WorkerHandle], seconds: float) -> Iterator[tuple[WorkerHandle, dict[str, Any]]]:
    """Give what the workers say within so many seconds; the last word of each has "ended" in it.

    An error that it ended with is in that word, also when it was killed and could not say so.

    Raise KeyboardInterrupt while waiting, before anything is taken from a line. Blocked at all other times,
    SIGINT can't come between the last word of a worker and the one who enters it.
    """
    ready = _wait(hands, seconds)
    for hand in hands:
        if hand.line.fileno() in ready:
            message = hand.line.receive()
            hand.joined = True
            yield hand, message or {"ended": True, "error": hand.wait()}
    if all(hand.joined for hand in hands):
        for hand in hands:
            # Once: what is unread when a worker ends would take its last words along.
            if not hand.begun:
                hand.begun = True
                hand.line.send(all_joined=True)


def _wait(hands: list[WorkerHandle], seconds: float) -> list[int]:
    """Return the descriptors of the message pipes that have a message; SIGINT is unblocked here alone."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return select.select([hand.line.fileno() for hand in hands], [], [], seconds)[0]
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _be_worker(orders: CopyJob, claimed: Claimed, line: MessagePipe, command: int) -> NoReturn:
    """Copy to one target; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        close_all_but(line.fileno(), claimed.fd)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with_parent(command, signal.SIGKILL)
        candidate, image = claimed.candidate, orders.image
        target = Target(
            path=candidate.path,
            fd=claimed.fd,
            size=image.size,
            block=image.block,
            is_disk=candidate.kind == "disk",
            direct=claimed.direct,
            sparse=orders.sparse,
            fresh=candidate.kind == "file" and candidate.size == 0,
        )
        worker = Worker(
            target=target,
            image=image,
            connect=orders.way.connect,
            report=line.send,
            others=lambda: line.receive(TOGETHER_SECONDS),
            preferred_start=orders.preferred_start,
            resume=orders.resume,
            verify=orders.verify,
        )
        sha256 = worker.run()
        line.send(phase="done", done=image.size, written=target.written, sha256=sha256)
        code = 0
    except FanoutError as error:
        line.send(phase="failed", error=str(error))
        code = 0
    except BaseException as error:
        line.send(phase="failed", error=f"the copy to {claimed.candidate.path} broke: {error!r}")
        raise
    finally:
        os._exit(code)
