"""Eight direct readers at once: fanoutfs against a file system that answers a constant buffer.

The source lies in memory, so that what is compared is fanoutfs's own work: reading the source into the ring,
keeping eight readers together, answering. Both are mounted all the time and read in turn.
"""

from functools import partial

from fanoutfs.units import MIB
from tests.rig.harness import Row, alternate, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import constant_mount, fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import dd, seconds_of

READERS = 8
BAR = 0.85


def rate(mount: Mount, size: int) -> float:
    """Give the MiB per second of all readers together."""
    seconds = seconds_of([dd(mount.image, "bs=1M", "iflag=direct")] * READERS, mount)
    return READERS * size / MIB / seconds


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=7)
    with (
        folder() as ram,
        fanout_mount(chosen.fanoutfs, write_pattern(ram / "source", chosen.size), chosen.ring) as ours,
        constant_mount(chosen.size) as peer,
    ):
        medians = alternate(
            chosen.rounds,
            {"fanoutfs": partial(rate, ours, chosen.size), "constant": partial(rate, peer, chosen.size)},
        )
    ratio = medians["fanoutfs"] / medians["constant"]
    row = Row("fanoutfs to constant_fs", f"{ratio:.2f}", f"at least {BAR:.2f}", ratio >= BAR)
    finish(f"{READERS} readers, bs=1M iflag=direct, source in tmpfs, in total", [row])


if __name__ == "__main__":
    main()
