"""A machine of files: /sys, /proc and /dev in a folder, for what this one does not have."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import attrs

from fanoutfs.checking.inspection import System
from fanoutfs.checking.sysfs import SECTOR


@attrs.define(eq=False)
class FakeMachine:
    """Devices are named as in /sys, numbers are ``major:minor``, sizes are bytes."""

    root: Path
    mounts: list[str] = attrs.field(factory=list)
    swaps: list[str] = attrs.field(factory=list)
    looked_at: list[str] = attrs.field(factory=list)
    """The paths that stat was called with."""
    backing_files: dict[str, str] = attrs.field(factory=dict)
    """The identities of files behind loop devices, as the kernel tells them to root."""
    _numbers: dict[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for folder in ("sys/class/block", "sys/devices", "proc/self", "dev", "files"):
            (self.root / folder).mkdir(parents=True)

    def node(self, name: str) -> Path:
        """Return the device's node: a file that ``system`` shows as a block device."""
        return self.root / "dev" / name

    def file(self, name: str, size: int = 0) -> Path:
        """Make a regular file."""
        path = self.root / "files" / name
        path.touch()
        os.truncate(path, size)
        return path

    def device(self, name: str, number: str, size: int, *, disk: str = "", **attributes: object) -> str:
        """Add a device, a partition when it has a disk; ``loop__offset`` is the file loop/offset."""
        place = Path(os.path.realpath(self._link(disk))) if disk else self.root / "sys" / "devices"
        folder = place / name
        files = {"dev": number, "size": size // SECTOR, "ro": 0, **attributes}
        for key, value in files.items():
            path = folder / key.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        self._link(name).symlink_to(folder)
        self.node(name).touch()
        self._numbers[str(self.node(name))] = number
        return name

    def takes(self, upper: str, *members: str, said_by: Sequence[str] = ("slaves", "holders")) -> None:
        """Make a volume of members; /sys lists them in its ``slaves``, and it in their ``holders``."""
        for member in members:
            for folder, name in (
                (self._link(upper) / "slaves", member),
                (self._link(member) / "holders", upper),
            ):
                if folder.name not in said_by:
                    continue
                folder.mkdir(exist_ok=True)
                (folder / name).symlink_to(self._link(name))

    def btrfs(self, *members: str) -> None:
        """Make a mounted btrfs of members."""
        folder = self.root / "sys" / "fs" / "btrfs" / "1234" / "devices"
        folder.mkdir(parents=True)
        for member in members:
            (folder / member).symlink_to(self._link(member))

    def mount(self, number: str, point: object, kind: str, source: object) -> None:
        """Add a mount to mountinfo; none covers another."""
        last = 35 + len(self.mounts)
        self.mounts.append(f"{last + 1} {last} {number} / {point} rw - {kind} {source} rw\n")

    def system(self) -> System:
        """Write the tables of /proc; return the machine for an inspection."""
        (self.root / "proc/self/mountinfo").write_text("".join(self.mounts))
        areas = "".join(f"{path}\tfile\t1\t0\t-2\n" for path in self.swaps)
        (self.root / "proc/swaps").write_text(f"Filename\tType\tSize\tUsed\tPriority\n{areas}")
        return System(
            sys=self.root / "sys",
            proc=self.root / "proc",
            stat=self._stat,
            access=os.access,
            backing_file=self.backing_files.get,
        )

    def _link(self, name: str) -> Path:
        return self.root / "sys" / "class" / "block" / name

    def _stat(self, path: str) -> os.stat_result:
        self.looked_at.append(path)
        status = Path(path).stat()
        if path not in self._numbers:
            return status
        major, _, minor = self._numbers[path].partition(":")
        number = os.makedev(int(major), int(minor))
        return os.stat_result((stat.S_IFBLK | 0o600, *tuple(status)[1:]), {"st_rdev": number})
