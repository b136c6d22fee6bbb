"""Eight dd at once of a loop device: each copy is right, and the kernel counts one pass over the device."""

from tests.rig.harness import Row, finish, options
from tests.rig.images import write_pattern
from tests.rig.loops import attached, bytes_read
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import folder
from tests.rig.ready_readers import compared, run_together

WAYS = ((), ("bs=1M",), ("bs=4M", "iflag=direct"), ("bs=1000003",))  # each twice
BAR = 1.02


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=3)
    rows = []
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        for number in range(chosen.rounds):
            with attached(source, "--read-only") as device:
                before = bytes_read(device)
                with fanout_mount(chosen.fanoutfs, device, chosen.ring) as mount:
                    commands = [compared(mount.image, source, words) for words in WAYS * 2]
                    run = run_together(commands, mount)
                share = (bytes_read(device) - before) / chosen.size
            right = run.codes.count(0)
            name = f"round {number + 1}, {run.seconds:.1f} s: "
            copies = f"{right} of {len(commands)}"
            rows += [
                Row(name + "copies that equal the source", copies, "all", right == len(commands)),
                Row(name + "read of the device, to its size", f"{share:.4f}", f"at most {BAR}", share <= BAR),
            ]
    finish(f"eight dd at once of a loop device, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
