"""One `fanoutfs copy` of what another host serves, against nbdcopy of nbdkit, over the same network.

The source is a file in a tmpfs, the target an existing file there, the network a virtual link between two
namespaces: only programs are measured, and both hosts share this machine's processors.

nbdcopy truncates its target, and the kernel then has to find memory for it anew. The last row compares both
programs on a target that nbdcopy cannot truncate, a disk (a loop device on the file).
"""

from functools import partial
from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.harness import Options, all_of, alternate, at_least, finish, info, options
from tests.rig.loops import attached
from tests.rig.measured_computers import computers, shown_mount
from tests.rig.measured_copies import checked, zeroed
from tests.rig.ram import source_and_targets

LEAST = 0.5
"""Of nbdcopy's rate."""

RING = ("--ring", "64M")
"""As on the other host. By default the copy keeps the whole image for later copies, which takes long where
free memory is cold."""


def with_fanoutfs(chosen: Options, source: Path, file: Path, target: Path) -> float:
    """Return the MiB per second of a copy to ``target``, which is ``file`` or a disk made of it."""
    with computers(chosen, 2) as on, shown_mount(on, source, chosen.ring):
        seconds = checked(source, [file], lambda: on.copy(on.hosts[1], on.url, target, *RING).seconds())
        return chosen.size / MIB / seconds


def with_nbdcopy(chosen: Options, source: Path, file: Path, target: Path) -> float:
    """Return the same of nbdcopy, from an nbdkit that has the file itself."""
    with (
        computers(chosen, 2) as on,
        on.server(on.first, "nbdkit", "--foreground", "--readonly", "file", source),
    ):
        seconds = checked(
            source, [file], lambda: on.start(on.hosts[1], "nbdcopy", on.export, target).seconds()
        )
        return chosen.size / MIB / seconds


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="1G", rounds=5)
    ways = {"nbdcopy of nbdkit": with_nbdcopy, "fanoutfs copy": with_fanoutfs}
    with (
        source_and_targets(chosen.size, 2) as (source, (target, backing)),
        attached(zeroed(backing, chosen.size)) as disk,
    ):
        places = {"": (target, target), " to a disk": (backing, disk)}
        runs = {
            name + kind: partial(way, chosen, source, *place)
            for kind, place in places.items()
            for name, way in ways.items()
        }
        rates = alternate(chosen.rounds, runs)
    ratio = {kind: rates[f"fanoutfs copy{kind}"] / rates[f"nbdcopy of nbdkit{kind}"] for kind in places}
    rows = [
        all_of("ways whose copies were right", [True] * len(rates)),  # otherwise checked() would have raised
        at_least("rate, to nbdcopy's", ratio[""], LEAST),
        info("rate to a disk, to nbdcopy's", f"{ratio[' to a disk']:.3f}"),
    ]
    finish(f"a copy of {chosen.size // MIB} MiB over the network, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
