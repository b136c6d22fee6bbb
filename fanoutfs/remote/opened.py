"""A source that is open, and what is known of it besides where its far side has a service."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from fanoutfs.source.contract import Source

if TYPE_CHECKING:
    # It needs a library that only a source on another computer needs.
    from fanoutfs.remote.remote_verification import FarDigests


@attrs.frozen
class RemoteInfo:
    """What the service of a source's producer, on another computer, says."""

    block: int
    """The bytes of its blocks: ours must be the same, for digests are of whole ones."""
    head: Callable[[], int]
    """Asks where it reads the source now, in bytes; blocks, and raises FanoutError when nobody answers."""
    digests: "FarDigests"
    """What copies are held against."""


@attrs.frozen
class OpenSource:
    """A source to be replicated."""

    source: Source
    far: RemoteInfo | None = None
