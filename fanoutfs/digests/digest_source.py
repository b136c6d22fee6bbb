"""What returns digests of blocks to a copy that verifies."""

from collections.abc import Sequence
from typing import Protocol


class DigestSource(Protocol):
    """Returns the digests of blocks, made here or on another computer."""

    async def ready(self) -> None:
        """Wait until every block read from now on will have its digest; before a verifying copy joins.

        Safe to cancel. Raises FanoutError if that is impossible.
        """

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Return the digests of these real blocks; ``lengths`` are their bytes.

        The blocks are in ``slots`` and are granted to the caller. Raises FanoutError if there is no digest.
        """
