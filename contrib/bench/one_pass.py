"""Eight dd at once of a loop device: each copy is right, and the kernel counts one pass over the device."""

from tests.rig.harness import all_of, at_most, finish, options
from tests.rig.loops import attached, bytes_read
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import image
from tests.rig.ready_readers import compared, run_together

FORMS = ((), ("bs=1M",), ("bs=4M", "iflag=direct"), ("bs=1000003",))  # each twice
BAR = 1.02


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="1G", rounds=3)
    rows = []
    with image(chosen.size) as source:
        for number in range(chosen.rounds):
            with attached(source, "--read-only") as device:
                before = bytes_read(device)
                with fanout_mount(chosen.fanoutfs, device, chosen.ring) as mount:
                    run = run_together([compared(mount.image, source, form) for form in FORMS * 2], mount)
                share = (bytes_read(device) - before) / chosen.size
            name = f"round {number + 1}, {run.seconds:.1f} s: "
            rows += [
                all_of(name + "copies that equal the source", [code == 0 for code in run.codes]),
                at_most(name + "read of the device, to its size", [share], BAR),
            ]
    finish(f"eight dd at once of a loop device, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
