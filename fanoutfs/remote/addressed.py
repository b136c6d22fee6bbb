"""A source that has an address: an export, or a file elsewhere, which may be an image in a format.

A file is looked at over its link, as a local one is. What an NBD server exports is a disk, and stays one: an
export that begins as an image is most often a mistake, and is refused.
"""

import os
from functools import partial

import attrs

from fanoutfs.errors import NoAnswerError, UnusableError, reason
from fanoutfs.remote.address import ExportAddress, SocketAddress
from fanoutfs.remote.announcement import DESCRIBED
from fanoutfs.remote.compressed import open_compressed_place, opened_compressed
from fanoutfs.remote.file_address import SshAddress, WebAddress
from fanoutfs.remote.image_source import ImageSource, require_served
from fanoutfs.remote.nbd_source import ExportedSource
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.settings import SourceSettings
from fanoutfs.source.ends import read_ends
from fanoutfs.source.formats import RAW, ImageFormat, Way, mismatch, recognise, refusal
from fanoutfs.system import bounded
from fanoutfs.system.undo import undone_on_failure
from fanoutfs.units import PAGE

CONDITION_FAILED = "error: 412"
"""What nbdkit says when a web server refuses a condition (HTTP 412)."""

Place = ExportAddress | SocketAddress | SshAddress | WebAddress


def open_place(address: Place, keys: RemoteKeys, prefix: str, how: SourceSettings) -> OpenSource:
    """Open what an address leads to; ``prefix`` is the format that the user asked for, or empty.

    Raises UnusableError.
    """
    link = _linked(address, keys)
    file = address if isinstance(address, SshAddress | WebAddress) else None
    with undone_on_failure(link.close):
        if prefix == RAW or link.description.startswith(DESCRIBED):
            return OpenSource(link)
        head, tail = _first_page(link) if file is None else _ends(link)
        kind = recognise(head, tail)
        if file is None or kind is None or kind.way is not Way.DECOMPRESSED:
            return _served(link, kind, prefix, head, tail, is_export=file is None)
        output = open_compressed_place(file, kind, keys.absolute(), link.shown_at)
    link.close()
    return opened_compressed(output, kind, how)


def _linked(address: Place, keys: RemoteKeys) -> ExportedSource:
    """Connect; to a file on the web on condition that it stays what it is, if its server can do that."""
    if not isinstance(address, WebAddress):
        return ExportedSource.open(address, keys)
    from fanoutfs.remote.web_file import last_modified  # noqa: PLC0415 (most sources need no HTTP client)

    guarded = attrs.evolve(address, unmodified_since=last_modified(address, keys))
    try:
        return ExportedSource.open(guarded, keys)
    except UnusableError as error:
        if CONDITION_FAILED not in str(error):
            raise
    # It is modified all the time, says its server.
    return ExportedSource.open(address, keys)


def _served(
    link: ExportedSource, kind: ImageFormat | None, prefix: str, head: bytes, tail: bytes, *, is_export: bool
) -> OpenSource:
    if prefix and (kind is None or kind.name != prefix):
        raise UnusableError(mismatch(link.path, prefix, kind))
    if kind is None:
        return OpenSource(link)
    if kind.way is not Way.SERVED or (is_export and not prefix):
        raise UnusableError(refusal(link.path, kind))
    require_served(kind, link.path, head, tail, vouched=False)
    return OpenSource(ImageSource.over(link, kind), kind=kind)


def _ends(link: ExportedSource) -> tuple[bytes, bytes]:
    try:
        return bounded.call_within(bounded.ANSWER_SECONDS, partial(read_ends, link.shown_at))
    except TimeoutError as error:
        raise NoAnswerError(
            f"the source {link.path} has not answered for {bounded.ANSWER_SECONDS:g} seconds; try again"
        ) from error
    except OSError as error:
        raise UnusableError(f"the source {link.path} can't be read: {reason(error)}") from error


def _first_page(link: ExportedSource) -> tuple[bytes, bytes]:
    """Return the beginning of an export; nothing if it can't be read, which its readers will see."""
    try:
        return bounded.call_within(bounded.ANSWER_SECONDS, partial(_read_page, link.shown_at)), b""
    except OSError:
        return b"", b""


def _read_page(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, PAGE, 0)
    finally:
        os.close(fd)
