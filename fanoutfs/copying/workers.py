"""The workers of one ``copy``: the command forks a process for each target, and reads their reports.

A worker does not outlive its command (PR_SET_PDEATHSIG), so that ``--resume`` can have the target. A signal
from the terminal (SIGINT, SIGHUP) reaches the whole process group; workers ignore it, and the command kills
them.
No worker touches its target before all have been started.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import attrs

from fanoutfs.checking.claimed import Claimed
from fanoutfs.copying.connector import ProducerConnector
from fanoutfs.copying.copy_options import CopyOptions
from fanoutfs.copying.progress import Phase
from fanoutfs.copying.worker import Worker
from fanoutfs.errors import FanoutError, UnusableError, reason
from fanoutfs.shm.borrower import Image
from fanoutfs.system import partitions
from fanoutfs.system.confinement import confine
from fanoutfs.system.fork import close_all_but, die_with_parent
from fanoutfs.system.interrupts import ENDS, unblocked
from fanoutfs.system.pipe import MessagePipe, message_pipes
from fanoutfs.system.process_end import reap
from fanoutfs.system.ready import readable
from fanoutfs.targets.target import NotBegunError, Target

log = logging.getLogger(__name__)

END_SECONDS = 5.0
"""How long workers that end are waited for: one whose disk does not respond may never end."""

HANGS = "its process does not end, the target hangs"

TOGETHER_SECONDS = 2.0
"""How long a target waits for the others to join, so that all of them begin at the same block. One that joins
later (its disk is slow, or its file is being preallocated) begins where the head is by then."""


@attrs.frozen
class CopyJob:
    """What is the same for all workers of a command."""

    image: Image
    connector: ProducerConnector
    preferred_start: int
    """The block where the head was when the command connected."""
    options: CopyOptions
    longest_write: int
    """The most bytes of one write."""


@attrs.define(eq=False)
class WorkerHandle:
    """One worker, as its command sees it."""

    path: str
    """Of its target."""
    pid: int
    pipe: MessagePipe
    joined: bool = attrs.field(default=False, init=False)
    released: bool = attrs.field(default=False, init=False)
    """The command has sent it ``all_joined``."""

    def kill(self) -> None:
        """Kill the worker; its target stays unfinished."""
        with contextlib.suppress(ProcessLookupError):
            # Not SIGTERM, which a stopped process does not act on.
            os.kill(self.pid, signal.SIGKILL)

    def unread_reports(self) -> Iterator[dict[str, Any]]:
        """Return the reports that are still in the pipe; does not wait for more."""
        while report := self.pipe.receive(0):
            yield report

    def reap(self) -> str | None:
        """Wait for its end, END_SECONDS at most; return an error that it could not report itself."""
        self.pipe.close()
        status = reap(self.pid, time.monotonic() + END_SECONDS)
        if status is None:
            return HANGS
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            why = ", by a user or for lack of memory: see dmesg" if number == signal.SIGKILL else ""
            return f"its process was killed ({name}{why})"
        if os.WEXITSTATUS(status):
            return f"its process ended with code {os.WEXITSTATUS(status)}"
        return None


def start(job: CopyJob, targets: list[Claimed]) -> list[WorkerHandle]:
    """Fork a worker for each target; the targets belong to the workers from now on.

    The caller has blocked ``ENDS``, which would unwind the command's stack in a worker that has just forked.

    Raise UnusableError if a worker can't be started; then none has touched its target.
    """
    workers: list[WorkerHandle] = []
    try:
        for target in targets:
            workers.append(_start_worker(job, target))  # noqa: PERF401 (those before one that fails count)
    except OSError as error:
        for worker in workers:
            worker.kill()
            worker.reap()
        for target in targets:
            target.undo()
        raise UnusableError(
            f"the process for target {len(workers) + 1} of {len(targets)} can't be started: {reason(error)}; "
            "nothing was written; name fewer targets, or raise the limits (ulimit -u, ulimit -n)"
        ) from error
    for worker in workers:
        worker.pipe.send(begin=True)
    for target in targets:
        target.close()
    return workers


def _start_worker(job: CopyJob, target: Claimed) -> WorkerHandle:
    worker_pipe, pipe = message_pipes()
    command = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        worker_pipe.close()
        pipe.close()
        raise
    if pid == 0:
        _run_worker(job, target, worker_pipe, command)
    worker_pipe.close()
    return WorkerHandle(target.candidate.path, pid, pipe)


def receive(workers: list[WorkerHandle], seconds: float) -> Iterator[tuple[WorkerHandle, dict[str, Any]]]:
    """Return the reports that arrive within that many seconds; each worker's last one has "ended" in it.

    The last report also has the error that the worker ended with, even if it was killed before it could send
    that.

    Raise KeyboardInterrupt while waiting, before a report is taken from a pipe. ``ENDS`` are blocked at all
    other times, so none can arrive between a worker's last report and the caller that records it.
    """
    ready = _wait(workers, seconds)
    for worker in workers:
        if worker.pipe.fileno() in ready:
            report = worker.pipe.receive()
            worker.joined = True
            yield worker, report or {"ended": True, "error": worker.reap()}
    if all(worker.joined for worker in workers):
        for worker in workers:
            # Once: a worker that ends with something unread would lose its last reports.
            if not worker.released:
                worker.released = True
                worker.pipe.send(all_joined=True)


def _wait(workers: list[WorkerHandle], seconds: float) -> list[int]:
    """Return the descriptors of the message pipes that can be read; ``ENDS`` are unblocked here alone."""
    with unblocked():
        return readable([worker.pipe.fileno() for worker in workers], seconds)


def _confine(command: int) -> None:
    try:
        die_with_parent(command, signal.SIGKILL)
        confine()
    except UnusableError as error:
        raise NotBegunError(str(error)) from error


def _run_worker(job: CopyJob, claimed: Claimed, pipe: MessagePipe, command: int) -> NoReturn:
    """Copy to one target; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
        close_all_but(pipe.fileno(), claimed.fd)
        _confine(command)
        if not pipe.receive():
            os._exit(0)
        candidate, image = claimed.candidate, job.image
        target = Target(
            path=candidate.path,
            fd=claimed.fd,
            size=image.size,
            block=image.block,
            is_disk=candidate.kind == "disk",
            direct=claimed.direct,
            sparse=job.options.sparse,
            fresh=candidate.kind == "file" and candidate.size == 0,
            room=candidate.size if candidate.kind == "disk" else None,
            has_first=image.layout.has_first,
        )
        worker = Worker(
            target=target,
            image=image,
            connect=job.connector.connect,
            send=pipe.send,
            wait_for_others=lambda: pipe.receive(TOGETHER_SECONDS),
            preferred_start=job.preferred_start,
            resume=job.options.resume,
            verify=job.options.verify,
            longest_write=job.longest_write,
        )
        sha256 = worker.run()
        stale = partitions.read_again(claimed.fd, candidate.path) if target.is_disk else None
        zeros = attrs.astuple(worker.zeros)
        report = {
            "zeros": zeros,
            "done": worker.image.size,
            "written": target.written,
            "sha256": sha256,
            "stale": stale,
        }
        pipe.send(phase=Phase.DONE.value, **report)
        code = 0
    except NotBegunError as error:
        pipe.send(phase=Phase.FAILED.value, error=str(error))
        claimed.undo()
        code = 0
    except FanoutError as error:
        pipe.send(phase=Phase.FAILED.value, error=str(error))
        code = 0
    except BaseException as error:
        message = f"the copy to {claimed.candidate.path} broke: {error!r}"
        pipe.send(phase=Phase.FAILED.value, error=message)
        raise
    finally:
        os._exit(code)
