"""What the user sees and is asked before disks are overwritten.

Files are overwritten as cp does it, without a question. So are disks that are blank.
"""

from collections.abc import Callable, Iterator, Sequence

from fanoutfs.checking.safety import Candidate
from fanoutfs.units import format_size

ANSWER = "yes"


def overwritten(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the targets whose content the user has to give up first: disks that are not blank."""
    return [candidate for candidate in candidates if candidate.kind == "disk" and not candidate.blank]


def confirm(
    source: str,
    disks: Sequence[Candidate],
    image_size: int,
    ask: Callable[[str], str],
    show: Callable[[str], None],
) -> bool:
    """Show what will be overwritten and by what, and return whether the user agrees.

    ``image_size`` is in bytes. ``ask`` takes the question and returns the answer, ``show`` takes a line.
    """
    for disk in disks:
        for line in describe(disk):
            show(line)
    these = "this disk" if len(disks) == 1 else f"all {len(disks)} of these disks"
    question = f"overwrite {these} with {source}, {format_size(image_size)}? type {ANSWER}: "
    return ask(question).strip().lower() == ANSWER


def unconfirmed(disks: Sequence[Candidate]) -> list[str]:
    """Return the lines that refuse these targets where nobody can be asked."""
    return [
        f"the target {disk.path} is not blank{_short(disk)}, and there is no terminal to ask on; "
        "to overwrite it, add --yes"
        for disk in disks
    ]


def describe(candidate: Candidate) -> Iterator[str]:
    """Yield the lines about a target: path, model, serial number and size, then its content."""
    what = [candidate.model, f"serial {candidate.serial}" if candidate.serial else ""]
    parts = [candidate.path, *what, format_size(candidate.size) if candidate.exists else "new file"]
    yield "  ".join(part for part in parts if part)
    for line in candidate.contents:
        yield f"    {line}"


def _short(disk: Candidate) -> str:
    return f" ({'; '.join(disk.contents)})" if disk.contents else ""
