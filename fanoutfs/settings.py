"""What a user may set, with its units and defaults; checked once, here."""

import ipaddress
import math
import re
from pathlib import Path
from typing import Literal, Self

import attrs

from fanoutfs.errors import UsageError

KIB = 1024
MIB = 1024 * KIB

Pace = Literal["strict", "free"]

_UNITS = {"": 1, "K": KIB, "M": MIB, "G": 1024 * MIB, "T": 1024**4, "P": 1024**5}

PAGE = 4096
"""A block is a whole number of these: O_DIRECT wants memory and length so aligned on every disk in use."""

RUN = 8 * MIB
"""Most bytes of one read of the source: long enough for any disk's full rate, short enough that who waits
for a detour behind it does not notice."""

SLOW_RUN = 0.1
"""Where the source is read slower on purpose, a read is at most so many seconds long, for the same reason."""

LARGEST_BLOCK = 64 * MIB
"""A block is the least that is read for a probe of 512 bytes; beyond this nobody gains."""


def parse_size(text: str) -> int:
    """Give the bytes that ``text`` names: a number, and behind it K, M, G, T, P (powers of 1024) or nothing.

    Raises UsageError for anything else, zero included.
    """
    found = re.fullmatch(r"\s*(\d+)\s*([KMGTP]?)(?:i?B)?\s*", text, re.IGNORECASE | re.ASCII)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text!r} is not a size; write it as 512K, 64M or 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def format_size(count: int) -> str:
    """Write ``count`` bytes as people read them, in the largest unit that keeps a digit before the point."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < KIB or unit == "PiB":
            break
        size /= KIB
    return f"{count} B" if unit == "B" else f"{size:.4g} {unit}"


def format_seconds(seconds: float) -> str:
    """Write a time as people read it, in the two largest units that matter."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 60:  # noqa: PLR2004 (seconds of a minute)
        return f"{seconds:.3g} s"
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), 86400
    if minutes < 60:  # noqa: PLR2004 (minutes of an hour)
        whole = round(seconds)
        return f"{whole // 60} min {whole % 60:02} s"
    if seconds < 2 * days:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{hours // 24} d {hours % 24:02} h"


def _positive(_: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"--{attribute.name.replace('_', '-')} wants seconds above zero, not {value}")


@attrs.frozen(kw_only=True)
class Settings:
    """A producer's settings; bytes and seconds throughout."""

    ring: int | None = None
    """Bytes of shared memory; None: an eighth of what is available, at most the image."""
    block: int = MIB
    patience: float = attrs.field(default=10.0, validator=_positive)
    turn: float = attrs.field(default=2.0, validator=_positive)
    source_timeout: float = attrs.field(default=60.0, validator=_positive)
    pace: Pace = "strict"
    read_rate: int | None = None
    """Most bytes per second that are read of the source; None: as fast as it goes."""

    def __attrs_post_init__(self) -> None:
        """Refuse what can't be meant, before anything is opened."""
        if self.block % PAGE or self.block > LARGEST_BLOCK:
            raise UsageError(
                f"--block {self.block} can't be: a block is a multiple of {PAGE} bytes, "
                f"at most {format_size(LARGEST_BLOCK)}"
            )
        if self.ring is not None and self.ring < 2 * self.block:
            raise UsageError(
                f"--ring {self.ring} is too small: it must hold two blocks of {self.block} bytes; "
                "make the ring larger or --block smaller"
            )

    def with_block(self, block: int) -> Self:
        """Give the same for blocks of so many bytes: those of a producer that is replaced, or far away."""
        ring = None if self.ring is None else max(self.ring, 2 * block)
        return attrs.evolve(self, block=block, ring=ring)

    def run(self) -> int:
        """Give the most blocks in one read of the source."""
        longest = RUN if self.read_rate is None else min(RUN, int(self.read_rate * SLOW_RUN))
        return max(1, longest // self.block)

    def slots(self, size: int, available: int) -> int:
        """Give how many blocks the ring holds, for an image and an available memory of so many bytes."""
        blocks = -(-size // self.block)
        ring = self.ring if self.ring is not None else max(available // 8, 2 * self.block)
        return max(2, min(ring // self.block, blocks))


@attrs.frozen(kw_only=True)
class MountSettings:
    """What a mount has of its own."""

    allow_other: bool = False
    options: tuple[str, ...] = ()
    """As for mount(8), one by one."""


@attrs.frozen(kw_only=True)
class ServiceSettings:
    """Where the monitor service of a mount listens, and to whom it answers."""

    host: str
    """A name or an address, without brackets."""
    port: int
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what would show this to strangers."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key belong together; give both or none")
        if self.token_file is None and not self.loopback:
            raise UsageError(
                f"--listen {self.host} would answer everybody who can reach it; name a file with a token "
                "by --token-file, or listen on 127.0.0.1"
            )

    @classmethod
    def of(
        cls, listen: str | None, token_file: Path | None, tls_cert: Path | None, tls_key: Path | None
    ) -> Self | None:
        """Give what the options say, None without ``--listen``; raises UsageError."""
        if listen is None:
            if token_file or tls_cert or tls_key:
                raise UsageError("--token-file, --tls-cert and --tls-key are for the service of --listen")
            return None
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+)):(\d{1,5})", listen, re.ASCII)
        if found is None or not 0 < int(found[3]) < 65536:  # noqa: PLR2004 (ports)
            raise UsageError(
                f"--listen {listen!r} is not HOST:PORT; write 127.0.0.1:8400, or 0.0.0.0:8400 for everywhere"
            )
        return cls(
            host=found[1] or found[2],
            port=int(found[3]),
            token_file=token_file,
            tls_cert=tls_cert,
            tls_key=tls_key,
        )

    @property
    def loopback(self) -> bool:
        """Say whether only this computer can reach it; a name but localhost may be anybody's."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
