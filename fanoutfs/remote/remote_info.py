"""An open source, and for one on another computer what the service of its producer tells of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from fanoutfs.source.contract import Source


class RemoteDigestStream(Protocol):
    """The digests that a remote producer has made; a ``DigestSource`` that has to be run."""

    async def run(self) -> None:
        """Keep the stream open until cancelled."""

    async def ready(self) -> None:
        """See ``DigestSource.ready``."""

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """See ``DigestSource.of``."""


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
