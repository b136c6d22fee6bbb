"""The question on the terminal before targets are overwritten."""

from collections.abc import Callable, Iterator, Sequence

from fanoutfs.checking.safety import Candidate
from fanoutfs.units import format_size

ANSWER = "yes"


def confirm(
    candidates: Sequence[Candidate], image_size: int, ask: Callable[[str], str], show: Callable[[str], None]
) -> bool:
    """Show what will be overwritten, and return whether the user agrees.

    ``image_size`` is in bytes. New and empty files are not shown, because nothing in them is lost; if all
    targets are such files, there is no question. ``ask`` returns the answer to a question, ``show`` prints a
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
    """Yield the lines about a target: path, model, serial number and size, then its content."""
    what = [candidate.model, f"serial {candidate.serial}" if candidate.serial else ""]
    parts = [candidate.path, *what, format_size(candidate.size) if candidate.exists else "new file"]
    yield "  ".join(part for part in parts if part)
    for line in candidate.contents:
        yield f"    {line}"
