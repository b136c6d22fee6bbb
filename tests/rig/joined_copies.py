"""Copies of a slow source that start at fixed parts of a pass, and what they cost.

A pass is the time in which the source can be read once: the image's size by the source's rate.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig.harness import Options, Row, all_of, at_most, wait_for_quiet
from tests.rig.hosts import Traffic
from tests.rig.limited import RATE, LimitedSource, limited_source
from tests.rig.measured_computers import Computers, computers, shown_mount
from tests.rig.measured_copies import Copy, ends, join, nothing, same


@attrs.frozen
class Outcome:
    """The cost of some copies, and whether they are right."""

    share: float
    """Read from the device, to its size."""
    passes: list[float]
    """How long each took."""
    verified: list[bool]
    """Whether each command reports that it has verified its target."""
    equal: list[bool]
    links: list[float] = attrs.field(factory=list)
    """Received by each host, to the image's size."""

    @classmethod
    def of(
        cls, share: float, copies: Sequence[Copy], ended: Sequence[float], targets: Sequence[Path], file: Path
    ) -> "Outcome":
        """Wait for the copies, and compare their targets."""
        one_pass = file.stat().st_size / RATE
        equal = [
            copy.succeeded() and same(target, file) for copy, target in zip(copies, targets, strict=True)
        ]
        passes = [(end - copy.start) / one_pass for end, copy in zip(ended, copies, strict=True)]
        return cls(share, passes, ["verified in" in copy.output() for copy in copies], equal)


@attrs.frozen
class Stage:
    """A slow source that the first host serves, and the targets of the copies on the others."""

    on: Computers
    source: LimitedSource
    file: Path
    targets: Sequence[Path]
    before: list[Traffic]

    def run(
        self, joins: Sequence[float], begin: Callable[[int], Copy], look: Callable[[], object] = nothing
    ) -> Outcome:
        """Start copies at these passes after the first, and call ``look`` repeatedly until they end."""
        size = self.file.stat().st_size
        copies = join([part * size / RATE for part in joins], begin)
        ended = ends(copies, look)
        links = [
            host.traffic().since(before).received / size
            for host, before in zip(self.on.others, self.before, strict=True)
        ]
        outcome = Outcome.of(self.source.share(), copies, ended, self.targets, self.file)
        return attrs.evolve(outcome, links=links)


@contextlib.contextmanager
def slow_stage(
    chosen: Options, file: Path, targets: Sequence[Path], *, hosts: int, ring: str | None
) -> Iterator[Stage]:
    """Serve a slow source on the first of some hosts."""
    wait_for_quiet()
    with limited_source(file) as source, computers(chosen, hosts) as on, shown_mount(on, source, ring):
        yield Stage(on, source, file, targets, [host.traffic() for host in on.others])


def rows_of(
    runs: Sequence[Outcome], joins: Sequence[float], *, share: float, passes: float = math.inf
) -> list[Row]:
    """Compare what was read, and how long each copy took, with their bars."""
    return [
        all_of("copies that equal the source", [equal for run in runs for equal in run.equal]),
        at_most("read of the device, to its size", [run.share for run in runs], share),
        *(
            at_most(
                f"passes that the copy at {part:.2g} took, from its start",
                [run.passes[number] for run in runs],
                passes,
            )
            for number, part in enumerate(joins)
        ),
    ]


def verified(runs: Sequence[Outcome]) -> Row:
    """Require that each command has verified its target."""
    return all_of("verified by the command itself", [found for run in runs for found in run.verified])
