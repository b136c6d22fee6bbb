"""A source that has an address: an export, or a file elsewhere, which may be an image in a format.

A file is looked at over its link, as a local one is. What an NBD server exports is a disk, and stays one: an
export that begins as an image is most often a mistake, and is refused.
"""

import os
from functools import partial

from fanoutfs.errors import NoAnswerError, UnusableError, reason
from fanoutfs.remote.address import ExportAddress, SocketAddress
from fanoutfs.remote.announcement import DESCRIBED
from fanoutfs.remote.file_address import SshAddress, WebAddress
from fanoutfs.remote.image_source import ImageSource, require_served
from fanoutfs.remote.nbd_source import ExportedSource
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.source.ends import read_ends
from fanoutfs.source.formats import RAW, Way, mismatch, recognise, refusal
from fanoutfs.system import bounded
from fanoutfs.units import PAGE

Place = ExportAddress | SocketAddress | SshAddress | WebAddress


def open_place(address: Place, keys: RemoteKeys, prefix: str) -> OpenSource:
    """Open what an address leads to; ``prefix`` is the format that the user asked for, or empty.

    Raises UnusableError.
    """
    link = ExportedSource.open(address, keys)
    try:
        return _recognised(link, prefix, is_export=isinstance(address, ExportAddress | SocketAddress))
    except BaseException:
        link.close()
        raise


def _recognised(link: ExportedSource, prefix: str, *, is_export: bool) -> OpenSource:
    if prefix == RAW or link.description.startswith(DESCRIBED):
        return OpenSource(link)
    head, tail = _first_page(link) if is_export else _ends(link)
    kind = recognise(head, tail)
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
