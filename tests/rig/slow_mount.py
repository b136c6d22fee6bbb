"""A mount of a slow source (limited.py) with timed readers, and what a run of them costs."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig.commands import wait_until
from tests.rig.harness import Options, Row, all_of, at_most, wait_for_quiet
from tests.rig.limited import LimitedSource, limited_mount, limited_source
from tests.rig.mounts import Mount
from tests.rig.ready_readers import HANGS
from tests.rig.timed_readers import POLL, Report, TimedReaders, timed_readers


@attrs.frozen
class Outcome:
    """What one run cost."""

    share: float
    """What the kernel has read of the source, divided by its size."""
    reports: list[Report]
    """Of each reader, in the order in which they were made ready."""

    @property
    def seconds(self) -> float:
        """From the first reader's start to the last reader's end."""
        return max(report.end for report in self.reports) - min(report.start for report in self.reports)


@attrs.frozen
class SlowMount:
    """A mounted slow source, and its readers."""

    source: LimitedSource
    mount: Mount
    readers: TimedReaders

    def wait_for_head(self, part: float) -> None:
        """Wait until the producer's first pass has reached this part of the image."""
        offset = part * self.source.size
        wait_until(lambda: self.mount.head() >= offset, f"the head is at {part}", HANGS, (POLL, POLL))

    def outcome(self) -> Outcome:
        """Wait for all readers."""
        reports = self.readers.wait()
        return Outcome(self.source.share(), reports)


@contextlib.contextmanager
def slow_mount(chosen: Options, file: Path, *words: str, steady: bool = False) -> Iterator[SlowMount]:
    """Wait for a quiet machine, and mount a file behind a slow device, with further options of mount.

    ``steady``: see limited.py.
    """
    wait_for_quiet()
    with (
        limited_source(file) as source,
        limited_mount(chosen.fanoutfs, source, chosen.ring, *words, steady=steady) as mount,
        timed_readers(file, mount) as readers,
    ):
        yield SlowMount(source, mount, readers)


def rows_of(outcomes: Sequence[Outcome], most: float, what: str = "") -> list[Row]:
    """Require right copies, and that the source, divided by its size, is read at most so often."""
    return [
        all_of(f"{what}copies that equal the source", [r.right for each in outcomes for r in each.reports]),
        at_most(f"{what}read of the device, to its size", [each.share for each in outcomes], most),
    ]
