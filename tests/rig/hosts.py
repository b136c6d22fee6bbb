"""Several computers on this one: each a network, mounts and a name of its own, joined by a switch.

A host is a process that holds three new namespaces (network, mount, UTS); what is run "on" it enters them.
Its /run is empty and its own, so producers of different hosts know nothing of one another; its network has
one interface, whose other end is a port of a bridge in yet another namespace. Everything else is this
machine's: files, processes, /proc and /sys (limits of devices are set there from anywhere; /sys/class/net is
no host's). What was mounted before from programs and loop devices is taken off there: a copy of such a mount
would keep it from ending.

A holder ends when its starter does, however that ends, and kills whoever is left on its host first. With the
last of them the kernel takes the interfaces and the mounts away.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig.mountinfo import at

NAMESPACES = ("--net", "--mount", "--uts")
FOLDERS = ("--root", "--wd")  # the holder's too: in a chroot they are not what its mounts begin with
NET = "10.84.0"  # the first three numbers of all addresses; nobody outside sees them
PORT = "eth0"
BRIDGE = "switch"
ENDS = 30.0  # seconds that a host may take to end
HOLD = """
set -e
hostname "$1"
# One that was mounted within another goes with it.
while read -r what point kind _; do
    case "$kind $what" in
    fusectl*) ;;
    fuse* | *" /dev/loop"*) umount --lazy "$(printf %b "$point")" || : ;;
    esac
done < /proc/self/mounts
mount -t tmpfs -o mode=755 tmpfs /run
printf "$2" > /run/hosts
mount --bind /run/hosts /etc/hosts
ip link set lo up
echo ready
while read -r _; do :; done
swept=no
while [ $swept = no ]; do
    swept=yes
    for link in $(find -L /proc/[0-9]*/ns/net -samefile /proc/$$/ns/net 2>/dev/null); do
        pid=${link#/proc/}
        pid=${pid%%/*}
        [ "$pid" = $$ ] || ! kill -9 "$pid" 2>/dev/null || swept=no
    done
    sleep 0.02
done
"""

Word = str | Path | int


class NoHostsError(Exception):
    """This machine does not let us have hosts, or one of them did not end."""


@attrs.frozen
class Traffic:
    """What has gone through a host's interface, in bytes, with the headers of what the kernel counts as one.

    The kernel passes up to 64 KiB over a virtual link in one piece and counts one header of 66 bytes for it;
    on a real one there are 66 (and 24 that no interface counts) in each 1,514.
    """

    received: int
    sent: int

    def since(self, before: "Traffic") -> "Traffic":
        """Give what has gone through after an earlier look."""
        return Traffic(self.received - before.received, self.sent - before.sent)


@attrs.define(eq=False)
class Host:
    """One computer."""

    name: str
    address: str
    _holder: subprocess.Popen[str]
    _switch: "Host | None" = None

    @property
    def pid(self) -> int:
        """The process that holds it."""
        return self._holder.pid

    def on(self, *command: Word) -> list[str]:
        """Write down a command that runs there; its process is the command's own, its folder is /."""
        return ["nsenter", "--target", str(self.pid), *NAMESPACES, *FOLDERS, "--", *map(str, command)]

    def seen(self, path: Path) -> Path:
        """Give the path at which what is there at ``path`` is seen from outside."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def traffic(self) -> Traffic:
        """Count what has gone through its interface so far."""
        (link,) = json.loads(_run(self.on("ip", "-json", "-stats", "link", "show", PORT)))
        return Traffic(link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["bytes"])

    def unplug(self) -> None:
        """Pull its cable out of the switch: what it sends is lost, and nothing comes."""
        self._set_port("down")

    def plug_in(self) -> None:
        """Put the cable back."""
        self._set_port("up")

    def _set_port(self, state: str) -> None:
        assert self._switch is not None
        _run(self._switch.on("ip", "link", "set", self.name, state))

    def processes(self) -> dict[int, str]:
        """Give the processes that run there and their command lines, but for the one that holds it."""
        ours = self._namespace(str(self.pid))
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(folder.name) != self.pid and self._namespace(folder.name) == ours:
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = words.decode(errors="replace").strip()
        return found

    def mounts(self) -> list[str]:
        """Give the FUSE mounts that are there."""
        return list(_fuse_mounts(str(self.pid)))

    def end(self) -> None:
        """End all that runs there, and the host; raises NoHostsError when it does not end."""
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        self._holder.stdin.close()
        try:
            self._holder.wait(ENDS)
        except subprocess.TimeoutExpired:
            left = self.processes()
            self._holder.kill()
            self._holder.wait()
            raise NoHostsError(f"{self.name} has not ended: {left}") from None
        finally:
            self._holder.stdout.close()
            self._holder.stderr.close()

    @staticmethod
    def _namespace(process: str) -> int:
        return Path("/proc", process, "ns", "net").stat().st_ino


def why_not() -> str | None:
    """Return why there can be no hosts on this machine; None where there can be."""
    try:
        with hosts(1) as (one,):
            seen = _run(one.on("stat", "--format", "%d %i", "/")).split()
    except (NoHostsError, OSError) as error:
        chroot = "" if at(Path("/")) else " (/ is not a mount point: this is a chroot without pivot_root)"
        return f"there can be no hosts here: {error}{chroot}"
    root = Path("/").stat()
    if seen != [str(root.st_dev), str(root.st_ino)]:
        return "there can be no hosts here: nsenter leads out of this chroot"
    return None


@contextlib.contextmanager
def hosts(count: int) -> Iterator[tuple[Host, ...]]:
    """Have so many computers, node1 and on, that know one another by name; raises NoHostsError.

    At the end nothing is left of them.
    """
    names = [f"node{number}" for number in range(1, count + 1)]
    addresses = [f"{NET}.{number}" for number in range(1, count + 1)]
    known = "127.0.0.1 localhost\\n" + "".join(
        f"{address} {name}\\n" for name, address in zip(names, addresses, strict=True)
    )
    with contextlib.ExitStack() as stack:
        switch = _host(stack, BRIDGE, "", known, None)
        _run(switch.on("ip", "link", "add", "name", BRIDGE, "up", "type", "bridge"))
        found = []
        for name, address in zip(names, addresses, strict=True):
            host = _host(stack, name, address, known, switch)
            pair = ("name", name, "master", BRIDGE, "up", "type", "veth", "peer", "name", PORT)
            _run(switch.on("ip", "link", "add", *pair, "netns", host.pid))
            _run(host.on("ip", "address", "add", f"{address}/24", "dev", PORT))
            _run(host.on("ip", "link", "set", PORT, "up"))
            found.append(host)
        yield tuple(found)


def _host(stack: contextlib.ExitStack, name: str, address: str, known: str, switch: Host | None) -> Host:
    pipe = subprocess.PIPE
    command = ["unshare", *NAMESPACES, "--", "sh", "-c", HOLD, "sh", name, known]
    # In a session of its own: Ctrl-C must not end it before it has swept its host.
    holder = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd="/", start_new_session=True
    )
    host = Host(name, address, holder, switch)
    stack.callback(host.end)
    assert holder.stdout is not None
    assert holder.stderr is not None
    if holder.stdout.readline() != "ready\n":
        raise NoHostsError(f"{name} can't be: {holder.stderr.read().strip()}")
    return host


def _fuse_mounts(process: str) -> Iterator[str]:
    for line in Path("/proc", process, "mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.split(" ")[0].partition(".")[0] == "fuse":
            yield left.split(" ")[4]


def _run(command: Sequence[str]) -> str:
    """Run a command that takes no time; raises NoHostsError with what it said."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=ENDS)
    except subprocess.TimeoutExpired as error:
        raise NoHostsError(f"{' '.join(command)}: still running after {ENDS:g} s") from error
    except subprocess.CalledProcessError as error:
        raise NoHostsError(f"{' '.join(command)}: {error.stderr.strip()}") from error
    except FileNotFoundError as error:
        raise NoHostsError(f"{command[0]} is not installed") from error
    return done.stdout
