"""Four dd of a slow source, 1.25 s apart: of fanoutfs, of the device itself, of nbdkit's cache, of carousels.

Each has 64 MiB of memory: fanoutfs as its ring; the dd of the device as the limit of their cgroup, which
includes their page cache; nbdkit as its cache, with 128 MiB besides, and its readers 64 MiB. On a machine
without nbdkit (Debian: nbdkit, libnbd-bin) or the cgroups of version 1, their lines are missing.
"""

import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fanoutfs.units import parse_size
from tests.rig.faults import nbdfuse
from tests.rig.harness import Options, Row, at_most, finish, options, wait_for_quiet
from tests.rig.limited import LimitedSource, can_limit, limited_source, memory_group, within
from tests.rig.ram import folder, image
from tests.rig.slow_mount import Outcome, rows_of, slow_mount
from tests.rig.timed_readers import DD, timed_readers

READERS = 4
APART = 1.25  # seconds
Way = Callable[[Options, Path], Outcome]


def of_fanoutfs(chosen: Options, file: Path, name: str, *, steady: bool = False) -> Outcome:
    """Read a virtual file of fanoutfs; ``steady``: see tests/rig/limited.py."""
    with slow_mount(chosen, file, steady=steady) as on:
        for _ in range(READERS):
            on.readers.ready(on.mount.point / name, *DD)
        on.readers.go(APART)
        return on.outcome()


def without_fanoutfs(source: LimitedSource, file: Path, shown: Path, *groups: Path) -> Outcome:
    """Read a file, which shows ``file`` behind the source, from cgroups."""
    with timed_readers(file, None) as readers:
        for _ in range(READERS):
            readers.ready(shown, *DD, groups=groups)
        readers.go(APART)
        reports = readers.wait()
        return Outcome(source.share(), reports)


def of_device(chosen: Options, file: Path) -> Outcome:
    """Read the device."""
    wait_for_quiet()
    with (
        limited_source(file) as source,
        memory_group("readers", parse_size(chosen.ring)) as memory,
    ):
        assert source.group is not None
        return without_fanoutfs(source, file, source.device, source.group, memory)


def of_nbdkit(chosen: Options, file: Path) -> Outcome:
    """Read what nbdkit's cache filter shows of the device."""
    cache = parse_size(chosen.ring)
    wait_for_quiet()
    with (
        limited_source(file) as source,
        memory_group("server", 3 * cache) as of_server,
        memory_group("readers", cache) as memory,
        folder() as place,
    ):
        assert source.group is not None
        filters = ("--readonly", "--filter=cache", "file", source.device, "fadvise=random")
        caching = ("cache-on-read=true", f"cache-max-size={cache}")
        groups = within((source.group, of_server), ())
        # The cache is a file in TMPDIR that has no name.
        with nbdfuse(place, *filters, *caching, within=groups, env={"TMPDIR": str(place)}) as served:
            return without_fanoutfs(source, file, served.path, memory)


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M", rounds=3)
    ways: dict[str, tuple[Way, float, float]] = {
        "dd of image, steady source": (partial(of_fanoutfs, name="image", steady=True), 2.1, 11.5),
        "dd of image": (partial(of_fanoutfs, name="image"), 2.1, 11.5),
        "dd of carousel": (partial(of_fanoutfs, name="carousel"), 1.77, 9.4),
    }
    if can_limit():
        ways["dd of the device"] = (of_device, math.inf, math.inf)
        if shutil.which("nbdkit") and shutil.which("nbdfuse"):
            ways["dd of nbdkit's cache"] = (of_nbdkit, math.inf, math.inf)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in ways}
    with image(chosen.size) as file:
        for _ in range(chosen.rounds):
            for name, (way, _, _) in ways.items():
                outcomes[name].append(way(chosen, file))
    rows: list[Row] = []
    for name, (_, share, seconds) in ways.items():
        found = outcomes[name]
        rows += rows_of(found, share, f"{name}: ")
        rows.append(
            at_most(f"{name}: until the last has all", [each.seconds for each in found], seconds, " s")
        )
    finish(f"{READERS} readers, {APART} s apart, of a slow source, memory {chosen.ring}", rows)


if __name__ == "__main__":
    main()
