"""The cable of the second host is pulled for five seconds in the middle of its copies.

Three kinds: a `fanoutfs copy` from the first host's service, an nbdcopy of its export, and two `dd` of a
relay. Each copy must be right, or its command must fail and say why; the worst outcome is a command that
succeeds with a wrong copy. The table compares the times with those without a cut.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from fanoutfs.units import MIB
from tests.rig.harness import Options, Row, all_of, finish, info, measured, options
from tests.rig.measured_computers import Computers, computers, shown_mount
from tests.rig.measured_copies import Copy, ends, same, zeroed
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import source_and_targets

RATE = 32 * MIB  # bytes per second of the source
CUT = 5.0  # seconds
Kind = Callable[[Computers, list[Path]], contextlib.AbstractContextManager[list[Copy]]]


@attrs.frozen
class End:
    """The outcome of one copy."""

    code: int
    equal: bool
    output: str
    seconds: float

    @property
    def right(self) -> bool:
        """Whether the command succeeded with a right copy."""
        return self.code == 0 and self.equal

    @property
    def failed(self) -> bool:
        """Whether the command failed with a message."""
        return self.code != 0 and bool(self.output.strip())


@contextlib.contextmanager
def remote_copy(on: Computers, targets: list[Path]) -> Iterator[list[Copy]]:
    """Copy from the service."""
    yield [on.copy(on.hosts[1], on.url, targets[0])]


@contextlib.contextmanager
def nbdcopy(on: Computers, targets: list[Path]) -> Iterator[list[Copy]]:
    """Copy from the export."""
    yield [on.start(on.hosts[1], "nbdcopy", on.export, targets[0])]


@contextlib.contextmanager
def relayed(on: Computers, targets: list[Path]) -> Iterator[list[Copy]]:
    """Read the second host's mount of the export."""
    second = on.hosts[1]
    with fanout_mount(on.program(second), on.export, None) as relay:
        dd = [["dd", f"if={relay.image}", f"of={target}", "bs=1M", "status=none"] for target in targets]
        yield [on.start(second, *argv) for argv in dd]


KINDS: dict[str, Kind] = {"remote copy": remote_copy, "nbdcopy": nbdcopy, "relay, 2 dd": relayed}


def run(chosen: Options, file: Path, targets: list[Path], kind: Kind, seconds: float) -> list[End]:
    """Copy in one way, without the cable for these seconds after a third of the time."""
    for target in targets:
        zeroed(target, chosen.size)
    with (
        computers(chosen, 2) as on,
        shown_mount(on, file, chosen.ring, "--read-rate", str(RATE)),
        kind(on, targets) as copies,
    ):
        time.sleep(chosen.size / RATE / 3)
        if seconds:
            on.hosts[1].unplug()
            time.sleep(seconds)
            on.hosts[1].plug_in()
        ended = max(ends(copies))
        return [
            End(copy.wait(), same(target, file), copy.output(), ended - copy.start)
            for copy, target in zip(copies, targets, strict=False)
        ]


def rows_of(name: str, whole: Sequence[End], cut: Sequence[End]) -> list[Row]:
    """Compare the outcomes of one kind with what is required."""
    for end in (*whole, *cut):
        if not end.right:
            print(f"{name}: exit code {end.code}, {'equal' if end.equal else 'not equal'}: {end.output}")
    usual = max(end.seconds for end in whole)
    return [
        all_of(f"{name}, no cut: right", [end.right for end in whole]),
        all_of("    cut: right, or failed with a message", [end.right or end.failed for end in cut]),
        info("    cut: right", f"{sum(end.right for end in cut)} of {len(cut)}"),
        measured("    cut: time beyond", [end.seconds - usual for end in cut], " s"),
    ]


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="192M", rounds=2)
    rows: list[Row] = []
    with source_and_targets(chosen.size, 2, images=5) as (file, targets):
        for name, kind in KINDS.items():
            whole, cut = (
                [end for _ in range(chosen.rounds) for end in run(chosen, file, targets, kind, seconds)]
                for seconds in (0.0, CUT)
            )
            rows += rows_of(name, whole, cut)
    finish(f"a link cut for {CUT:.0f} s, {chosen.size >> 20} MiB at {RATE >> 20} MiB/s", rows)


if __name__ == "__main__":
    main()
