"""What a user may set, with its units and defaults; checked once, here."""

import ipaddress
import math
import re
from pathlib import Path
from typing import Literal, Self

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.units import MIB, PAGE, format_size

Pace = Literal["strict", "free"]

RUN = 8 * MIB
"""Most bytes of one read of the source: long enough for any disk's full rate, short enough that who waits
for a detour behind it does not notice."""

SLOW_RUN = 0.1
"""Where the source is read slower on purpose, a read is at most so many seconds long, for the same reason."""

LARGEST_BLOCK = 64 * MIB
"""A block is the least that is read for a probe of 512 bytes; beyond this nobody gains."""


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
class _Address:
    """Where something is served over the network."""

    host: str
    """A name or an address, without brackets."""
    port: int

    @property
    def loopback(self) -> bool:
        """Say whether only this computer can reach it; a name but localhost may be anybody's."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@attrs.frozen(kw_only=True)
class ServiceSettings(_Address):
    """Where the monitor service of a mount listens, and to whom it answers."""

    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what would show this to strangers."""
        _whole_certificate(self.tls_cert, self.tls_key)
        if self.token_file is None and not self.loopback:
            raise UsageError(
                f"--listen {self.host} would answer everybody who can reach it; name a file with a token "
                "by --token-file, or listen on 127.0.0.1"
            )


@attrs.frozen(kw_only=True)
class ExportSettings(_Address):
    """Where a mount's image is shown over NBD, and to whom."""

    token_file: Path | None = None
    """NBD knows no tokens: who gives one has thought of strangers, no more."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_psk: Path | None = None
    """Keys of those who may read; they go before the certificate."""

    def __attrs_post_init__(self) -> None:
        """Refuse what would give the image to strangers unasked."""
        _whole_certificate(self.tls_cert, self.tls_key)
        if self.token_file is None and self.tls_psk is None and not self.loopback:
            raise UsageError(
                f"--export {self.host} would give the image to everybody who can reach it; let in who has a "
                "key of --tls-psk, or say --token-file, or export on 127.0.0.1"
            )

    @property
    def open_to_all(self) -> str | None:
        """Say who can read all of the image, where these are not only the users of this computer; or None."""
        if self.loopback or self.tls_psk is not None:
            return None
        return (
            f"whoever can reach {self} can read all of the source: NBD asks for no token; "
            "let in only who has a key, by --tls-psk"
        )

    @property
    def tls(self) -> Literal["none", "certificates", "psk"]:
        """Say how its clients are spoken to."""
        if self.tls_psk is not None:
            return "psk"
        return "none" if self.tls_cert is None else "certificates"


@attrs.frozen(kw_only=True)
class NetworkSettings:
    """What of a mount is shown to other computers."""

    service: ServiceSettings | None = None
    export: ExportSettings | None = None

    @property
    def options(self) -> str:
        """Name the options that ask for it."""
        asked = {"--listen": self.service, "--export": self.export}
        return " and ".join(option for option, settings in asked.items() if settings is not None)

    @classmethod
    def of(
        cls,
        *,
        listen: str | None = None,
        export: str | None = None,
        token_file: Path | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        tls_psk: Path | None = None,
    ) -> Self:
        """Give what the options of ``mount`` say; raises UsageError."""
        if tls_psk is not None and export is None:
            raise UsageError("--tls-psk is for --export; give that, too")
        if listen is None and export is None and (token_file or tls_cert or tls_key):
            raise UsageError("--token-file, --tls-cert and --tls-key are for --listen and --export")
        service = exported = None
        if listen is not None:
            host, port = _address("--listen", listen, "8400")
            service = ServiceSettings(
                host=host, port=port, token_file=token_file, tls_cert=tls_cert, tls_key=tls_key
            )
        if export is not None:
            host, port = _address("--export", export, "10809")
            exported = ExportSettings(
                host=host,
                port=port,
                token_file=token_file,
                tls_cert=tls_cert,
                tls_key=tls_key,
                tls_psk=tls_psk,
            )
        return cls(service=service, export=exported)


def _address(option: str, text: str, usual: str) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+)):(\d{1,5})", text, re.ASCII)
    if found is None or not 0 < int(found[3]) < 65536:  # noqa: PLR2004 (ports)
        raise UsageError(
            f"{option} {text!r} is not HOST:PORT; write 127.0.0.1:{usual}, or 0.0.0.0:{usual} for everywhere"
        )
    return found[1] or found[2], int(found[3])


def _whole_certificate(cert: Path | None, key: Path | None) -> None:
    if (cert is None) != (key is None):
        raise UsageError("--tls-cert and --tls-key belong together; give both or none")
