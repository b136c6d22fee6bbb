"""Requests the status document.

That of a mount is read from its file, that of a source or of an export that is read here is requested at the
control socket of its producer, that of a producer on another computer from its service.
"""

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from fanoutfs.control.client import ANSWER_SECONDS
from fanoutfs.control.messages import HungUpError
from fanoutfs.engine.find import connect
from fanoutfs.engine.lock import identities
from fanoutfs.engine.silence import silent
from fanoutfs.errors import FanoutError, NotRunningError, UnusableError, UsageError, reason
from fanoutfs.remote.address import ServiceAddress, is_url
from fanoutfs.remote.file_address import identities as identities_of
from fanoutfs.remote.file_address import parse as parse_address
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.remote.source_argument import is_made
from fanoutfs.source.formats import split_prefix
from fanoutfs.status.document import StatusDocument
from fanoutfs.system import bounded, mountpoint
from fanoutfs.system.identity import source_identities

LIST_SECONDS = 5.0
"""How long to wait for each producer when all are listed."""


def status_request(source: str, token_file: Path | None, tls_ca: Path | None) -> Callable[[], StatusDocument]:
    """Return a function that requests the status of a mount, a source, or the service at an address.

    The function blocks, and raises UnusableError; NoAnswerError if another computer does not answer. Raises
    UsageError, and UnusableError for files that can't be used.
    """
    _, source = split_prefix(source)
    if not is_url(source):
        _refuse_keys(token_file, tls_ca)
        return lambda: _status_of_made(source) if is_made(source) else status_of(Path(source))
    address = parse_address(source)
    known = identities_of(address)
    if not isinstance(address, ServiceAddress):
        _refuse_keys(token_file, tls_ca)
        return lambda: _status_of_place(address.text, known)
    if any(map(_has_producer, known)):
        return lambda: _status_of_place(address.text, known)
    if tls_ca is not None and not address.tls:
        raise UsageError(f"--tls-ca is for https, and {source} is not; write https://, or omit it")
    # Only a request to another computer needs an HTTP client.
    from fanoutfs.remote.service_client import ServiceClient  # noqa: PLC0415

    return ServiceClient.of(address, token_file, tls_ca).status


def _refuse_keys(token_file: Path | None, tls_ca: Path | None) -> None:
    if token_file or tls_ca:
        raise UsageError(
            "--token-file and --tls-ca are for the address of a service, such as https://node1:8400"
        )


def running_producers() -> tuple[list[StatusDocument], list[str]]:
    """Return the status of each running producer of this user, and a line for each that does not answer."""
    documents, errors = [], []
    for identity in identities():
        try:
            document = ask_status(identity, LIST_SECONDS)
        except FanoutError as error:
            errors.append(f"{identity}: {error}")
        else:
            if document is not None:
                documents.append(document)
    return sorted(documents, key=lambda document: document.source.path), errors


def ask_status(identity: str, timeout: float = ANSWER_SECONDS) -> StatusDocument | None:
    """Return the status document of a source's producer; None if it has none. ``timeout`` is in seconds."""
    producer = connect(identity)
    if producer is None:
        return None
    try:
        plain = producer.request("status", timeout)["status"]
    except HungUpError:
        return None
    finally:
        producer.close()
    return parse_status(plain)


def ask_first(identities: Iterable[str]) -> StatusDocument | None:
    """Return the status document of the first of these sources that has a producer; None: none has."""
    return next((found for one in identities if (found := ask_status(one)) is not None), None)


def parse_status(plain: object) -> StatusDocument:
    """Return the document that a producer on this computer sent; raises UnusableError."""
    # Takes about a twentieth of a second to import, and most copies read no status.
    from fanoutfs.status.parse import parse  # noqa: PLC0415

    try:
        return parse(plain)
    except ValueError as error:
        raise UnusableError(f"the producer sent a status that can't be read: {error}") from error


def _has_producer(identity: str) -> bool:
    producer = connect(identity)
    if producer is not None:
        producer.close()
    return producer is not None


def _status_of_place(named: str, known: Iterable[str]) -> StatusDocument:
    """Request the status from the local producer of an export or a file; that itself has none."""
    document = ask_first(known)
    if document is None:
        raise NotRunningError(
            f"no producer here is reading {named}; for the status of the computer that exports it, "
            "name its service, such as http://node1:8400"
        )
    return document


def _status_of_made(source: str) -> StatusDocument:
    """Request the status from the producer of a source for tests."""
    document = ask_status(resolve(source, RemoteKeys()).identity)
    if document is None:
        raise NotRunningError(f"no producer is reading {source}")
    return document


def status_of(path: Path) -> StatusDocument:
    """Return the status document of the mount on ``path``, or of the producer of the source ``path``.

    Raises UnusableError if it is neither.
    """
    place, mount = mountpoint.locate(path)
    if mount is not None:
        if place != Path(mount.point):
            raise NotRunningError(
                f"{path} lies in the mount on {mount.point}; for its status: fanoutfs status {mount.point}"
            )
        return read_status(place)
    try:
        status = place.stat()
    except OSError as error:
        raise UnusableError(f"{path} can't be accessed: {reason(error)}; check its name") from error
    if stat.S_ISDIR(status.st_mode):
        mountpoint.require_fanoutfs_mount(place)
    document = ask_first(source_identities(status))
    if document is None:
        raise NotRunningError(
            f"no producer is reading {path}; name a mount, or a source that a mount or a copy is reading"
        )
    return document


def read_status(point: Path) -> StatusDocument:
    """Return the status document of the fanoutfs mount on ``point``, an absolute path without links.

    Raises UnusableError; NoAnswerError if the daemon does not answer.
    """
    from fanoutfs.status.parse import parse_json  # noqa: PLC0415 (as above)

    mountpoint.require_fanoutfs_mount(point)
    try:
        text = bounded.call_within(bounded.ANSWER_SECONDS, (point / ".fanoutfs" / "status").read_bytes)
    except TimeoutError as error:
        raise silent(point) from error
    except PermissionError as error:
        raise UnusableError(
            f"{point} belongs to another user; run this as that user, or mount with --allow-other"
        ) from error
    except OSError as error:
        raise UnusableError(
            f"the mount on {point} does not answer ({os.strerror(error.errno or 0)}); "
            f"take it down with: umount -l {point}"
        ) from error
    try:
        return parse_json(text)
    except ValueError as error:
        raise UnusableError(f"the mount on {point} sent a status that can't be read: {error}") from error
