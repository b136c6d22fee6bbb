"""What lsblk (util-linux) reports about disks, shown to the user before they are overwritten."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from fanoutfs.checking.contents import begins_with_zeros, probe
from fanoutfs.checking.safety import Candidate
from fanoutfs.system.bounded import run_within
from fanoutfs.system.identity import disk_identity
from fanoutfs.units import format_size

COLUMNS = "PATH,MAJ:MIN,KNAME,PKNAME,SIZE,MODEL,SERIAL,FSTYPE,LABEL,PTTYPE"

SECONDS = 10.0
"""If lsblk takes longer, only the path and size of each disk are shown."""


@attrs.frozen
class Listed:
    """One device; unknown fields are empty."""

    model: str = ""
    serial: str = ""
    contents: tuple[str, ...] = ()
    """A line for the whole device, and one for each partition or volume on it."""


def described(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with what is known of the disks among them, and whether they are blank.

    This takes some tenths of a second, and reads the disks; only what is shown to the user needs it.
    """
    found = ask(sorted({candidate.disk for candidate in candidates if candidate.disk}))
    return [_described(candidate, found) if candidate.disk else candidate for candidate in candidates]


def _described(candidate: Candidate, found: Mapping[str, Listed]) -> Candidate:
    listed = found.get(candidate.identity)
    if listed is None:
        line = _line(_probed({"path": candidate.path}), whole=True)
        listed = Listed(contents=(line,) if line else ())
    return attrs.evolve(
        candidate,
        model=listed.model,
        serial=listed.serial,
        contents=listed.contents,
        blank=not listed.contents and begins_with_zeros(candidate.path),
    )


def ask(disks: Sequence[str]) -> dict[str, Listed]:
    """Return these disks and everything on them by identity; nothing if lsblk is missing or fails."""
    if not disks:
        return {}
    command = ["lsblk", "--json", "--bytes", "--output", COLUMNS, "--", *disks]
    try:
        # If one of several disks does not exist, lsblk fails, but lists the others.
        done = run_within(SECONDS, command)
        rows = json.loads(done.stdout)["blockdevices"]
    except (OSError, ValueError, KeyError):
        return {}
    return listed([_probed(row) for row in rows])


def _probed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add what only the content tells, where udev has recorded nothing."""
    if _field(row, "fstype") or _field(row, "pttype"):
        return row
    found = probe(str(row["path"]))
    return {**row, "fstype": found.get("TYPE"), "label": found.get("LABEL"), "pttype": found.get("PTTYPE")}


def listed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Listed]:
    """Parse the rows of lsblk's JSON; return the devices by identity."""
    by_name = {_field(row, "kname"): row for row in rows}
    found = {}
    for row in rows:
        above = [row, *_above(row, by_name)]
        below = [other for other in rows if row in _above(other, by_name)]
        lines = [_line(row, whole=True), *(_line(other, whole=False) for other in below)]
        found[disk_identity(_field(row, "maj:min"))] = Listed(
            model=next((word for one in above if (word := _field(one, "model"))), ""),
            serial=next((word for one in above if (word := _field(one, "serial"))), ""),
            contents=tuple(line for line in lines if line),
        )
    return found


def _above(row: Mapping[str, Any], by_name: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the devices from a partition or volume up to its disk."""
    seen = set()
    while (parent := _field(row, "pkname")) in by_name and parent not in seen:
        seen.add(parent)
        row = by_name[parent]
        yield row


def _line(row: Mapping[str, Any], *, whole: bool) -> str:
    parts = [
        _field(row, "fstype") or (f"{table} table" if whole and (table := _field(row, "pttype")) else "")
    ]
    if label := _field(row, "label"):
        parts.append(f"“{label}”")
    if not whole:
        size = _field(row, "size")
        parts = [_field(row, "path"), format_size(int(size)) if size.isdecimal() else "", *parts]
    return " ".join(part for part in parts if part)


def _field(row: Mapping[str, Any], key: str) -> str:
    """Return a field as text, printable: a label on the disk may contain an escape sequence."""
    text = str(row.get(key) or "").strip()
    return "".join(sign if sign.isprintable() else "?" for sign in text)
