"""The most memory that the daemon ever takes (VmHWM, including the ring's pages), with eight readers."""

from pathlib import Path

from fanoutfs.units import MIB, parse_size
from tests.rig.harness import at_most, finish, info, options
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import image
from tests.rig.ready_readers import dd, seconds_of

READERS = 8
BESIDES_THE_RING = 80  # MiB


def peak(pid: int) -> float:
    """Return the largest resident size of a process so far, in MiB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="1G", rounds=3)
    with image(chosen.size) as source, fanout_mount(chosen.fanoutfs, source, chosen.ring) as mount:
        idle = peak(mount.pid)
        readers = [dd(mount.image, "bs=1M", "iflag=direct"), dd(mount.image, "bs=1M")] * (READERS // 2)
        for _ in range(chosen.rounds):
            seconds_of(readers, mount)
        most = peak(mount.pid)
    bar = parse_size(chosen.ring) / MIB + BESIDES_THE_RING
    rows = [
        at_most("the daemon's peak", [most], bar, " MiB"),
        info("    before the first reader", f"{idle:.0f} MiB"),
    ]
    finish(f"memory with {READERS} readers, four direct and four cached, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
