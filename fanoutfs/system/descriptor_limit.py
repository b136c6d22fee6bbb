"""How many descriptors this process and its children may have open."""

import resource


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one: shells allow 1024, some services 32."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptor_limit() -> int:
    """Return the limit, of which 0 to that less one are descriptors."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
