"""What a client's process may ask of the control socket."""

import pytest

from fanoutfs.engine.conduct import BURST, MOST_CONNECTIONS, MOST_OFFENCES, RATE, Conduct


def test_a_process_has_a_limited_number_of_connections() -> None:
    """One beyond it is refused, until one is closed; other processes are not concerned."""
    conduct = Conduct()
    for _ in range(MOST_CONNECTIONS):
        assert conduct.refusal("greedy") is None
        conduct.connected("greedy", 0.0)
    refused = conduct.refusal("greedy")
    other = conduct.refusal("other")
    conduct.closed("greedy")

    assert refused is not None
    assert f"has {MOST_CONNECTIONS} connections" in refused
    assert other is None
    assert conduct.refusal("greedy") is None


def test_a_process_that_was_cut_off_too_often_is_barred() -> None:
    """For as long as it lives, whatever other processes come and go."""
    conduct = Conduct()
    for _ in range(MOST_OFFENCES):
        assert conduct.refusal("broken") is None
        conduct.connected("broken", 0.0)
        conduct.offended("broken")
        conduct.closed("broken")
    for number in range(1000):
        conduct.connected(number, 1000.0)
        conduct.closed(number)

    assert conduct.refusal("broken") == (
        f"this process was cut off {MOST_OFFENCES} times for invalid messages; start it anew"
    )
    assert len(conduct._records) < 1000


@pytest.mark.parametrize("reconnects", [False, True])
def test_messages_are_answered_at_a_limited_rate(*, reconnects: bool) -> None:
    """A burst at once, then RATE per second, also over new connections; after a pause a burst again."""
    conduct = Conduct()
    conduct.connected("floods", 0.0)
    conduct.connected("other", 0.0)
    delays = []
    for _ in range(BURST + 3):
        delays.append(conduct.delay("floods", 0.0))
        if reconnects:
            conduct.closed("floods")
            conduct.connected("floods", 0.0)

    assert delays == pytest.approx([0.0] * BURST + [number / RATE for number in (1, 2, 3)])
    assert conduct.delay("other", 0.0) == 0.0
    assert conduct.delay("floods", 100.0) == 0.0
