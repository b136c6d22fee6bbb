"""From the word that a user says to the source that it means."""

from typing import TYPE_CHECKING

import attrs

from fanoutfs.errors import SourceChangedError, UnusableError
from fanoutfs.source.contract import Source
from fanoutfs.source.keys import Keys
from fanoutfs.source.positioned import PositionedSource
from fanoutfs.upstream.address import ExportAddress, is_url, parse
from fanoutfs.upstream.announced import Announced

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

    Raises UsageError or UnusableError. An address is opened from a process with one thread.
    """
    if not is_url(word):
        return Opened(PositionedSource.open(word))
    # Only who reads from elsewhere needs what that needs.
    from fanoutfs.source.exported import ExportedSource  # noqa: PLC0415

    address = parse(word)
    if isinstance(address, ExportAddress):
        return Opened(ExportedSource.open(address, keys))
    from fanoutfs.upstream.digests import RemoteDigests  # noqa: PLC0415
    from fanoutfs.upstream.service import Service  # noqa: PLC0415
    from fanoutfs.upstream.verifying import FarDigests  # noqa: PLC0415

    service = Service.of(address, token_file=keys.token_file, tls_ca=keys.tls_ca)

    def ask() -> Announced:
        try:
            return Announced.of(service.status(), address)
        finally:
            # A process that is forked closes what it does not know of, and its number goes to another file.
            service.close()

    found = ask()

    def ask_again() -> None:
        now = ask()
        if (now.origin, now.size, now.block) != (found.origin, found.size, found.block):
            raise SourceChangedError(f"the source {address.text} is another one than before")

    if found.wants_key and keys.tls_psk is None:
        raise UnusableError(f"the export of {address.text} wants a key; name the file with --tls-psk")
    source = ExportedSource.open(
        found.address,
        keys,
        path=address.text,
        size=found.size,
        origin=found.origin,
        begin=found.head // found.block * found.block,
        ask_again=ask_again,
    )
    digests = RemoteDigests(service=service, identity=found.origin, size=found.size, block=found.block)
    return Opened(source, found.block, FarDigests(digests))
