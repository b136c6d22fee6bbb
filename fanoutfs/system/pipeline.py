"""Programs in a row, each with the output of the one before as its input, run by a supervisor.

The last one writes to a pipe whose other end the server reads. The end of that pipe does not tell whether the
programs have succeeded: the server asks the supervisor for that.
"""

import os
import signal
from collections.abc import Sequence

import attrs

from fanoutfs.errors import UnusableError
from fanoutfs.system.child import Child
from fanoutfs.system.pipe import MessagePipe

END_SECONDS = 10.0
"""How long a program may take to end after it has closed its output."""

REPLY_SECONDS = END_SECONDS + 5
"""How long the server waits for the reply; the supervisor may be busy with the end of a program."""

WATCH_SECONDS = 60.0


@attrs.define(eq=False)
class PipelineSupervisor:
    """The work of a supervisor of programs, for ``Supervisor.fork``."""

    commands: Sequence[Sequence[str]]
    first: int | None
    """The descriptor that the first program reads; None: it reads nothing."""
    last: int
    """The descriptor that the last program writes to."""

    def __call__(self, pipe: MessagePipe) -> None:
        """Run the programs until the pipe is closed, then end them.

        Messages: the reply to any message has ``trouble``, why the output is not complete, or an empty one.
        """
        children: list[Child] = []
        trouble = ""
        try:
            try:
                self._start(children)
            except UnusableError as error:
                trouble = str(error)
            finally:
                # The reader must see the end when the last program has ended.
                os.close(self.last)
            while True:
                self._watch(children, pipe)
                if not pipe.receive():
                    return
                pipe.send(trouble=trouble or failure(children))
        finally:
            for child in reversed(children):
                child.end(0)

    def _start(self, children: list[Child]) -> None:
        following = self.first
        for number, argv in enumerate(self.commands):
            is_last = number == len(self.commands) - 1
            readable, writable = (None, self.last) if is_last else os.pipe()
            try:
                children.append(Child.start(argv, stdin=following, stdout=writable))
            finally:
                if not is_last:
                    os.close(writable)
                if number and following is not None:
                    os.close(following)
            following = readable

    def _watch(self, children: Sequence[Child], pipe: MessagePipe) -> None:
        """Read what the programs write to stderr until a message comes, or all have ended."""
        while running := [child for child in children if child.ended is None]:
            others = [fd for child in running[1:] for fd in child.descriptors()]
            ready = running[0].wait(pipe.fileno(), *others, seconds=WATCH_SECONDS)
            for child in running[1:]:
                child.wait(seconds=0)
            if pipe.fileno() in ready:
                return


def failure(children: Sequence[Child]) -> str:
    """Wait until programs have ended; return why one has failed, or an empty text.

    A program whose output nobody reads any more ends by SIGPIPE: then the one after it has failed.
    """
    codes = [(child, ended_within(child, END_SECONDS)) for child in children]
    failed = [(child, code) for child, code in codes if code != 0]
    if not failed:
        return ""
    child, code = next(((child, code) for child, code in failed if code != -signal.SIGPIPE), failed[-1])
    name = os.path.basename(str(child.argv[0]))  # noqa: PTH119 (text)
    if code is None:
        return f"{name} does not end"
    if code == 0:
        return ""
    lines = [line.removeprefix(f"{name}: ").removeprefix("(stdin): ").strip() for line in child.last_lines]
    how = f"it was ended by signal {-code}" if code < 0 else f"it has ended with code {code}"
    return f"{name}: {lines[-1] if lines else how}"


def ended_within(child: Child, seconds: float) -> int | None:
    """Return the exit code of a program, once it has ended; None: it has not within this time."""
    child.wait_for_end(seconds)
    return child.ended
