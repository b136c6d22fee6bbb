"""The digest of a block in the ring, with which a target is compared when it is read back.

It is the first DIGEST_SIZE bytes of the block's SHA-256: enough to detect any damage, and only 128 MiB for a
disk of 8 TiB.
"""

import hashlib

DIGEST_SIZE = 16


def digest(block: memoryview) -> bytes:
    """Return the digest of a block's bytes, without those beyond the image's end."""
    return hashlib.sha256(block).digest()[:DIGEST_SIZE]
