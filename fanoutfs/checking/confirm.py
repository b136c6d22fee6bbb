"""What the user sees and is asked on a terminal before targets are overwritten."""

from collections.abc import Callable, Iterator, Sequence

from fanoutfs.checking.safety import Candidate
from fanoutfs.units import format_size

ANSWER = "yes"


def confirm(
    candidates: Sequence[Candidate], image_size: int, ask: Callable[[str], str], show: Callable[[str], None]
) -> bool:
    """Show what will be overwritten, and return whether the user agrees.

    ``image_size`` is in bytes. New files and empty ones lose nothing: they are not shown, and if all targets
    are such files there is no question. ``ask`` takes the question and returns the answer, ``show`` takes a
    line.
    """
    lost = [candidate for candidate in candidates if candidate.kind == "disk" or candidate.size]
    if not lost:
        return True
    for candidate in lost:
        for line in describe(candidate):
            show(line)
    these = "this target" if len(lost) == 1 else f"all {len(lost)} of these targets"
    question = f"overwrite {these} with an image of {format_size(image_size)}? type {ANSWER}: "
    return ask(question).strip().lower() == ANSWER


def describe(candidate: Candidate) -> Iterator[str]:
    """Return the lines on a target: its path, model, serial number and size, then what is on it."""
    what = [candidate.model, f"serial {candidate.serial}" if candidate.serial else ""]
    parts = [candidate.path, *what, format_size(candidate.size) if candidate.exists else "new file"]
    yield "  ".join(part for part in parts if part)
    for line in candidate.contents:
        yield f"    {line}"
