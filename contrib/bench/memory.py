"""The most memory that the daemon ever took (VmHWM, the ring's pages included), with eight readers."""

from pathlib import Path

from fanoutfs.units import MIB, parse_size
from tests.rig.harness import Row, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import folder
from tests.rig.ready_readers import dd, seconds_of

READERS = 8
BESIDES_THE_RING = 80 * MIB


def peak(pid: int) -> int:
    """Give the largest resident size that a process has had, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"process {pid} has no VmHWM")


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=3)
    with (
        folder() as ram,
        fanout_mount(chosen.fanoutfs, write_pattern(ram / "source", chosen.size), chosen.ring) as mount,
    ):
        idle = peak(mount.pid)
        readers = [dd(mount.image, "bs=1M", "iflag=direct"), dd(mount.image, "bs=1M")] * (READERS // 2)
        for _ in range(chosen.rounds):
            seconds_of(readers, mount)
        most = peak(mount.pid)
    bar = parse_size(chosen.ring) + BESIDES_THE_RING
    figure = f"{most / MIB:.0f} MiB ({idle / MIB:.0f} MiB before the first reader)"
    row = Row("the daemon's peak", figure, f"at most {bar / MIB:.0f} MiB", most <= bar)
    finish(f"memory with {READERS} readers, four direct and four cached, ring {chosen.ring}", [row])


if __name__ == "__main__":
    main()
