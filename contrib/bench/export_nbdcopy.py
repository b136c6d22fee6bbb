"""Four nbdcopy, two seconds apart, of the export of a slow source: what is read of it, to what must be.

nbdcopy reads in order and knows nothing of others. What four such readers cost, so far apart and with such a
ring, is what `fanoutfs simulate` says; the bar is that and 5 %.
"""

from pathlib import Path

import attrs

from fanoutfs.simulate.model import simulate
from fanoutfs.simulate.scenario import Scenario, SimulatedReader
from fanoutfs.units import parse_size
from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import RATE, limited_source
from tests.rig.measured_computers import computers, ends, join, shown_mount
from tests.rig.measured_copies import same
from tests.rig.ram import folder, need_memory

COUNT = 4
APART = 2.0  # seconds
MORE = 1.05
"""Than the model."""


@attrs.frozen
class Run:
    """What came of the four."""

    share: float
    """Read of the device, to its size."""
    seconds: list[float]
    equal: list[bool]


def modelled(chosen: Options) -> float:
    """Give the passes over the source that four readers in order take."""
    readers = tuple(SimulatedReader(at=number * APART) for number in range(COUNT))
    ring = parse_size(chosen.ring)
    return simulate(Scenario(size=chosen.size, ring=ring, readers=readers, source_rate=RATE)).passes


def run(chosen: Options, file: Path, targets: list[Path]) -> Run:
    """Copy to each target from a computer of its own."""
    for target in targets:
        target.unlink(missing_ok=True)
    wait_for_quiet()
    with (
        limited_source(file) as source,
        computers(chosen, 1 + COUNT) as on,
        shown_mount(on, source, chosen.ring),
    ):
        made = join(
            [number * APART for number in range(COUNT)],
            lambda number: on.begin(on.hosts[1 + number], "nbdcopy", on.export, targets[number]),
        )
        ended = ends(made)
        for copy in made:
            if copy.wait():
                print(f"nbdcopy failed: {copy.said()}")
        return Run(
            source.bytes_read() / chosen.size,
            [end - copy.start for end, copy in zip(ended, made, strict=True)],
            [copy.wait() == 0 and same(target, file) for copy, target in zip(made, targets, strict=True)],
        )


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=3, ring="64M")
    need_memory((COUNT + 2) * chosen.size)
    model = modelled(chosen)
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        targets = [ram / f"target-{number}" for number in range(COUNT)]
        runs = [run(chosen, file, targets) for _ in range(chosen.rounds)]
    rows = [
        all_of("copies that equal the source", [equal for run in runs for equal in run.equal]),
        at_most(
            f"read of the device, to its size (the model says {model:.3f})",
            [run.share for run in runs],
            MORE * model,
        ),
    ]
    rows += [
        at_most(f"seconds of nbdcopy {number + 1}", [run.seconds[number] for run in runs], float("inf"))
        for number in range(COUNT)
    ]
    finish(f"{COUNT} nbdcopy, {APART} s apart, of {chosen.size >> 20} MiB, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
