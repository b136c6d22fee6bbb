"""What the header of an image in a format says that decides whether it may be served. No I/O.

A qcow2 image can name a different file from which its missing parts are read (a backing file), or that holds
its data. A program that can write the image, such as a guest whose disk it is, can name any file of this
computer there, /etc/shadow too, and would get it shown. So such an image is served only where its owner has
said what it is: by the end of its name, or by a prefix.
"""

import re
import struct

import attrs

from fanoutfs.source.formats import QCOW2, QED, VHD, VMDK, ImageFormat


@attrs.frozen
class HeaderFacts:
    """What was found in a header."""

    others: str = ""
    """What it names besides itself, such as "a backing file"; empty: nothing."""
    obstacle: str = ""
    """Why it can't be served at all; empty: it can."""


def facts(kind: ImageFormat, head: bytes, tail: bytes) -> HeaderFacts:
    """Return what decides whether an image may be served; ``head`` and ``tail`` as for ``recognise``."""
    try:
        if kind is QCOW2 or kind.name == "qcow":
            return _qcow(head)
        if kind is QED:
            (features,) = struct.unpack_from("<Q", head, 16)
            return HeaderFacts(others="a backing file" if features & 1 else "")
        if kind is VMDK:
            return _vmdk(head)
        if kind is VHD:
            (disk_type,) = struct.unpack_from(">I", tail if tail.startswith(b"conectix") else head, 60)
            return HeaderFacts(
                obstacle="it holds only differences from a different image" * (disk_type == _DIFFERENCES)
            )
    except struct.error:
        return HeaderFacts(obstacle="it ends within its header")
    return HeaderFacts()


_DIFFERENCES = 4
"""The type of a VHD image with a parent."""

_CORRUPT = 1 << 1
"""The bit of a qcow2 image in which QEMU has found wrong structures."""

_DATA_FILE = 1 << 2
"""The bit of a qcow2 image whose data is in a different file."""


def _qcow(head: bytes) -> HeaderFacts:
    """Read the header of a qcow2 or qcow image (QEMU's docs/interop/qcow2.txt)."""
    version, backing = struct.unpack_from(">IQ", head, 4)
    # Version 1 has size and encryption elsewhere.
    (encryption,) = struct.unpack_from(">I", head, 36 if version == 1 else 32)
    features = struct.unpack_from(">Q", head, 72)[0] if version > 2 else 0  # noqa: PLR2004 (the first with them)
    if encryption:
        return HeaderFacts(obstacle="it is encrypted")
    if features & _CORRUPT:
        return HeaderFacts(obstacle="it is marked as corrupt (qemu-img check -r all)")
    if features & _DATA_FILE:
        return HeaderFacts(others="a file with its data")
    return HeaderFacts(others="a backing file" if backing else "")


def _vmdk(head: bytes) -> HeaderFacts:
    """Read the descriptor of a VMDK image, which is a text: a file itself, or within the image."""
    if head.startswith(b"COWD"):
        return HeaderFacts()
    whole = not head.startswith(b"KDMV")
    text = head
    if not whole:
        offset, size = struct.unpack_from("<QQ", head, 28)
        text = head[offset * 512 : (offset + size) * 512]
        if size and not text:
            return HeaderFacts(others="a parent, perhaps")
    if re.search(rb"^encryption\.keySafe", text, re.MULTILINE):
        return HeaderFacts(obstacle="it is encrypted")
    if whole:
        return HeaderFacts(others="files with its data")
    parent = re.search(rb"^parentCID\s*=\s*([0-9A-Fa-f]+)", text, re.MULTILINE)
    return HeaderFacts(others="" if parent is None or parent[1].lower() == b"ffffffff" else "a parent")
