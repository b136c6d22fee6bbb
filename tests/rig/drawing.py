"""A terminal that rich draws on in memory."""

import io

from rich.console import Console


def console(*, width: int = 80, height: int = 24, is_terminal: bool = True, term: str = "xterm") -> Console:
    """Return a console of that size, without colours; a terminal, or a file."""
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=is_terminal,
        color_system=None,
        _environ={"TERM": term},
    )


def drawn(on: Console) -> str:
    """Return all output of a console."""
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()
