"""Information on a reader's process from /proc."""

from pathlib import Path


def read(pid: int, name: str) -> str:
    """Return the text of /proc/PID/``name``; empty if the process has ended or access is denied."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
