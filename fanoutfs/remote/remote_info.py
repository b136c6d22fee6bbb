"""An open source, and for a remote one the information from the service of its producer."""

from collections.abc import Callable
from typing import Protocol

import attrs

from fanoutfs.digests.digest_source import DigestSource
from fanoutfs.source.contract import Source


class RemoteDigestStream(DigestSource, Protocol):
    """The digests that a remote producer has made."""

    async def run(self) -> None:
        """Keep the stream open until cancelled."""


@attrs.frozen
class RemoteInfo:
    """The information from the service of a remote producer."""

    block: int
    """The bytes of its blocks. Blocks here have the same size, because digests are of whole blocks."""
    head: Callable[[], int]
    """Request the position of its write head, in bytes. Blocks; raises FanoutError if there is no answer."""
    digests: RemoteDigestStream
    """The digests that a verified copy is compared with."""


@attrs.frozen
class OpenSource:
    """An open source."""

    source: Source
    remote: RemoteInfo | None = None
