"""A relay: a second computer mounts what the first shows, and four readers there cost the link one pass.

Two `dd` at once, a `cp` a quarter of a pass later, and one more `dd` at half of it. The second computer's
ring is what it is by default, which here holds the image: nothing has to come over the link a second time.

What came is the kernel's count of the second one's interface. It passes up to 64 KiB over a virtual link with
one header of 66 bytes; on a real one there is one in each 1,514, 4.6 % more that are not counted here.
"""

from pathlib import Path

import attrs

from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import RATE, limited_source
from tests.rig.measured_computers import Computers, computers, ends, join, shown_mount
from tests.rig.measured_copies import Copy, same
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import folder, need_memory

JOINS = (0.0, 0.0, 0.25, 0.5)  # passes after the first
BAR = 1.02


@attrs.frozen
class Run:
    """What came of the four."""

    link: float
    """What came to the second computer, to the image's size."""
    share: float
    """Read of the device, to its size."""
    passes: list[float]
    equal: list[bool]


def reader(on: Computers, number: int, image: Path, target: Path) -> Copy:
    """Begin a reader of the relay."""
    words = ["cp", image, target] if number == 2 else ["dd", f"if={image}", f"of={target}", "bs=1M"]
    return on.begin(on.hosts[1], *words)


def run(chosen: Options, file: Path, targets: list[Path]) -> Run:
    """Read what the second computer shows of what the first shows."""
    for target in targets:
        target.unlink(missing_ok=True)
    wait_for_quiet()
    one_pass = chosen.size / RATE
    with (
        limited_source(file) as source,
        computers(chosen, 2) as on,
        shown_mount(on, source, chosen.ring),
    ):
        second = on.hosts[1]
        before = second.traffic()
        with fanout_mount(on.program(second), on.export, None) as relay:
            made = join(
                [part * one_pass for part in JOINS],
                lambda number: reader(on, number, relay.image, targets[number]),
            )
            ended = ends(made)
        for copy in made:
            if copy.wait():
                print(f"a reader failed: {copy.said()}")
        return Run(
            second.traffic().since(before).received / chosen.size,
            source.bytes_read() / chosen.size,
            [(end - copy.start) / one_pass for end, copy in zip(ended, made, strict=True)],
            [copy.wait() == 0 and same(target, file) for copy, target in zip(made, targets, strict=True)],
        )


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=3)
    need_memory((len(JOINS) + 2) * chosen.size)
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        targets = [ram / f"target-{number}" for number in range(len(JOINS))]
        runs = [run(chosen, file, targets) for _ in range(chosen.rounds)]
    rows = [
        all_of("copies that equal the source", [equal for run in runs for equal in run.equal]),
        at_most("over the link, to the image's size", [run.link for run in runs], BAR),
        at_most("read of the device, to its size", [run.share for run in runs], BAR),
    ]
    rows += [
        at_most(
            f"passes that the one at {part} took, from its start",
            [run.passes[number] for run in runs],
            float("inf"),
        )
        for number, part in enumerate(JOINS)
    ]
    finish(f"4 readers behind a relay of {chosen.size >> 20} MiB of a slow source", rows)


if __name__ == "__main__":
    main()
