"""Commands that a test starts, with their logs; all must have ended at its end."""

from pathlib import Path

import attrs

from tests.rig.commands import TIMEOUT, Done, Process, end, finish


@attrs.define(eq=False)
class Started:
    """The commands and logs of one test."""

    folder: Path
    """For this test only."""
    _logs: list[Path] = attrs.field(factory=list, init=False)
    _processes: list[Process] = attrs.field(factory=list, init=False)

    def next_log(self) -> Path:
        """Return the path of a further log; only a producer or a mount writes it."""
        self._logs.append(self.folder / f"copy{len(self._logs)}.log")
        return self._logs[-1]

    def log_text(self) -> str:
        """Return the text of all logs."""
        return "".join(f"--- {log}\n{log.read_text()[-8000:]}" for log in self._logs if log.exists())

    def keep(self, process: Process) -> Process:
        """Require that a process has ended at the end of the test."""
        self._processes.append(process)
        return process

    def running(self) -> list[object]:
        """Return the argv of each command that has not ended."""
        return [process.args for process in self._processes if process.poll() is None]

    def finish(self, process: Process, *, code: int | None = 0, timeout: float = TIMEOUT) -> Done:
        """Wait for the end of a command; check its exit code, and that it prints no traceback."""
        done = finish(process, code=code, timeout=timeout)
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        return done

    def abandon(self) -> None:
        """Kill the commands of a test that failed."""
        for process in self._processes:
            end(process)
