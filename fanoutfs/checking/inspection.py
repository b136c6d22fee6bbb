"""The machine's disks, file systems and swap, read once from /sys, /proc and stat.

This module only translates; ``safety`` decides whether a target may be written. A device that disappears
while it is examined (a stick is pulled out) is left out, as if it had disappeared a moment earlier.

A file system for which a server answers (FUSE, NFS and others) is not accessed unless a source or target lies
in it: its server may be stopped, and the copy has nothing to do with it.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from fanoutfs.checking import sysfs
from fanoutfs.checking.loops import backing_file
from fanoutfs.checking.safety import RequestedTarget
from fanoutfs.checking.storage import Device, Mounted, Piece, StorageGraph
from fanoutfs.checking.sysfs import Entry
from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.identity import (
    disk_identity,
    file_identity,
    mounted_device,
    new_file_identity,
    served_identity,
)
from fanoutfs.system.mountinfo import Mount, parse, plain, visible
from fanoutfs.system.paths import find, follow, has_server, is_fanoutfs, within

KEEPS_NO_FILES = frozenset({
    "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "fusectl", "mqueue",
    "proc", "pstore", "securityfs", "sysfs", "tracefs",
})  # fmt: skip


def _may_write(path: str, mode: int) -> bool:
    # As the effective user, who will open it.
    return os.access(path, mode, effective_ids=True)


@attrs.frozen(kw_only=True)
class System:
    """The interfaces through which the machine is examined; tests replace them."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    stat: Callable[[str], os.stat_result] = os.stat
    access: Callable[[str, int], bool] = _may_write
    backing_file: Callable[[str], str | None] = backing_file


@attrs.frozen
class Findings:
    """The source, the targets and their machine, at one moment."""

    source: RequestedTarget | None
    targets: tuple[RequestedTarget, ...]
    machine: StorageGraph
    outputs: Mapping[str, str]
    """The files that fanoutfs writes messages to: identity, and what each is."""


def read(
    source: str | None,
    targets: Sequence[str],
    system: System | None = None,
    *,
    outputs: Mapping[str, str] | None = None,
) -> Findings:
    """Examine a source (None: on another computer), its targets, and the storage below and above them.

    ``outputs`` are the paths of the files for messages, and what each is.
    """
    reader = _Reader(system or System())
    reader.read([*targets, *([] if source is None else [source]), *(outputs or ())])
    examined = None if source is None else reader.examine(source)
    # A terminal or a pipe has no identity.
    found = {reader.examine(path).identity: name for path, name in (outputs or {}).items()}
    found.pop("", None)
    return Findings(examined, tuple(reader.examine(target) for target in targets), reader.machine(), found)


@attrs.define(eq=False)
class _Reader:
    system: System
    _mounts: list[Mount] = attrs.field(factory=list, init=False)
    _visible: list[Mount] = attrs.field(factory=list, init=False)
    _concerned: set[tuple[int, int]] = attrs.field(factory=set, init=False)
    """The device numbers of the file systems in which source and targets lie."""
    _devices: dict[str, Device] = attrs.field(factory=dict, init=False)
    _btrfs: list[set[str]] = attrs.field(factory=list, init=False)
    _lies_on: dict[str, list[Piece]] = attrs.field(factory=dict, init=False)
    _paths: dict[str, str] = attrs.field(factory=dict, init=False)
    _mounted: list[Mounted] = attrs.field(factory=list, init=False)
    _swaps: list[str] = attrs.field(factory=list, init=False)

    def machine(self) -> StorageGraph:
        return StorageGraph(
            devices=self._devices,
            lies_on=self._lies_on,
            paths=self._paths,
            mounted=self._mounted,
            swaps=self._swaps,
        )

    def read(self, named: Sequence[str]) -> None:
        """Read everything but the source, the targets and the outputs, whose paths are ``named``."""
        mountinfo = self.system.proc / "self" / "mountinfo"
        try:
            self._mounts = parse(mountinfo.read_bytes())
            self._visible = visible(self._mounts)
            entries = sysfs.entries(self.system.sys)
        except OSError as error:
            message = (
                f"{error.filename} can't be read: {reason(error)}; without it no target is known to be safe; "
                "mount it: mount -t proc proc /proc; mount -t sysfs sysfs /sys"
            )
            raise UnusableError(message) from error
        self._devices = {entry.identity: entry.device for entry in entries}
        self._btrfs = sysfs.btrfs(self.system.sys)
        for path in named:
            self._locate(path)
        for entry in entries:
            self._beneath(entry)
        for mount in self._mounts:
            writable = "ro" not in mount.options and not is_fanoutfs(mount)
            self._mounted += [Mounted(base, mount.point, mount.kind, writable) for base in self._bases(mount)]
        for member in {member for group in self._btrfs for member in group}:
            if all(mounted.storage != member for mounted in self._mounted):
                self._mounted.append(Mounted(member, "", "btrfs"))
        self._swaps = list(self._swap_areas())

    def _locate(self, named: str) -> None:
        """Record the file system of a named path. Raise NoAnswerError if it does not answer."""
        try:
            path, mount = find(named, self._visible)
        except OSError:
            # ``examine`` reports it.
            return
        if mount is None and (mount := within(path, self._visible)) is not None:
            self._concerned.add(mount.device)

    def _is_avoided(self, mount: Mount) -> bool:
        return is_fanoutfs(mount) or (has_server(mount) and mount.device not in self._concerned)

    def examine(self, named: str) -> RequestedTarget:
        """Examine the source or a target."""
        path = named
        try:
            path, mount = follow(named, self._visible)
            if mount is not None:
                identity = self._served(path, mount)
                return RequestedTarget(named, path, "in fanoutfs", identity, failure=mount.point)
            status = self.system.stat(path)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and path.startswith("/"):
                return self._absent(named, path)
            return RequestedTarget(named, path, "unseen", failure=reason(error))
        if not (stat.S_ISBLK(status.st_mode) or stat.S_ISREG(status.st_mode)):
            return RequestedTarget(named, path, "folder" if stat.S_ISDIR(status.st_mode) else "other")
        writable = self.system.access(path, os.W_OK)
        if stat.S_ISREG(status.st_mode):
            identity, pseudo_fs = self._file(path, status), self._pseudo_fs(path)
            return RequestedTarget(
                named,
                path,
                "file",
                identity,
                size=status.st_size,
                writable=writable,
                pseudo_fs=pseudo_fs,
                unlinked=status.st_nlink == 0,
            )
        identity = disk_identity(status.st_rdev)
        device = self._devices.get(identity)
        size = device.size if device else 0
        return RequestedTarget(named, path, "disk", identity, size=size, writable=writable)

    def _absent(self, named: str, path: str) -> RequestedTarget:
        """Examine the folder of a file that does not exist."""
        folder, name = os.path.split(path)
        try:
            status = self.system.stat(folder)
        except OSError:
            return RequestedTarget(named, path, "file", exists=False, parent="missing")
        if named.endswith("/"):
            return RequestedTarget(named, path, "folder", exists=False)
        identity = new_file_identity(status, name)
        self._place(identity, path, status.st_dev)
        return RequestedTarget(
            named,
            path,
            "file",
            identity,
            exists=False,
            parent="writable" if self.system.access(folder, os.W_OK | os.X_OK) else "closed",
            pseudo_fs=self._pseudo_fs(path),
        )

    def _pseudo_fs(self, path: str) -> str:
        # A link that is left stands for an open file, which lies elsewhere.
        mount = None if Path(path).is_symlink() else within(path, self._visible)
        if mount is None or mount.kind not in KEEPS_NO_FILES | {"tmpfs"}:
            return ""
        # In a container /dev is a tmpfs; only its path distinguishes it.
        return "devtmpfs" if mount.point == "/dev" else "" if mount.kind == "tmpfs" else mount.kind

    def _beneath(self, entry: Entry) -> None:
        """Record what a device lies on, and what lies on it: the kernel lists both."""
        begin, end = entry.begin, entry.begin + entry.device.size
        if entry.disk:
            self._put(entry.identity, Piece(base=entry.disk, begin=begin, end=end, exact=True))
        elif entry.backing and (base := self._storage(entry.backing, loop=entry.device.name)):
            self._put(entry.identity, Piece(base=base, begin=begin, end=end, exact=True))
        for slave in entry.slaves:
            self._put(entry.identity, Piece(base=slave))
        for holder in entry.holders:
            self._put(holder, Piece(base=entry.identity))

    def _put(self, storage: str, piece: Piece) -> None:
        pieces = self._lies_on.setdefault(storage, [])
        if piece not in pieces:
            pieces.append(piece)

    def _file(self, path: str, status: os.stat_result) -> str:
        """Record a file; return its identity."""
        identity = file_identity(status)
        self._place(identity, path, status.st_dev)
        return identity

    def _place(self, identity: str, path: str, number: int) -> None:
        """Record that a file lies, or will lie, on the devices of its file system."""
        if identity in self._paths:
            return
        self._paths[identity] = path
        device = disk_identity(number)
        if device in self._devices:
            bases = [device]
        else:
            # On btrfs and some others a file's device number is not that of a device.
            mount = within(path, self._visible)
            bases = self._bases(mount) if mount else []
        for base in bases:
            self._put(identity, Piece(base=base, files=True))

    def _bases(self, mount: Mount) -> list[str]:
        """Return the storages that hold a mounted file system."""
        device = mounted_device(mount)
        if device in self._devices:
            return [device]
        base = self._storage(mount.source) if mount.source.startswith("/") else None
        if base is None:
            return []
        return next((sorted(group) for group in self._btrfs if base in group), [base])

    def _storage(self, path: str, *, loop: str = "") -> str | None:
        """Return the identity of the disk or file at a path that the system reports.

        ``loop``: the loop device that it is behind.
        """
        try:
            path, mount = follow(path, self._visible, self._is_avoided)
            if mount is not None:
                known = self.system.backing_file(loop) if loop and not is_fanoutfs(mount) else None
                return self._served(path, mount, known)
            status = self.system.stat(path)
        except OSError:
            # Deleted since, or a path in another container or on another machine.
            return None
        if stat.S_ISBLK(status.st_mode):
            return disk_identity(status.st_rdev)
        return self._file(path, status) if stat.S_ISREG(status.st_mode) else None

    def _served(self, path: str, mount: Mount, identity: str | None = None) -> str:
        """Record a file in a mount without accessing it; in one of ours it lies on that mount's source."""
        identity = identity or served_identity(mount, path)
        if identity not in self._paths:
            self._paths[identity] = path
            for base in self._bases(mount):
                self._put(identity, Piece(base=base, files=not is_fanoutfs(mount)))
        return identity

    def _swap_areas(self) -> Iterator[str]:
        areas = self.system.proc / "swaps"
        # A kernel without swap has no such file.
        text = areas.read_bytes() if areas.exists() else b""
        for line in text.split(b"\n")[1:]:
            name = re.split(rb"[ \t]", line, maxsplit=1)[0]
            if name and (storage := self._storage(plain(name))):
                yield storage
