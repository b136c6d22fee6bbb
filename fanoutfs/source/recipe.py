"""What a faulty source does wrong: the language of ``faulty:RECIPE:SOURCE``. No I/O, no clock.

A recipe is a list of faults, with commas between::

    eio@1M+512      reads that touch these 512 bytes fail; without +LENGTH it is a sector
    eio@1M+512x3    only the first three of these reads fail
    delay=20ms      each read takes longer by that; with @PLACE only those that touch the place
    hang@1M         reads that touch the place never end; with x1 only the first
    short=4K        the source gives at most 4 KiB at a time, each with its delay
    end@1M          the source ends there, as a file that has become shorter
"""

import enum
import re
from typing import Self

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.units import PAGE, SECTOR, parse_seconds, parse_size

PREFIX = "faulty:"

EXAMPLE = "faulty:eio@1M+512,delay=20ms:disk.img"


class Action(enum.Enum):
    """What goes wrong."""

    EIO = "eio"
    DELAY = "delay"
    HANG = "hang"
    SHORT = "short"
    END = "end"


NEEDS_PLACE = {Action.EIO, Action.HANG, Action.END}

_FAULT = re.compile(r"([a-z]+)(?:=([^@]+))?(?:@([^+x]+)(?:\+([^x]+))?(?:x(\d+))?)?", re.ASCII)


@attrs.define
class Fault:
    """One fault, and how many reads it will still meet."""

    action: Action
    value: float = 0
    """Seconds of a delay, bytes of a short read."""
    begin: int = 0
    end: int | None = None
    """The place in bytes; None: the end of the source."""
    times: int | None = None
    """None: all."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the fault that a part of a recipe describes; raise UsageError."""
        found = _FAULT.fullmatch(text)
        if found is None or found[1] not in (action.value for action in Action):
            known = ", ".join(action.value for action in Action)
            raise UsageError(
                f"invalid fault {text!r}: it is one of {known}, with =VALUE or @PLACE, as in {EXAMPLE}"
            )
        action = Action(found[1])
        value = _value(text, action, found[2])
        if found[3] is None:
            if action in NEEDS_PLACE:
                raise UsageError(f"invalid fault {text!r}: it needs a place, as {action.value}@1M")
            return cls(action, value)
        begin = 0 if found[3] == "0" else parse_size(found[3])
        end = begin + (SECTOR if found[4] is None else parse_size(found[4]))
        return cls(action, value, begin, end, None if found[5] is None else int(found[5]))

    def meets(self, begin: int, end: int) -> bool:
        """Return whether a read of these bytes meets it, and count that."""
        stop = end if self.end is None or self.action is Action.END else self.end
        if not (begin < stop and self.begin < end) or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def _value(text: str, action: Action, value: str | None) -> float:
    if action in (Action.DELAY, Action.SHORT):
        if value is None:
            example = "20ms" if action is Action.DELAY else "4K"
            raise UsageError(f"invalid fault {text!r}: it needs a value, as {action.value}={example}")
        if action is Action.DELAY:
            return parse_seconds(value)
        size = parse_size(value)
        if size % PAGE:
            raise UsageError(f"invalid fault {text!r}: the size is a multiple of {PAGE}")
        return size
    if value is not None:
        raise UsageError(f"invalid fault {text!r}: {action.value} has no value")
    return 0


def parse_recipe(text: str) -> list[Fault]:
    """Return the faults of a recipe. Raise UsageError."""
    return [Fault.parse(part) for part in text.split(",")]


def split_faulty(argument: str) -> tuple[str, str]:
    """Return the recipe and the source of an argument that begins with the prefix. Raise UsageError."""
    recipe, colon, source = argument.removeprefix(PREFIX).partition(":")
    if not (colon and source):
        raise UsageError(f"{argument!r} names no source; write it as {EXAMPLE}")
    return recipe, source
