"""A place on this machine where commands run one after the other: a user, namespaces, a cgroup.

A process holds the namespaces. Commands enter them, and the cgroup, before they become the user. The user may
go where the tests' files, the checkout and Python are, whatever closed folders they lie in; and has /dev/fuse
and a runtime folder, as on a usual machine.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from tests.rig import mountinfo
from tests.rig.commands import Argument, Done, environment, finish, processes, start, wait_until
from tests.rig.hosts import FORGET
from tests.rig.limited import CGROUPS, control_group, within

ROOT = 0
NOBODY = 65534
CHECKOUT = Path(__file__).parents[2]

PREPARE = (
    "set -e\n"
    + FORGET
    + """
user=$1 count=$2; shift 2
paths=("${@:1:count}") opened=() closed=(); shift "$count"
for path in "${paths[@]}"; do
    exec {number}<"$path"
    opened+=("$number")
    folder=
    IFS=/ read -ra names <<<"${path#/}"
    for name in "${names[@]::${#names[@]}-1}"; do
        folder+=/$name
        (( 0$(stat --format %a "$folder") & 1 )) || { closed+=("$folder"); break; }
    done
done
mapfile -t closed < <(printf '%s\n' "${closed[@]}" | sort --unique)
for folder in "${closed[@]}"; do
    [ -z "$folder" ] || mount -t tmpfs -o mode=755 tmpfs "$folder"
done
for at in "${!paths[@]}"; do
    [ -e "${paths[at]}" ] && continue
    mkdir --parents "${paths[at]}"
    mount --no-canonicalize --bind "/proc/self/fd/${opened[at]}" "${paths[at]}"
done
for number in "${opened[@]}"; do exec {number}<&-; done
mount -t tmpfs -o "mode=755,uid=$user" tmpfs /run
mkdir /run/user
mkdir --mode 700 "/run/user/$user"
chown "$user" "/run/user/$user"
mknod --mode 666 /run/fuse c 10 229
mount --bind /run/fuse /dev/fuse
exec "$@"
"""
)
"""Arguments: the user, a number of paths, the paths, a command."""


@attrs.frozen
class Place:
    """A place; without a holder it is where the tests are."""

    user: int = ROOT
    namespaces: tuple[str, ...] = ()
    """By the names of the options of unshare(1)."""
    groups: tuple[Path, ...] = ()
    holder: int | None = None
    kept: tuple[int, ...] = ()
    """The holder, and the process that has started it."""

    def inside(self, *command: Argument) -> list[str]:
        """Return the argv of a command in this place."""
        words = list(map(str, command))
        if self.user != ROOT and "user" not in self.namespaces:
            runtime = f"XDG_RUNTIME_DIR=/run/user/{self.user}"
            words = ["env", runtime, *_as_user(self.user), *words]
        if self.holder is not None:
            entered = [f"--{name}" for name in ("mount", *self.namespaces)]
            words = ["nsenter", "--target", str(self.holder), *entered, "--root", "--wd", "--", *words]
        return list(map(str, within(self.groups, words))) if self.groups else words

    def run(self, *command: Argument, code: int | None = 0) -> Done:
        """Run a command for this user in these namespaces, with nothing else that is odd."""
        return finish(start(*attrs.evolve(self, groups=()).inside(*command)), code=code)

    def mounts(self, point: Path) -> list[mountinfo.Entry]:
        """Return what is mounted at a folder, as seen here."""
        return [entry for entry in mountinfo.entries(self.holder or "self") if entry.point == str(point)]

    def own_processes(self) -> list[int]:
        """Return the processes in its mount namespace, except the holder and its parent."""
        ours = None if self.holder is None else _namespace(self.holder)
        if ours is None:
            return []
        return [pid for pid, _ in processes() if pid not in self.kept and _namespace(pid) == ours]


@contextlib.contextmanager
def place(user: int, namespaces: tuple[str, ...], cgroup: Mapping[str, str], home: Path) -> Iterator[Place]:
    """Make a place in which ``home`` can be reached; nothing of it is left at the end.

    ``cgroup``: settings by the names of their files, such as pids.max.
    """
    with contextlib.ExitStack() as stack:
        groups = []
        for setting, value in cgroup.items():
            controller = CGROUPS / setting.partition(".")[0]
            groups.append(stack.enter_context(control_group(controller, "place", setting, value)))
        holder: int | None = None
        kept: tuple[int, ...] = ()
        if user != ROOT or namespaces:
            kept = stack.enter_context(_held(user, namespaces, home))
            holder = kept[-1]
        made = Place(user, namespaces, tuple(groups), holder, kept)
        stack.callback(_sweep, made)
        yield made


@contextlib.contextmanager
def _held(user: int, namespaces: tuple[str, ...], home: Path) -> Iterator[tuple[int, ...]]:
    """Start the process that holds the namespaces; yield its number, and before it that of its parent."""
    paths = [] if user == ROOT else [home, CHECKOUT, Path(sys.base_prefix)]
    entered = [f"--{name}" for name in namespaces]
    if "user" in namespaces:
        entered += ["--map-root-user", "--mount", "--propagation", "private"]
    if "pid" in namespaces:
        entered += ["--fork", "--kill-child", "--mount-proc"]
    inner = [*_as_user(user), *(["unshare", *entered] if entered else []), "sh", "-c", "echo ready; exec cat"]
    words = ["bash", "-c", PREPARE, "bash", user, len(paths), *paths, *inner]
    outer = ["unshare", "--mount", "--propagation", "private", *map(str, words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(outer, stdin=pipe, stdout=pipe, cwd="/", env=environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield (process.pid, *map(int, children))
        assert process.stdin is not None
        process.stdin.close()


def _as_user(user: int) -> list[str]:
    return [] if user == ROOT else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _sweep(made: Place) -> None:
    """Kill what a failed test has left."""
    for pid in made.own_processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not made.own_processes(), "nothing runs in the place")


def _namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 (not a path)
    except OSError:
        return None
