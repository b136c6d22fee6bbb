"""An open source, and for one on another computer what the service of its producer tells of it."""

from collections.abc import Callable
from typing import Protocol

import attrs

from fanoutfs.digests.slot_cache import DigestSource
from fanoutfs.source.contract import Source


class RemoteDigestStream(DigestSource, Protocol):
    """The digests that a remote producer has made."""

    async def run(self) -> None:
        """Keep the stream open until cancelled."""


@attrs.frozen
class RemoteInfo:
    """What the service of a remote producer tells of its source."""

    block: int
    """Bytes of its blocks. Ours must have the same size, for digests are of whole blocks."""
    head: Callable[[], int]
    """Ask for the position of its write head, in bytes. Blocks; raises FanoutError if there is no answer."""
    digests: RemoteDigestStream
    """What a verified copy is compared with."""


@attrs.frozen
class OpenSource:
    """A source to be replicated."""

    source: Source
    remote: RemoteInfo | None = None
