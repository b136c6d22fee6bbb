"""Limits that a process inherits, and that it may lift by itself."""

import os
import resource

OWNER = 0o700


def settle_limits() -> None:
    """Raise the soft limit of descriptors to the hard one, and let this user read and write what it makes.

    Shells allow 1024 descriptors, some services 32. With a umask that takes the owner's rights, nobody but
    root could finish an unfinished copy, or take a lock twice.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.umask(os.umask(OWNER) & ~OWNER)


def descriptor_limit() -> int:
    """Return how many descriptors a process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
