"""Checks a status document that another process wrote, perhaps another version on another computer.

Keys that this version does not know are ignored.
"""

import json
import math
from typing import Literal

import cattrs

from fanoutfs.status.document import SOURCE, StatusDocument

LARGEST_BITS = 63
"""Of a number in the document: it has to fit in a signed 64-bit integer."""


def parse_json(text: bytes) -> StatusDocument:
    """Return the document that ``text`` contains; raises ValueError if it contains none."""
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    return parse(plain)


def parse(plain: object) -> StatusDocument:
    """Return the document that was read from JSON; raises ValueError if a key is missing or wrong."""
    if not isinstance(plain, dict):
        raise ValueError(f"{plain!r} is not an object")  # noqa: TRY004 (the caller expects one kind of error)
    try:
        document = _CONVERTER.structure(plain, StatusDocument)
    except KeyError as error:
        raise ValueError(f"it has no {error}") from error
    except TypeError as error:
        raise ValueError(f"a part of it is not an object or a list: {error}") from error
    size = document.source.size
    if size <= 0 or document.ring.block_size <= 0:
        raise ValueError("a size is not positive")
    for begin, end in document.ring.arcs:
        if not 0 <= begin <= end <= size:
            raise ValueError(f"{[begin, end]} is not a part of the image")
    if not all(reader.kind.isprintable() for reader in document.readers):
        raise ValueError("the kind of a reader is not printable")
    return document


def _integer(value: object, _type: object = int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value.bit_length() > LARGEST_BITS:
        raise ValueError(f"{value!r} is not an integer")
    return value


def _number(value: object, _type: object) -> float:
    if not isinstance(value, float):
        return _integer(value)
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return value


def _text(value: object, _type: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")  # noqa: TRY004 (the caller expects one kind of error)
    return value


def _truth(value: object, _type: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")  # noqa: TRY004 (as above)
    return value


def _waiting(value: object, _type: object) -> int | str | None:
    return value if value is None or value == SOURCE else _integer(value)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, _truth)
    converter.register_structure_hook(int | Literal["source"] | None, _waiting)
    return converter


_CONVERTER = _make_converter()
