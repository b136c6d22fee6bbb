"""``faulty:RECIPE:SOURCE``: a source that fails, where and when ``recipe.py`` says."""

import errno
import hashlib
import threading
import time

import attrs

from fanoutfs.source.contract import EndedError
from fanoutfs.source.local import cut
from fanoutfs.source.recipe import PREFIX, Action, Fault, parse_recipe
from fanoutfs.source.wrapper import Wrapper


def faulty_identity(recipe: str, identity: str) -> str:
    """Return the identity of a source of this identity with these faults; usable as a file name."""
    return f"faulty-{hashlib.sha256(f'{recipe}:{identity}'.encode()).hexdigest()[:16]}"


@attrs.define(eq=False)
class FaultySource(Wrapper):
    """Another source, with faults."""

    _recipe: str
    _faults: list[Fault] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._faults = parse_recipe(self._recipe)

    @property
    def path(self) -> str:
        """As the user named it, with the path of the source made absolute."""
        return f"{PREFIX}{self._recipe}:{self.source.path}"

    @property
    def identity(self) -> str:
        """It differs from that of the source."""
        return faulty_identity(self._recipe, self.source.identity)

    @property
    def overlaps(self) -> bool:
        """That of the source."""
        return self.source.overlaps

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``: a read that touches a bad byte fails as a whole, as a disk's does."""
        least = int(
            min((fault.value for fault in self._faults if fault.action is Action.SHORT), default=length)
        )
        for at in range(0, length, least):
            count = min(least, length - at)
            room = slots if count == length else cut(slots, at, at + least)
            self._fail(offset + at, offset + at + count)
            self.source.read_into(offset + at, count, room)

    def _fail(self, begin: int, end: int) -> None:
        for fault in self._faults:
            if fault.action is not Action.SHORT and fault.meets(begin, end):
                match fault.action:
                    case Action.DELAY:
                        time.sleep(fault.value)
                    case Action.HANG:
                        threading.Event().wait()
                    case Action.END:
                        raise EndedError(errno.EIO, f"the source ends at byte {fault.begin}")
                    case Action.EIO:
                        raise OSError(errno.EIO, "a fault of the recipe")
