"""The producer's processor time per GiB of source, by the number of its consumers; none of them verifies.

Source and targets are in a tmpfs; the targets exist in full size. The time is the kernel's, of the producer's
process alone (utime and stime of proc(5), to a hundredth of a second), from its fork to its last consumer's
end: a control connection keeps the process until it has been read. --picture FILE.svg draws it, too.
"""

import functools
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.engine.find import connect
from fanoutfs.system.identity import identity_of
from fanoutfs.units import MIB, format_size
from tests.rig.harness import Options, at_most, finish, options, processor_seconds, wait_for_quiet
from tests.rig.measured_copies import checked, copies
from tests.rig.ram import source_and_targets
from tests.rig.timed_readers import POLL

COUNTS = (1, 2, 4, 8)
BAR = 0.35  # seconds per GiB
EIGHT_TO_ONE = 1.3
GIB = 1024 * MIB
Found = dict[str, dict[int, list[float]]]


def keep_producer(source: Path) -> tuple[ControlConnection, int]:
    """Wait for a source's producer, and keep it until the connection is closed; return also its process."""
    identity = identity_of(source.stat())
    while True:
        if (found := connect(identity)) is not None:
            try:
                found.request("stay")
                return found, int(found.request("status")["status"]["pid"])
            except HungUpError:
                found.close()
        time.sleep(POLL)


def run(chosen: Options, source: Path, targets: Sequence[Path], flags: Sequence[str]) -> float:
    """Copy; return the producer's seconds per GiB."""
    wait_for_quiet()
    with copies(chosen.fanoutfs, source) as made:
        copy = made.start(targets, *flags)
        connection, pid = keep_producer(source)
        try:
            copy.seconds()
            return processor_seconds(pid) * GIB / chosen.size
        finally:
            connection.close()


def draw(path: Path, found: Found) -> None:
    """Draw the medians, and the range of the figures."""
    import matplotlib as mpl  # noqa: PLC0415 (only for a picture)
    from matplotlib.figure import Figure  # noqa: PLC0415

    from fanoutfs.simulate.plot import STYLE  # noqa: PLC0415

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for name, by_count in found.items():
            middle = [statistics.median(figures) for figures in by_count.values()]
            below = [m - min(figures) for m, figures in zip(middle, by_count.values(), strict=True)]
            above = [max(figures) - m for m, figures in zip(middle, by_count.values(), strict=True)]
            axes.errorbar(list(by_count), middle, yerr=[below, above], marker="o", capsize=3, label=name)
        axes.axhline(BAR, color="#d40000", linestyle=(0, (4, 2)), linewidth=0.8, label="bar")
        axes.set_xscale("log", base=2)
        axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("targets")
        axes.set_ylabel("producer's processor time\n(seconds per GiB of source)")
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        figure.legend(loc="outside right upper", frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": "contrib.bench.copy_cpu"})


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="1G", rounds=5, picture=True)
    rings = {f"ring {chosen.ring}": ["--ring", chosen.ring], "ring by default": []}
    found: Found = {name: {count: [] for count in COUNTS} for name in rings}
    with source_and_targets(chosen.size, max(COUNTS)) as (source, targets):
        for _ in range(chosen.rounds):
            for count in COUNTS:
                for name, flags in rings.items():
                    some = targets[:count]
                    figure = checked(source, some, functools.partial(run, chosen, source, some, flags))
                    found[name][count].append(figure)
    rows = []
    for name, by_count in found.items():
        rows += [
            at_most(f"{name}, {count} targets: seconds per GiB", figures, BAR)
            for count, figures in by_count.items()
        ]
        ratio = statistics.median(by_count[max(COUNTS)]) / statistics.median(by_count[1])
        rows.append(at_most(f"{name}: with {max(COUNTS)} to that with 1", [ratio], EIGHT_TO_ONE))
    if chosen.picture is not None:
        draw(chosen.picture, found)
    finish(f"the producer's processor time, source of {format_size(chosen.size)}", rows)


if __name__ == "__main__":
    main()
