"""An open source, and for a remote one the information from the service of its producer."""

from collections.abc import Callable
from typing import Protocol

import attrs

from fanoutfs.digests.digest_source import DigestSource
from fanoutfs.layout import Only
from fanoutfs.source.changes import ChangeWatch
from fanoutfs.source.contract import Source
from fanoutfs.source.formats import ImageFormat, split_prefix, taken_for
from fanoutfs.units import ANY_SIZE


class RemoteDigestStream(DigestSource, Protocol):
    """The digests that a remote producer has made; blocks are the image's, not dense ones."""

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
    only: Only | None = None
    """What of it is copied; None: all."""
    watch: ChangeWatch | None = None
    """What has become of it since; None: that is not looked at."""
    kind: ImageFormat | None = None
    """The format in which it is an image; None: it is read as it lies."""
    note: str | None = None
    """What the user should know about how it is read."""

    def taken_for(self, argument: str) -> str | None:
        """Return the line that tells the user what the source was taken for; None: for a disk as it lies."""
        if self.kind is None:
            return None
        _, named = split_prefix(argument)
        size = self.source.size
        line = taken_for(named, self.kind, None if size == ANY_SIZE else size)
        return line if self.note is None else f"{line}; {self.note}"
