"""Four readers through the page cache against one: together they must not be slower than it alone."""

from functools import partial

from fanoutfs.units import MIB
from tests.rig.harness import Row, alternate, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import dd, seconds_of

READERS = 4
BAR = 1.0


def rate(mount: Mount, size: int, readers: int) -> float:
    """Give the MiB per second of all readers together."""
    return readers * size / MIB / seconds_of([dd(mount.image, "bs=1M")] * readers, mount)


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=7)
    with (
        folder() as ram,
        fanout_mount(chosen.fanoutfs, write_pattern(ram / "source", chosen.size), chosen.ring) as ours,
    ):
        medians = alternate(
            chosen.rounds,
            {
                "four": partial(rate, ours, chosen.size, READERS),
                "one": partial(rate, ours, chosen.size, 1),
            },
        )
    ratio = medians["four"] / medians["one"]
    row = Row("four to one", f"{ratio:.2f}", f"at least {BAR:.2f}", ratio >= BAR)
    finish("four cached readers (bs=1M) against one, in total", [row])


if __name__ == "__main__":
    main()
