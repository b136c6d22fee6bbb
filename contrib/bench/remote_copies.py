"""Three computers copy what a fourth shows, joining at 0, 1/4 and 1/2 of a pass: 1.5 passes over its source.

The source is as slow as a disk (tests/rig/limited.py), and only the computer that has it reads it. The
copies (`fanoutfs copy --verify http://node1`) are started by the clock, of which a pass is the image's size
by the source's rate. Once the ring there is a twentieth of the image, once it is what it is by default.
"""

from pathlib import Path

import attrs

from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import RATE, limited_source
from tests.rig.measured_computers import begins, computers, ends, join, shown_mount
from tests.rig.measured_copies import same, written_before
from tests.rig.ram import folder, need_memory

JOINS = (0.0, 0.25, 0.5)  # passes after the first
BAR = 1.55
OWN = 1.05
"""Passes that the last one costs from where it began, round."""


@attrs.frozen
class Run:
    """What came of the copies."""

    share: float
    """Read of the device, to its size."""
    began: list[float]
    """Where in the image each began, to its size: there the head was when it joined."""
    passes: list[float]
    """How long each command took; to read the target back is in that."""
    link: list[float]
    """What came to each computer, to the image's size."""
    verified: list[bool]
    equal: list[bool]


def run(chosen: Options, file: Path, targets: list[Path], ring: str | None) -> Run:
    """Copy to each target from a computer of its own."""
    for target in targets:
        written_before(target, chosen.size)
    wait_for_quiet()
    one_pass = chosen.size / RATE
    with (
        limited_source(file) as source,
        computers(chosen, 1 + len(targets)) as on,
        shown_mount(on, source, ring),
    ):
        before = [host.traffic() for host in on.hosts[1:]]
        made = join(
            [part * one_pass for part in JOINS],
            lambda number: on.copy(on.hosts[1 + number], on.url, [targets[number]], "--verify"),
        )
        began: dict[str, int] = {}
        ended = ends(made, lambda: [began.update(begins(host)) for host in on.hosts[1:]])
        came = [host.traffic().since(was) for host, was in zip(on.hosts[1:], before, strict=True)]
        for copy in made:
            if copy.wait():
                print(f"a copy failed: {copy.said()}")
        return Run(
            source.bytes_read() / chosen.size,
            [began[str(target)] / chosen.size for target in targets],
            [(end - copy.start) / one_pass for end, copy in zip(ended, made, strict=True)],
            [traffic.received / chosen.size for traffic in came],
            [copy.wait() == 0 and "verified in" in copy.said() for copy in made],
            [same(target, file) for target in targets],
        )


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=3, ring=None)
    need_memory(9 * chosen.size)  # each computer's ring may be as large as the image
    rings = {"a twentieth": str(chosen.size // 20), "by default": None}
    rows = []
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        targets = [ram / f"target-{number}" for number in range(len(JOINS))]
        for name, ring in rings.items():
            runs = [run(chosen, file, targets, ring) for _ in range(chosen.rounds)]
            rows += [
                all_of(
                    f"ring {name}: verified by the command itself", [v for run in runs for v in run.verified]
                ),
                all_of("copies that equal the source", [equal for run in runs for equal in run.equal]),
                at_most("read of the device, to its size", [run.share for run in runs], BAR),
                at_most(
                    "    less what the head had travelled when the last joined",
                    [run.share - run.began[-1] for run in runs],
                    OWN,
                ),
                at_most("most that came to a computer, to its size", [max(run.link) for run in runs], 1.02),
            ]
            rows += [
                at_most(
                    f"passes that the one at {part} took, from its start",
                    [run.passes[number] for run in runs],
                    float("inf"),
                )
                for number, part in enumerate(JOINS)
            ]
    finish(f"{len(JOINS)} computers copy {chosen.size >> 20} MiB of a slow source of another", rows)


if __name__ == "__main__":
    main()
