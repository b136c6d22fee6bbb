"""Eight dd at once of a loop device: each copy is right, and the kernel counts one pass over the device."""

from tests.rig.harness import Row, finish, options
from tests.rig.measured_mounts import fanout_mount
from tests.rig.pattern_images import folder, loop_device, pattern_image
from tests.rig.ready_readers import compared, run_together

WAYS = ((), ("bs=1M",), ("bs=4M", "iflag=direct"), ("bs=1000003",))  # each twice
BAR = 1.02


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=3)
    rows = []
    with folder() as ram:
        source = pattern_image(ram / "source", chosen.size)
        for number in range(chosen.rounds):
            with loop_device(source) as device:
                before = device.bytes_read()
                with fanout_mount(chosen.fanoutfs, device.path, chosen.ring) as mount:
                    commands = [compared(mount.image, source, words) for words in WAYS * 2]
                    run = run_together(commands, mount)
                share = (device.bytes_read() - before) / chosen.size
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
