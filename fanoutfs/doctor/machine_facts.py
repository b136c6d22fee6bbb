"""What this machine and this process have: looked at once, each look with a limit. It decides nothing."""

import os
import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import attrs

from fanoutfs.doctor.features import FILTERS, MODULES, PLUGINS, PROGRAMS
from fanoutfs.engine.logs import has_syslog
from fanoutfs.errors import FanoutError, NoAnswerError, reason
from fanoutfs.system.bounded import call_within, run_within
from fanoutfs.system.fuse_access import BDI, FUSECTL, FuseAccess, fuse_access
from fanoutfs.system.memory_room import MemoryRoom, memory_room
from fanoutfs.system.mountinfo import mounts
from fanoutfs.system.runtime_dir import runtime_folder
from fanoutfs.system.versions import libfuse_version, package_version

LOOK_UP_SECONDS = 5.0
"""How long the search for programs in PATH may take."""

PLUGIN_SECONDS = 3.0
"""How long nbdkit may take to load a plugin or a filter."""

LOOPS = Path("/dev/loop-control")
UDEV = Path("/run/udev/control")

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""A user's PATH may lack these."""


@attrs.frozen(kw_only=True)
class MachineFacts:
    """All facts. A text that is empty means that there is nothing to complain about."""

    fuse: FuseAccess | None
    """None: fusermount3 can't be looked for."""
    pyfuse3: str
    libfuse: str
    fusectl: str
    """Why the mount can't be tuned there."""
    read_ahead: str
    """The same, of its read-ahead."""
    kernel: str
    """What the kernel, or a filter of system calls, lacks for copies."""
    room: MemoryRoom
    folder: str
    """The runtime folder."""
    no_folder: str
    """Why there can't be one."""
    loops: bool
    """Loop devices can be made."""
    udev: bool
    syslog: bool
    lacking: frozenset[str]
    """Of the programs, plugins, filters and modules that features need, those that are not there."""
    silent: str
    """Why programs could not be looked for; all of them count as lacking then."""


def look() -> MachineFacts:
    """Look at everything."""
    folder, no_folder = _folder()
    lacking, silent = _lacking()
    return MachineFacts(
        fuse=_fuse(),
        pyfuse3=package_version("pyfuse3"),
        libfuse=libfuse_version(),
        fusectl=_fusectl(),
        read_ahead=_read_ahead(),
        kernel=_kernel(),
        room=memory_room(),
        folder=folder,
        no_folder=no_folder,
        loops=os.access(LOOPS, os.R_OK | os.W_OK),
        udev=UDEV.exists(),
        syslog=has_syslog(),
        lacking=lacking,
        silent=silent,
    )


def _fuse() -> FuseAccess | None:
    try:
        return fuse_access()
    except NoAnswerError:
        return None


def _fusectl() -> str:
    if not any(mount.kind == "fusectl" for mount in mounts()):
        return f"{FUSECTL} is not mounted"
    return f"{FUSECTL} is read-only" if os.statvfs(FUSECTL).f_flag & os.ST_RDONLY else ""


def _read_ahead() -> str:
    if not BDI.is_dir():
        return f"there is no {BDI}"
    if os.statvfs(BDI).f_flag & os.ST_RDONLY:
        return f"{BDI} is read-only"
    return "" if os.geteuid() == 0 else f"only root can write to {BDI}"


def _kernel() -> str:
    try:
        os.close(os.memfd_create("fanoutfs-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        os.close(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE))
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return f"memfd_create(2), eventfd(2) or pidfd_open(2) fails: {reason(error)}"
    return ""


def _folder() -> tuple[str, str]:
    try:
        return str(runtime_folder()), ""
    except FanoutError as error:
        return "", str(error)


def _lacking() -> tuple[frozenset[str], str]:
    """Return what is not there of what features need, and why programs could not be looked for."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SBIN])
    modules = {module for module in MODULES if find_spec(module) is None}
    try:
        programs = set(call_within(LOOK_UP_SECONDS, partial(_not_in, path)))
    except TimeoutError:
        silent = f"a folder of PATH has not answered for {LOOK_UP_SECONDS:g} seconds"
        return frozenset({*modules, *PROGRAMS, *PLUGINS, *FILTERS}), silent
    if "nbdkit" in programs:
        parts = {*PLUGINS, *FILTERS}
    else:
        parts = {name for name, asked in {**PLUGINS, **FILTERS}.items() if not _loads(asked)}
    return frozenset(modules | programs | parts), ""


def _not_in(path: str) -> list[str]:
    return [name for name, program in PROGRAMS.items() if shutil.which(program, path=path) is None]


def _loads(arguments: tuple[str, ...]) -> bool:
    try:
        return run_within(PLUGIN_SECONDS, ["nbdkit", *arguments]).returncode == 0
    except OSError:
        return False
