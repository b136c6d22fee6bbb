"""The guard between a handler and pyfuse3.

Any exception but FUSEError that leaves a handler ends ``pyfuse3.main``, and every request in flight, of every
reader, is left without an answer. So each handler is guarded: a FanoutError becomes its errno.
Any other exception is a bug: it is logged with its traceback and counted, and only this request fails (EIO).
"""

import errno
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pyfuse3

from fanoutfs.errors import FanoutError

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


class CallCounts(Protocol):
    """An object with handlers, which counts their bugs."""

    handler_bugs: int


Owner = TypeVar("Owner", bound=CallCounts)


def guarded(
    handler: Callable[Concatenate[Owner, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Owner, P], Coroutine[Any, Any, R]]:
    """Return a handler that raises only FUSEError (and trio's Cancelled)."""

    @functools.wraps(handler)
    async def guard(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await handler(self, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except FanoutError as error:
            log.info("%s: %s", handler.__name__, error)
            raise pyfuse3.FUSEError(error.errno) from error
        except Exception as error:
            self.handler_bugs += 1
            log.exception("%s failed; its caller gets EIO", handler.__name__)
            raise pyfuse3.FUSEError(errno.EIO) from error

    return guard
