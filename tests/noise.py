"""Bytes without a pattern, the same in every run: a test that fails once fails again."""

import random


def noise(size: int, seed: int = 0) -> bytes:
    """Return ``size`` bytes that look random; a different ``seed`` gives different ones."""
    return random.Random(seed).randbytes(size)
