"""When a target that takes nothing is mentioned, and when it is given up."""

import pytest

from fanoutfs.copying.progress import Phase
from fanoutfs.copying.silent_target import GIVE_UP_SECONDS, TELL_SECONDS, Silence, Verdict

JUST = 0.1


def test_it_is_mentioned_once_for_each_silence() -> None:
    """A report ends a silence; the next one is mentioned again."""
    silence = Silence(100.0)
    verdicts = [
        silence.verdict(Phase.COPYING, 100.0 + seconds)
        for seconds in (0, TELL_SECONDS, TELL_SECONDS + JUST, 99)
    ]
    silence.reported(200.0)
    verdicts += [silence.verdict(Phase.COPYING, 200.0 + seconds) for seconds in (1, TELL_SECONDS + JUST)]

    nothing, tell = Verdict.NOTHING, Verdict.TELL
    assert verdicts == [nothing, nothing, tell, nothing, nothing, tell]


@pytest.mark.parametrize("phase", [Phase.COPYING, Phase.FLUSHING, Phase.VERIFYING])
def test_a_copy_is_given_up_after_a_very_long_silence(phase: Phase) -> None:
    """However long the copy has run before."""
    silence = Silence(0.0)
    silence.reported(1_000_000.0)
    silence.verdict(phase, 1_000_000.0 + GIVE_UP_SECONDS)
    assert silence.verdict(phase, 1_000_000.0 + GIVE_UP_SECONDS + JUST) is Verdict.GIVE_UP


def test_a_slow_copy_is_never_given_up() -> None:
    """Something comes each minute, for a day."""
    silence = Silence(0.0)
    for minute in range(24 * 60):
        assert silence.verdict(Phase.COPYING, 60.0 * minute + TELL_SECONDS) is Verdict.NOTHING
        silence.reported(60.0 * (minute + 1))


def test_preallocation_is_not_given_up() -> None:
    """Before the first byte a file system may write the whole file in one call."""
    silence = Silence(0.0)
    assert silence.verdict(Phase.JOINING, GIVE_UP_SECONDS + JUST) is Verdict.TELL
    assert silence.verdict(Phase.JOINING, 10 * GIVE_UP_SECONDS) is Verdict.NOTHING
