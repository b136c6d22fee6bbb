"""A source that a program writes, such as the decompressor of an image: a pipe that knows how it has ended.

What came before a failure may be wrong, too: a checksum is at the end of what it is for. So the last bytes
are given to readers only when the program has succeeded, and no copy of a damaged image is ever complete.
"""

import mmap
import os
from collections.abc import Sequence
from typing import Self

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.source.contract import LostError, Source
from fanoutfs.source.formats import recognise_within
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.system.pipeline import REPLY_SECONDS, PipelineSupervisor
from fanoutfs.system.supervisor import Supervisor
from fanoutfs.units import ANY_SIZE, PAGE

BEGIN_SECONDS = 30.0
"""How long the first bytes may take: a connection to a different computer is made before."""


@attrs.define(eq=False)
class ProgramOutput(PipeSource):
    """The output of programs; owns their supervisor, and the file that they read."""

    _supervisor: Supervisor = attrs.field(kw_only=True)
    _file: Source | None = attrs.field(kw_only=True)

    @classmethod
    def start(
        cls,
        path: str,
        identity: str,
        commands: Sequence[Sequence[str]],
        *,
        size: int | None,
        file: Source | None = None,
        first: int | None = None,
    ) -> Self:
        """Start programs in a row; only from a process with one thread.

        ``first``: the descriptor that the first one reads; ``file``: the source that is kept open meanwhile.
        Neither is closed here on failure.
        """
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            kept = () if first is None else (first,)
            supervisor = Supervisor.fork(PipelineSupervisor(commands, first, writing), writing, *kept)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        return cls(
            path=path,
            identity=identity,
            fd=reading,
            size=ANY_SIZE if size is None else size,
            origin=identity,
            once=False,
            why=lambda: _ask(supervisor),
            supervisor=supervisor,
            file=file,
        )

    def require_disk(self, named: str) -> None:
        """Look at the first bytes; raise UnusableError if there are none, or they are no disk's."""
        count = self.prefetch(0, PAGE, BEGIN_SECONDS)
        if not count:
            raise UnusableError(
                f"the source {named} has given nothing for {BEGIN_SECONDS:g} seconds; try again"
            )
        page = memoryview(mmap.mmap(-1, PAGE))
        try:
            self.read_into(0, count, [page])
        except LostError as error:
            raise UnusableError(
                f"the source {named} can't be read: {self.trouble or reason(error)}"
            ) from error
        self.put_back(count)
        kind = recognise_within(bytes(page[:count]))
        if kind is not None:
            raise UnusableError(f"the source {named} holds {kind.what}, not a disk; unpack it first")

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors of the pipes, and of the file."""
        file = () if self._file is None else self._file.descriptors()
        return (*super().descriptors(), self._supervisor.fileno(), *file)

    def close(self) -> None:
        """Close it in this process; the programs end with the last process that has it open."""
        super().close()
        self._supervisor.close()
        if self._file is not None:
            self._file.close()


def _ask(supervisor: Supervisor) -> str | None:
    """Ask how the programs have ended; return None if they have succeeded."""
    supervisor.pipe.send(ended=True)
    reply = supervisor.pipe.receive(REPLY_SECONDS)
    return str(reply.get("trouble", "the process that runs the program has ended")) or None
