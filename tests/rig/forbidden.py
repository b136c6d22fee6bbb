"""A system call that fails, as under the system call filter of a container."""

import os
from collections.abc import Callable


def forbidden(number: int) -> Callable[..., int]:
    """Return a function that fails with this error, whatever it is called with."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail
