"""The digest of a block, as it went by in the ring: what a target is held against when it is read back.

The first DIGEST_SIZE bytes of the block's SHA-256: enough that no damage goes unseen, and a disk of 8 TiB has
128 MiB of them.
"""

import hashlib

DIGEST_SIZE = 16


def digest(block: memoryview) -> bytes:
    """Give the digest of a block's bytes; those behind the image's end are none of them."""
    return hashlib.sha256(block).digest()[:DIGEST_SIZE]
