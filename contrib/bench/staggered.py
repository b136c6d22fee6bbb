"""Four dd of a slow source, 1.25 s apart: of fanoutfs, of the device itself, of nbdkit's cache, of carousels.

Each has 64 MiB of memory: fanoutfs as its ring, the dd of the device as what their cgroup may have (their
page cache included), nbdkit as its cache, beside which it has 128 MiB, and those who read it 64 MiB. Where
nbdkit (Debian: nbdkit, libnbd-bin) or the cgroups of version 1 are missing, their lines are.
"""

import contextlib
import math
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs

from fanoutfs.units import parse_size
from tests.rig.crew import DD, Crew, crew, stage
from tests.rig.harness import Options, Row, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import can_limit, limited_source, memory_group, within
from tests.rig.ram import folder

READERS = 4
APART = 1.25  # seconds


@attrs.frozen
class Outcome:
    """What four readers came to."""

    share: float
    seconds: float
    right: list[bool]


def in_turn(made: Crew, file: Path, share: Callable[[], float], *groups: Path) -> Outcome:
    """Start four dd one after the other and wait for the last."""
    readers = [made.ready(file, *DD, groups=groups) for _ in range(READERS)]
    start = time.monotonic()
    for number, reader in enumerate(readers):
        time.sleep(max(0.0, start + number * APART - time.monotonic()))
        reader.go()
    reports = made.wait()
    seconds = max(report.end for report in reports) - start
    return Outcome(share(), seconds, [report.right for report in reports])


def with_fanoutfs(chosen: Options, file: Path, name: str, *, steady: bool = False) -> Outcome:
    """Read a virtual file of fanoutfs; ``steady``: see tests/rig/limited.py."""
    with stage(chosen, file, steady=steady) as on:
        return in_turn(on.crew, on.mount.point / name, on.share)


def plainly(chosen: Options, file: Path) -> Outcome:
    """Read the device."""
    with (
        limited_source(file) as source,
        memory_group("readers", parse_size(chosen.ring)) as memory,
        crew(file, None) as made,
    ):
        assert source.group is not None
        return in_turn(made, source.device, lambda: source.bytes_read() / chosen.size, source.group, memory)


@contextlib.contextmanager
def nbdkit_mount(device: Path, workplace: Path, cache: int, *groups: Path) -> Iterator[Path]:
    """Show a device as a file through nbdfuse and nbdkit's cache filter."""
    file = workplace / "disk"
    file.touch()
    server = ["nbdkit", "--single", "--exit-with-parent", "--readonly", "--filter=cache", "file", str(device)]
    server += ["fadvise=random", "cache-on-read=true", f"cache-max-size={cache}"]
    # The cache is a file in TMPDIR that has no name; nbdkit fills and empties it.
    environment = {**os.environ, "TMPDIR": str(workplace)}
    command = within(groups, ["nbdfuse", "--readonly", file, "--command", *server])
    process = subprocess.Popen(command, env=environment)
    try:
        while file.stat().st_size == 0 and process.poll() is None:
            time.sleep(0.05)
        yield file
    finally:
        subprocess.run(["umount", file], check=False)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            subprocess.run(["umount", "--lazy", file], check=False)
            process.kill()
            process.wait()


def with_nbdkit(chosen: Options, file: Path) -> Outcome:
    """Read what nbdkit shows."""
    cache = parse_size(chosen.ring)
    with (
        limited_source(file) as source,
        memory_group("server", 3 * cache) as served,
        memory_group("readers", cache) as memory,
        folder() as workplace,
    ):
        assert source.group is not None
        with (
            nbdkit_mount(source.device, workplace, cache, source.group, served) as shown,
            crew(file, None) as made,
        ):
            return in_turn(made, shown, lambda: source.bytes_read() / chosen.size, memory)


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=3)
    ways: dict[str, tuple[Callable[[Options, Path], Outcome], float, float]] = {
        "dd of image, steady source": (partial(with_fanoutfs, name="image", steady=True), 2.1, 11.5),
        "dd of image": (partial(with_fanoutfs, name="image"), 2.1, 11.5),
        "dd of carousel": (partial(with_fanoutfs, name="carousel"), 1.77, 9.4),
    }
    if can_limit():
        ways["dd of the device"] = (plainly, math.inf, math.inf)
        if shutil.which("nbdkit") and shutil.which("nbdfuse"):
            ways["dd of nbdkit's cache"] = (with_nbdkit, math.inf, math.inf)
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        outcomes: dict[str, list[Outcome]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, (way, _, _) in ways.items():
                wait_for_quiet()
                outcomes[name].append(way(chosen, file))
    rows: list[Row] = []
    for name, (_, share, seconds) in ways.items():
        found = outcomes[name]
        rows += [
            at_most(f"{name}: read of the device, to its size", [each.share for each in found], share),
            at_most(f"{name}: until the last has it", [each.seconds for each in found], seconds, " s"),
            all_of(f"{name}: copies that equal it", [right for each in found for right in each.right]),
        ]
    finish(f"{READERS} readers, {APART} s apart, of a slow source, memory {chosen.ring}", rows)


if __name__ == "__main__":
    main()
