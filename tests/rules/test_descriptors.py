"""How many descriptors a process needs that serves copies: decided before a target is opened."""

import pytest

from fanoutfs.engine.descriptors import EACH, OWN, require_descriptors
from fanoutfs.errors import UnusableError


@pytest.mark.parametrize("copies", [0, 1, 20, 1000])
def test_a_limit_that_is_high_enough(copies: int) -> None:
    """Nothing is said."""
    require_descriptors(copies, OWN + EACH * copies)


@pytest.mark.parametrize(
    ("copies", "message"),
    [
        (0, "this needs 24 open files, and a process may have 16 here; raise the hard limit .*=\\)$"),
        (1, "this needs 29 open files for 1 target, and .*=\\)$"),
        (20, "this needs 124 open files for 20 targets, and .*, or name fewer targets$"),
    ],
)
def test_a_limit_that_is_too_low(copies: int, message: str) -> None:
    """It is refused, with the number that is enough."""
    with pytest.raises(UnusableError, match=message):
        require_descriptors(copies, 16)
