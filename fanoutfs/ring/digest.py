"""The digest of one block: taken as the block goes by, and again of what a target gives back."""

import hashlib

DIGEST_SIZE = 16
"""Bytes kept of a SHA-256: of a TiB in blocks of a MiB 16 MiB, and a wrong "equal" once in 2^128 blocks."""


def digest(view: memoryview) -> bytes:
    """Give the digest of a block's bytes; of the image's last block only those that it really has."""
    return hashlib.sha256(view).digest()[:DIGEST_SIZE]
