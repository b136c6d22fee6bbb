"""The states of a link to an NBD export."""

import pytest

from fanoutfs.remote.link_state import NEXT, LinkOutcome, LinkState


@pytest.mark.parametrize("state", [LinkState.UP, LinkState.LOST, LinkState.AWAY])
def test_each_attempt_has_an_answer(state: LinkState) -> None:
    """Only a read that connects again runs out of time."""
    outcomes = {outcome for known, outcome in NEXT if known is state}
    assert set(LinkOutcome) - outcomes == (set() if state is LinkState.LOST else {LinkOutcome.EXPIRED})
    assert NEXT[state, LinkOutcome.ANSWERED] is LinkState.UP


def test_a_replaced_source_is_never_read_again() -> None:
    """No attempt leads out of that state, and a difference always leads there."""
    assert LinkState.REPLACED not in {state for state, _ in NEXT}
    assert {after for (_, outcome), after in NEXT.items() if outcome is LinkOutcome.DIFFERS} == {
        LinkState.REPLACED
    }
