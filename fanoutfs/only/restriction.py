"""``--only``: restrict a source that is open to what a map lists, or to what file systems use."""

from fanoutfs.checking.source_use import find_use
from fanoutfs.errors import UnusableError
from fanoutfs.layout import Only
from fanoutfs.only import only_map
from fanoutfs.only.used import find_used
from fanoutfs.source.checked import CheckedSource
from fanoutfs.source.contract import Source
from fanoutfs.source.local import PositionedSource

USED = "used"
"""What file systems use; a map of this name is ``./used``."""


def restrict(source: Source, only: str, *, zero_rest: bool) -> tuple[Source, Only]:
    """Return what a source is read by from now on, and what of it is copied.

    Raise UnusableError; the source stays open then.
    """
    if only == USED:
        if not isinstance(source, PositionedSource):
            raise UnusableError(
                f"--only used needs a disk, or the image of one as it lies; {source.path} is neither; "
                "name a map with --only"
            )
        if (use := find_use(source.path)).mounts:
            raise UnusableError(
                f"what is used of {source.path} may change at any time: {use}; unmount it, mount it "
                "read-only, or copy it without --only used"
            )
        (fd,) = source.descriptors()
        return source, Only(find_used(source.path, fd, source.size), zero_rest)
    found = only_map.read(only)
    only_map.require_fit(found, source.path, source.size)
    checked = CheckedSource(source, found.checksums) if found.checksums else source
    return checked, Only(found.ranges, zero_rest)
