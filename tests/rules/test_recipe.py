"""The language of sources with faults."""

import pytest

from fanoutfs.errors import UsageError
from fanoutfs.source.recipe import Action, Fault, parse_recipe, split_faulty
from fanoutfs.units import KIB, MIB, PAGE, SECTOR


def test_a_recipe() -> None:
    """Faults have a value, a place and a number of times, or some of them."""
    assert [
        Fault(Action.EIO, 0, MIB, MIB + SECTOR),
        Fault(Action.EIO, 0, 0, PAGE, 2),
        Fault(Action.DELAY, 0.02),
        Fault(Action.DELAY, 1.5, 4 * MIB, 4 * MIB + 64 * KIB),
        Fault(Action.SHORT, 4 * KIB),
        Fault(Action.HANG, 0, 5 * MIB, 5 * MIB + SECTOR, 1),
        Fault(Action.END, 0, 9 * MIB, 9 * MIB + SECTOR),
    ] == parse_recipe("eio@1M,eio@0+4Kx2,delay=20ms,delay=1.5s@4M+64K,short=4K,hang@5Mx1,end@9M")


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ("", "is one of eio"),
        ("eio@1M,", "is one of eio"),
        ("smoke@1M", "is one of eio"),
        ("eio", "needs a place"),
        ("eio@", "is one of"),
        ("eio@1X", "not a size"),
        ("eio@1M+0", "not a size"),
        ("eio=5@1M", "has no value"),
        ("delay@1M", "needs a value"),
        ("delay=soon", "not a time"),
        ("short=100", "multiple of 4096"),
    ],
)
def test_what_is_no_recipe(recipe: str, why: str) -> None:
    """It is refused with the part that is wrong."""
    with pytest.raises(UsageError, match=why):
        parse_recipe(recipe)


def test_where_the_source_begins() -> None:
    """The recipe has no colon; the source may have some."""
    assert ("eio@1M,delay=1s", "faulty:hang@1M:nbd://host:10809/x") == split_faulty(
        "faulty:eio@1M,delay=1s:faulty:hang@1M:nbd://host:10809/x"
    )
    for argument in ("faulty:eio@1M", "faulty:eio@1M:"):
        with pytest.raises(UsageError, match="names no source"):
            split_faulty(argument)


def test_which_reads_meet_a_fault() -> None:
    """Those that touch a byte of its place, as often as it says."""
    fault = Fault.parse("eio@4K+4Kx2")
    met = [fault.meets(*read) for read in [(0, 4096), (8192, 9000), (0, 4097), (8191, 8192), (4096, 8192)]]
    assert [False, False, True, True, False] == met
    ends = Fault.parse("end@1M")
    assert [False, True, True] == [ends.meets(0, MIB), ends.meets(0, MIB + 1), ends.meets(5 * MIB, 6 * MIB)]
    assert Fault.parse("delay=1s").meets(0, 1)
