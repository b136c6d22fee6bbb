"""How many descriptors a producer needs. No I/O.

This is checked in advance: a producer that runs out of them leaves targets begun and not finished, or a mount
that is dead.
"""

from fanoutfs.errors import UnusableError

OWN = 24
"""What a producer needs without copies (measured: 17), and for commands that ask for its status."""

EACH = 5
"""For each copy: its socket, its two semaphores, and its grant table, which is mapped by a second one."""


def require_descriptors(copies: int, limit: int) -> None:
    """Raise UnusableError if a process that may have ``limit`` descriptors can't serve that many copies."""
    needed = OWN + EACH * copies
    if limit < needed:
        to = f" for {copies} target{'s' * (copies != 1)}" if copies else ""
        fewer = ", or name fewer targets" if copies > 1 else ""
        raise UnusableError(
            f"this needs {needed} open files{to}, and a process may have {limit} here; raise the hard limit "
            f"(ulimit -Hn, LimitNOFILE=){fewer}"
        )
