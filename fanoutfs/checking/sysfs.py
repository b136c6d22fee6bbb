"""Block devices as the kernel shows them in /sys: what each is, and what it lies on."""

from pathlib import Path

import attrs

from fanoutfs.checking.storage import Device, Kind
from fanoutfs.system.identity import disk_identity

SECTOR = 512
"""Bytes; the unit of sizes in /sys, whatever the disk's sectors are."""

_MAPPED: dict[str, Kind] = {"LVM-": "LVM", "CRYPT-": "crypt", "mpath-": "multipath"}
"""The beginnings of device-mapper UUIDs."""


@attrs.frozen(kw_only=True)
class Entry:
    """One device; it refers to others by their identities."""

    identity: str
    device: Device
    begin: int = 0
    """The byte of ``disk`` or ``backing`` at which it begins."""
    disk: str = ""
    """The disk of a partition."""
    backing: str = ""
    """The path of the file or device behind a loop device."""
    slaves: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()


def entries(sys: Path) -> list[Entry]:
    """Read all block devices; raise OSError if they can't be listed."""
    folders = {link.name: link.resolve() for link in sorted((sys / "class" / "block").iterdir())}
    names = {
        name: disk_identity(number) for name, folder in folders.items() if (number := _text(folder / "dev"))
    }
    return [_entry(name, folders[name], names) for name in names]


def btrfs(sys: Path) -> list[set[str]]:
    """Return the devices of each mounted btrfs, in any mount namespace."""
    groups = []
    for folder in _listing(sys / "fs" / "btrfs"):
        numbers = {_text(device / "dev") for device in _listing(folder / "devices")}
        groups.append({disk_identity(number) for number in numbers if number})
    return groups


def _entry(name: str, folder: Path, names: dict[str, str]) -> Entry:
    """Read one device."""
    kind: Kind = "disk"
    whole, begin, disk = folder, 0, ""
    backing = _text(folder / "loop" / "backing_file")
    mapped, uuid = _text(folder / "dm" / "name"), _text(folder / "dm" / "uuid")
    if (folder / "partition").exists():
        kind, whole = "partition", folder.parent
        begin, disk = _number(folder / "start") * SECTOR, disk_identity(_text(whole / "dev"))
    elif backing:
        kind, begin = "loop", _number(folder / "loop" / "offset")
    elif mapped:
        kind = next((kind for start, kind in _MAPPED.items() if uuid.startswith(start)), "dm")
    elif (folder / "md").exists():
        kind = "md"
    device = Device(
        # In /sys a slash in a name is written as an exclamation mark.
        name=name.replace("!", "/"),
        kind=kind,
        size=_number(folder / "size") * SECTOR,
        read_only=bool(_number(folder / "ro") or _number(whole / "ro")),
        mapped=mapped,
        generation=_number(whole / "diskseq"),
    )
    slaves, holders = (
        tuple(names[link.name] for link in _listing(folder / side) if link.name in names)
        for side in ("slaves", "holders")
    )
    return Entry(
        identity=names[name],
        device=device,
        begin=begin,
        disk=disk,
        backing=backing,
        slaves=slaves,
        holders=holders,
    )


def _text(path: Path) -> str:
    """Read a file of /sys; empty if it is missing: devices differ, and any may disappear."""
    try:
        return path.read_text(errors="surrogateescape").removesuffix("\n")
    except OSError:
        return ""


def _number(path: Path) -> int:
    return int(_text(path) or 0)


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
