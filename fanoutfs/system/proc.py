"""What /proc tells of a reader's process."""

from pathlib import Path


def read(pid: int, name: str) -> str:
    """Give the text of /proc/PID/``name``; empty when the process is gone or not ours to see."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
