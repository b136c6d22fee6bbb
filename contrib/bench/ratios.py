"""The rates of two sets of readers, measured in turn, and their ratio. The source is a file in a tmpfs.

direct_readers  Eight direct readers of fanoutfs, against eight of a file system that returns a constant
                buffer (constant_fs.py). The difference is fanoutfs's own work: reading the source into the
                ring, keeping eight readers together, answering.
plain_dd        One dd as people type it, without bs=, of the mount, against the same dd of the source.
cached_readers  Four readers through the page cache, against one: together they must not be slower.
"""

from functools import partial

import attrs

from tests.rig.harness import alternate, at_least, choose, finish, options
from tests.rig.measured_mounts import constant_mount, fanout_mount
from tests.rig.ram import image
from tests.rig.ready_readers import dd, rate_of


@attrs.frozen
class Readers:
    """Some dd at once of one file."""

    count: int
    file: str
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Name them."""
        return " ".join((f"{self.count} dd of {self.file}", *self.words))


DIRECT = ("bs=1M", "iflag=direct")
SCENARIOS = {  # two sets of readers, the least ratio of their rates, the image's size
    "direct_readers": (Readers(8, "fanoutfs", DIRECT), Readers(8, "constant_fs", DIRECT), 0.85, "1G"),
    "plain_dd": (Readers(1, "fanoutfs"), Readers(1, "tmpfs"), 0.5, "512M"),
    "cached_readers": (Readers(4, "fanoutfs", ("bs=1M",)), Readers(1, "fanoutfs", ("bs=1M",)), 1.0, "1G"),
}


def main() -> None:
    """Measure and report."""
    *sets, bar, size = choose(SCENARIOS, __doc__)
    chosen = options(__doc__, size=size, rounds=7)
    with (
        image(chosen.size) as source,
        fanout_mount(chosen.fanoutfs, source, chosen.ring) as ours,
        constant_mount(chosen.size) as peer,
    ):
        files = {"fanoutfs": ours.image, "constant_fs": peer.image, "tmpfs": source}
        runs = {
            str(each): partial(
                rate_of, [dd(files[each.file], *each.words)] * each.count, chosen.size, ours, peer
            )
            for each in sets
        }
        first, second = alternate(chosen.rounds, runs).values()
    name = " to ".join(runs)
    finish("MiB/s of all readers together", [at_least(name, first / second, bar)])


if __name__ == "__main__":
    main()
