"""What is shown and asked on a terminal before targets are written over."""

from collections.abc import Callable, Iterator, Sequence

from fanoutfs.checking.safety import Candidate
from fanoutfs.units import format_size

ANSWER = "yes"


def confirm(
    candidates: Sequence[Candidate], image_size: int, ask: Callable[[str], str], show: Callable[[str], None]
) -> bool:
    """Show what will be written over, and say whether the user means it.

    ``image_size`` is in bytes. Files that will be made, and empty ones, lose nothing: they are not shown, and
    when there are only such ones nothing is asked. ``ask`` takes the question and gives the answer, ``show``
    takes a line.
    """
    lost = [candidate for candidate in candidates if candidate.kind == "disk" or candidate.size]
    if not lost:
        return True
    for candidate in lost:
        for line in _lines(candidate):
            show(line)
    these = "this" if len(lost) == 1 else f"all {len(lost)} of these"
    question = f"write an image of {format_size(image_size)} over {these}? type {ANSWER}: "
    return ask(question).strip().lower() == ANSWER


def _lines(candidate: Candidate) -> Iterator[str]:
    what = [candidate.model, f"serial {candidate.serial}" if candidate.serial else ""]
    words = [candidate.path, *what, format_size(candidate.size)]
    yield "  ".join(word for word in words if word)
    for line in candidate.contents:
        yield f"    {line}"
