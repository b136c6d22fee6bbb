"""One dd as people type it, without bs=, of the mount, against the same dd of the source, a tmpfs file."""

from functools import partial
from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.harness import Row, alternate, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import dd, seconds_of

BAR = 0.5


def rate(file: Path, size: int, *read: Mount) -> float:
    """Give the MiB per second of one dd, 512 bytes at a time."""
    return size / MIB / seconds_of([dd(file)], *read)


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=7)
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        with fanout_mount(chosen.fanoutfs, source, chosen.ring) as ours:
            medians = alternate(
                chosen.rounds,
                {
                    "fanoutfs": partial(rate, ours.image, chosen.size, ours),
                    "tmpfs": partial(rate, source, chosen.size),
                },
            )
    ratio = medians["fanoutfs"] / medians["tmpfs"]
    row = Row("fanoutfs to the tmpfs file", f"{ratio:.2f}", f"at least {BAR:.2f}", ratio >= BAR)
    finish("one dd with no bs=, source in tmpfs", [row])


if __name__ == "__main__":
    main()
