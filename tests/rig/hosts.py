"""Several hosts on this machine: each has its own network, mounts and name, and a switch connects them.

A host is a process that holds three new namespaces (network, mount, UTS); a command that runs "on" the host
enters them. Each host has its own empty /run, so a producer on one host is invisible on the others. Each has
one interface, whose other end is a port of a bridge in a further namespace. Hosts share everything else with
this machine: files, processes, /proc and /sys (device limits can be set from anywhere; /sys/class/net shows
no host's interfaces). A host detaches the mounts of programs and loop devices that exist when it starts: its
copy of such a mount would keep it alive.

A holder ends when its starter ends in any way, and kills all processes on its host first. When the last
process has ended, the kernel removes the interfaces and the mounts.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.rig import mountinfo
from tests.rig.commands import Argument, run

NAMESPACES = ("--net", "--mount", "--uts")
FOLDERS = ("--root", "--wd")  # the holder's: in a chroot they differ from the root of its mounts
NET = "10.84.0"  # the first three numbers of all addresses, which are invisible outside
PORT = "eth0"
BRIDGE = "switch"
ENDS = 30.0  # seconds to wait for a host's end
FORGET = """
# Other tests' mounts, the last first: it may cover one before it. A mount within a mount goes with it.
tac /proc/self/mounts | while read -r what point kind _; do
    case "$kind $what $point" in
    fusectl* | *" ${KEPT:-none}"*) ;;
    fuse* | *" /dev/loop"* | tmpfs*/pytest-*) umount --lazy "$(printf %b "$point")" || : ;;
    esac
done
"""
"""For a new mount namespace: without the mounts that its copy would keep alive, except those below $KEPT."""

HOLD = (
    """
set -e
hostname "$1"
"""
    + FORGET
    + """
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
)


class NoHostsError(Exception):
    """Hosts are impossible on this machine, or one of them did not end."""


@attrs.frozen
class Traffic:
    """The kernel's count of the bytes that a host's interface received and sent, headers included.

    The kernel passes up to 64 KiB over a virtual link at once and counts one header of 66 bytes for it; a
    real link has 66 (and 24 that no interface counts) in each 1,514.
    """

    received: int
    sent: int

    def since(self, before: "Traffic") -> "Traffic":
        """Return the traffic after an earlier count."""
        return Traffic(self.received - before.received, self.sent - before.sent)


@attrs.define(eq=False)
class Host:
    """One host."""

    name: str
    address: str
    _holder: subprocess.Popen[str]
    _switch: "Host | None" = None

    @property
    def pid(self) -> int:
        """The process that holds its namespaces."""
        return self._holder.pid

    def on(self, *command: Argument) -> list[str]:
        """Return the argv of a command on this host; it runs in the same process, in the folder /."""
        return ["nsenter", "--target", str(self.pid), *NAMESPACES, *FOLDERS, "--", *map(str, command)]

    def seen(self, path: Path) -> Path:
        """Return the path outside of a file at ``path`` on this host."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def traffic(self) -> Traffic:
        """Return the traffic of its interface so far."""
        (link,) = json.loads(run(*self.on("ip", "-json", "-stats", "link", "show", PORT)).stdout)
        return Traffic(link["stats64"]["rx"]["bytes"], link["stats64"]["tx"]["bytes"])

    def unplug(self) -> None:
        """Pull its cable out of the switch: all that it sends is lost, and it receives nothing."""
        self._set_port("down")

    def plug_in(self) -> None:
        """Put the cable back."""
        self._set_port("up")

    def _set_port(self, state: str) -> None:
        assert self._switch is not None
        run(*self._switch.on("ip", "link", "set", self.name, state))

    def processes(self) -> dict[int, str]:
        """Return the processes on this host, except its holder, and their command lines."""
        ours = self._namespace(str(self.pid))
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(folder.name) != self.pid and self._namespace(folder.name) == ours:
                    argv = (folder / "cmdline").read_text(errors="replace")
                    found[int(folder.name)] = argv.replace("\0", " ").strip()
        return found

    def mounts(self) -> list[str]:
        """Return the FUSE mounts on this host."""
        found = mountinfo.entries(self.pid)
        return [entry.point for entry in found if entry.kind.partition(".")[0] == "fuse"]

    def end(self) -> None:
        """End the host and all its processes; raise NoHostsError if it does not end."""
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
    """Return why hosts are impossible on this machine; None if they are possible."""
    try:
        with hosts(1) as (one,):
            seen = run(*one.on("stat", "--format", "%d %i", "/")).stdout.decode().split()
    except (NoHostsError, AssertionError, OSError) as error:
        chroot = (
            ""
            if mountinfo.at(Path("/"))
            else " (/ is not a mount point: this is a chroot without pivot_root)"
        )
        return f"hosts are impossible here: {error}{chroot}"
    root = Path("/").stat()
    if seen != [str(root.st_dev), str(root.st_ino)]:
        return "hosts are impossible here: nsenter leads out of this chroot"
    return None


@contextlib.contextmanager
def hosts(count: int) -> Iterator[tuple[Host, ...]]:
    """Start ``count`` hosts, node1 to nodeN, that resolve each other's names; end them at the end.

    Raise NoHostsError if this machine does not permit them.
    """
    names = [f"node{number}" for number in range(1, count + 1)]
    addresses = [f"{NET}.{number}" for number in range(1, count + 1)]
    known = "127.0.0.1 localhost\\n" + "".join(
        f"{address} {name}\\n" for name, address in zip(names, addresses, strict=True)
    )
    with contextlib.ExitStack() as stack:
        switch = _host(stack, BRIDGE, "", known, None)
        run(*switch.on("ip", "link", "add", "name", BRIDGE, "up", "type", "bridge"))
        found = []
        for name, address in zip(names, addresses, strict=True):
            host = _host(stack, name, address, known, switch)
            pair = ("name", name, "master", BRIDGE, "up", "type", "veth", "peer", "name", PORT)
            run(*switch.on("ip", "link", "add", *pair, "netns", host.pid))
            run(*host.on("ip", "address", "add", f"{address}/24", "dev", PORT))
            run(*host.on("ip", "link", "set", PORT, "up"))
            found.append(host)
        yield tuple(found)


def _host(stack: contextlib.ExitStack, name: str, address: str, known: str, switch: Host | None) -> Host:
    pipe = subprocess.PIPE
    command = ["unshare", *NAMESPACES, "--", "sh", "-c", HOLD, "sh", name, known]
    # A new session: Ctrl-C must not end the holder before it has swept its host.
    holder = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd="/", start_new_session=True
    )
    host = Host(name, address, holder, switch)
    stack.callback(host.end)
    assert holder.stdout is not None
    assert holder.stderr is not None
    if holder.stdout.readline() != "ready\n":
        raise NoHostsError(f"cannot start {name}: {holder.stderr.read().strip()}")
    return host
