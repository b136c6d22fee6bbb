"""From the word that a user says to the source that it means."""

from fanoutfs.remote.address import ExportAddress, is_url, parse
from fanoutfs.remote.opened import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.source.local import PositionedSource


def open_source(word: str, keys: RemoteKeys) -> OpenSource:
    """Open what a word means: a path, or the address of an export or of a service.

    Raises UsageError, UnusableError, or SourceChangedError. An address is opened from a process with one
    thread.
    """
    if not is_url(word):
        return OpenSource(PositionedSource.open(word))
    address = parse(word)
    # Only who reads from elsewhere needs what that needs.
    if isinstance(address, ExportAddress):
        from fanoutfs.remote.nbd_source import ExportedSource  # noqa: PLC0415

        return OpenSource(ExportedSource.open(address, keys))
    from fanoutfs.remote.served import open_served  # noqa: PLC0415

    return open_served(address, keys)
