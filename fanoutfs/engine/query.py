"""Asking for the status document.

Of a mount, by reading its file; of a source, or an export that is read here, at its producer's door; of
another computer, at its service.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fanoutfs.engine.find import ask_status
from fanoutfs.errors import UnusableError, UsageError, reason
from fanoutfs.remote.address import ExportAddress, is_url, parse
from fanoutfs.system import mountpoint
from fanoutfs.system.identity import identity_of
from fanoutfs.system.mountinfo import FANOUTFS, mount_at


def asking(word: str, token_file: Path | None, tls_ca: Path | None) -> Callable[[], dict[str, Any]]:
    """Give what asks for the status of a mount, a source, or the service at an address.

    It blocks, and raises UnusableError; NoAnswerError where another computer is away. Raises UsageError, and
    UnusableError for files that can't be used.
    """
    if not is_url(word):
        _refuse_keys(token_file, tls_ca)
        return lambda: status_of(Path(word))
    address = parse(word)
    if isinstance(address, ExportAddress):
        _refuse_keys(token_file, tls_ca)
        return lambda: _status_of_export(address)
    if tls_ca is not None and not address.tls:
        raise UsageError(f"--tls-ca is for https, and {word} is not; write https://, or leave it away")
    # Only who asks another computer needs what that needs.
    from fanoutfs.remote.service_client import ServiceClient  # noqa: PLC0415

    return ServiceClient.of(address, token_file, tls_ca).status


def _refuse_keys(token_file: Path | None, tls_ca: Path | None) -> None:
    if token_file or tls_ca:
        raise UsageError("--token-file and --tls-ca are for the address of a service, as https://node1:8400")


def _status_of_export(address: ExportAddress) -> dict[str, Any]:
    """Ask the producer that reads an export here; the export itself tells nothing."""
    document = ask_status(address.identity)
    if document is None:
        raise UnusableError(
            f"nobody here reads {address.text}; to ask where it comes from, name the service there, as "
            "http://node1:8400"
        )
    return document


def status_of(path: Path) -> dict[str, Any]:
    """Give the status document of the mount on ``path``, or of the producer of the source that it names.

    Raises UnusableError when it is neither.
    """
    point = mountpoint.normalise(path)
    mount = mount_at(point)
    if mount is not None and mount.kind == FANOUTFS:
        return read_status(point)
    try:
        status = path.stat()
    except OSError as error:
        raise UnusableError(f"{path} can't be looked at: {reason(error)}; check its name") from error
    if path.is_dir():
        mountpoint.require_fanoutfs_mount(point)
        return read_status(point)
    document = ask_status(identity_of(status))
    if document is None:
        raise UnusableError(
            f"nobody replicates {path}; name a mount, or a source that a mount or a copy is reading"
        )
    return document


def read_status(point: Path) -> dict[str, Any]:
    """Read the status document of the fanoutfs mount on ``point``; raises UnusableError."""
    mountpoint.require_fanoutfs_mount(mountpoint.normalise(point))
    try:
        document: dict[str, Any] = json.loads((point / ".fanoutfs" / "status").read_bytes())
    except PermissionError as error:
        raise UnusableError(
            f"{point} is another user's; ask as that user, or mount with --allow-other"
        ) from error
    except OSError as error:
        raise UnusableError(
            f"the mount on {point} does not answer ({os.strerror(error.errno or 0)}); "
            f"take it off with: umount -l {point}"
        ) from error
    return document
