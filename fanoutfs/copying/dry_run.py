"""``copy --dry-run``: what would happen to each target."""

from collections.abc import Iterator

from fanoutfs.checking.confirm import describe
from fanoutfs.checking.safety import Candidate
from fanoutfs.copying.copy_options import CopyOptions
from fanoutfs.units import format_size


def plan(candidate: Candidate, image_size: int, options: CopyOptions) -> Iterator[str]:
    """Return the lines on one target: what it is, what is on it, and what a copy would do to it."""
    yield from describe(candidate)
    image, rest = format_size(image_size), candidate.size - image_size
    if not candidate.exists:
        text = f"would be created with {image}"
    elif options.resume:
        text = f"would be compared with the image of {image}, and written where it differs"
    else:
        text = f"would be overwritten with {image}"
    if rest > 0:
        kept = "would stay as they are" if candidate.kind == "disk" else "would be cut off"
        text += f"; the {format_size(rest)} behind that {kept}"
    yield f"    {text}{'; then verified' if options.verify else ''}"
