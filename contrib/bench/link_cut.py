"""The cable of the second computer is pulled for five seconds in the middle of what it copies.

Of a `fanoutfs copy` of the first one's service, of nbdcopy of its export, and of two `dd` of a relay. Each
copy must be right in the end, or its command fail and say why; one that ends well and is wrong is the worst
there is. How long each took is held against the same without a cut.
"""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from fanoutfs.units import MIB
from tests.rig.harness import Options, Row, all_of, at_most, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_computers import Computers, computers, ends, shown_mount
from tests.rig.measured_copies import Copy, same, written_before
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import folder, need_memory

RATE = 32 * MIB  # bytes per second of the source
CUT = 5.0  # seconds
Way = Callable[[Computers, list[Path], Callable[[], None]], list[Copy]]


@attrs.frozen
class End:
    """What came of one copy."""

    code: int
    equal: bool
    said: str
    seconds: float

    @property
    def right(self) -> bool:
        """It is there."""
        return self.code == 0 and self.equal

    @property
    def told(self) -> bool:
        """It is not there, and whoever started it knows."""
        return self.code != 0 and bool(self.said.strip())


def remote_copy(on: Computers, targets: list[Path], cut: Callable[[], None]) -> list[Copy]:
    """Copy from the service."""
    copy = on.copy(on.hosts[1], on.url, targets[:1])
    cut()
    ends([copy])
    return [copy]


def nbdcopy(on: Computers, targets: list[Path], cut: Callable[[], None]) -> list[Copy]:
    """Copy from the export."""
    copy = on.begin(on.hosts[1], "nbdcopy", on.export, targets[0])
    cut()
    ends([copy])
    return [copy]


def relayed(on: Computers, targets: list[Path], cut: Callable[[], None]) -> list[Copy]:
    """Read what the second computer shows of the export."""
    second = on.hosts[1]
    with fanout_mount(on.program(second), on.export, None) as relay:
        dd = [["dd", f"if={relay.image}", f"of={target}", "bs=1M", "status=none"] for target in targets]
        copies = [on.begin(second, *words) for words in dd]
        cut()
        ends(copies)
    return copies


def run(chosen: Options, file: Path, targets: list[Path], way: Way, seconds: float) -> list[End]:
    """Copy one way, with the cable out for so many seconds from a third of the way on."""
    for target in targets:
        written_before(target, chosen.size)
    with computers(chosen, 2) as on, shown_mount(on, file, chosen.ring, "--read-rate", str(RATE)):

        def cut() -> None:
            time.sleep(chosen.size / RATE / 3)
            if seconds:
                on.hosts[1].unplug()
                time.sleep(seconds)
                on.hosts[1].plug_in()

        copies = way(on, targets, cut)
        ended = time.monotonic()
        return [
            End(copy.wait(), same(target, file), copy.said(), ended - copy.start)
            for copy, target in zip(copies, targets, strict=False)
        ]


def rows_of(name: str, whole: Sequence[End], cut: Sequence[End]) -> list[Row]:
    """Hold what came of one way against what must come."""
    for end in (*whole, *cut):
        if not end.right:
            print(f"{name}: exit code {end.code}, {'equal' if end.equal else 'not equal'}; said: {end.said}")
    usual = max(end.seconds for end in whole)
    right = sum(end.right for end in cut)
    return [
        all_of(f"{name}, nobody cuts: right", [end.right for end in whole]),
        all_of("    cut: right, or failed with a word", [end.right or end.told for end in cut]),
        Row("    cut: right", f"{right} of {len(cut)}", "", holds=True),
        at_most("    cut: time beyond", [end.seconds - usual for end in cut], float("inf"), " s"),
    ]


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="192M", rounds=2)
    need_memory(5 * chosen.size)
    ways: dict[str, Way] = {"remote copy": remote_copy, "nbdcopy": nbdcopy, "relay, 2 dd": relayed}
    rows: list[Row] = []
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        targets = [ram / "first", ram / "second"]
        for name, way in ways.items():
            once = functools.partial(run, chosen, file, targets, way)
            whole = [end for _ in range(chosen.rounds) for end in once(0.0)]
            cut = [end for _ in range(chosen.rounds) for end in once(CUT)]
            rows += rows_of(name, whole, cut)
    finish(f"a link cut for {CUT:.0f} s, {chosen.size >> 20} MiB at {RATE >> 20} MiB/s", rows)


if __name__ == "__main__":
    main()
