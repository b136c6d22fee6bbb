"""From the word that a user says to the source that it means."""

from typing import TYPE_CHECKING

import attrs

from fanoutfs.source.contract import Source
from fanoutfs.source.keys import Keys
from fanoutfs.source.positioned import PositionedSource
from fanoutfs.upstream.address import ExportAddress, is_url, parse

if TYPE_CHECKING:
    # It needs a library that only a source on another computer needs.
    from fanoutfs.upstream.verifying import FarDigests


@attrs.frozen
class Opened:
    """A source, and what it asks of its producer."""

    source: Source
    block: int | None = None
    """The bytes of a block, where the far side has blocks, too."""
    digests: "FarDigests | None" = None
    """What copies are held against, where the far side says."""


def open_source(word: str, keys: Keys) -> Opened:
    """Open what a word means: a path, or the address of an export or of a service.

    Raises UsageError, UnusableError, or SourceChangedError. An address is opened from a process with one
    thread.
    """
    if not is_url(word):
        return Opened(PositionedSource.open(word))
    address = parse(word)
    # Only who reads from elsewhere needs what that needs.
    if isinstance(address, ExportAddress):
        from fanoutfs.source.exported import ExportedSource  # noqa: PLC0415

        return Opened(ExportedSource.open(address, keys))
    from fanoutfs.source.served import open_served  # noqa: PLC0415

    source, block, digests = open_served(address, keys)
    return Opened(source, block, digests)
