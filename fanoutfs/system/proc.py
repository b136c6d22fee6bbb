"""Information on a process from /proc."""

import os
from pathlib import Path


def read(pid: int, name: str) -> str:
    """Return the text of /proc/PID/``name``; empty if the process has ended or access is denied."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def command_name(process: Path) -> str:
    """Return the name of a program, by its process's folder in /proc; empty if unknown or not printable.

    It may be any bytes.
    """
    try:
        name = os.fsdecode((process / "comm").read_bytes()).rstrip("\n")
    except OSError:
        return ""
    return name if name.isprintable() else ""


def state(pid: int) -> str:
    """Return the letter of a process's state (proc(5)); empty if it has ended."""
    return read(pid, "stat").rpartition(")")[2].strip()[:1]


def has_ended(pid: int) -> bool:
    """Return whether a process has ended; one that was not reaped yet has."""
    return state(pid) in ("", "Z", "X")


def started(pid: int) -> str:
    """Return when a process started, in the kernel's clock ticks (proc(5)); empty if it has ended.

    Together with the number it identifies a process: numbers are used again.
    """
    fields = read(pid, "stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else ""  # noqa: PLR2004 (field 22)


def is_stopped(pid: int) -> bool:
    """Return whether a process was stopped by a signal or a debugger."""
    return state(pid) in ("T", "t")


def why_silent(pid: int) -> str:
    """Return what a process that does not answer is doing, and what to do about it."""
    if is_stopped(pid):
        return f"process {pid} is stopped; continue it with: kill -CONT {pid}"
    if has_ended(pid):
        return f"process {pid} has ended"
    if state(pid) == "D":
        return f"process {pid} waits for a disk or file system that does not answer; see dmesg"
    return f"process {pid} hangs; look in its log, or end it with: kill {pid}"
