"""The settings that users can change, with units and defaults; they are validated here, once."""

import ipaddress
import math
from pathlib import Path
from typing import Any, Literal, Self

import attrs

from fanoutfs.errors import UnusableError, UsageError
from fanoutfs.host_port import format_host_port, parse_host_port
from fanoutfs.units import MIB, PAGE, format_size

Pace = Literal["strict", "free"]

OnReadError = Literal["fail", "zero"]

RUN = 8 * MIB
"""Most bytes of one read of the source: enough for any disk's full rate, and short enough that a reader that
waits for a detour behind it does not notice."""

SLOW_RUN = 0.1
"""With --read-rate, a read of the source takes at most this many seconds, for the same reason."""

LARGEST_BLOCK = 64 * MIB
"""A probe of 512 bytes reads a whole block; larger blocks than this make nothing faster."""


def _positive(_: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(
            f"invalid --{attribute.name.replace('_', '-')} {value:g}: must be more than 0 seconds"
        )


def _absolute(path: Path | None) -> Path | None:
    """Return the path for a daemon, which has a different working directory."""
    return None if path is None else path.absolute()


def _absolute_map(only: str | None) -> str | None:
    return only if only in (None, "used") else str(Path(only).absolute())


@attrs.frozen(kw_only=True)
class SourceSettings:
    """How a source is read, in bytes."""

    size: int | None = None
    """The size of a pipe, which has none that can be asked for."""
    spool: Path | None = None
    """A folder in which what was read is kept, so that nothing is read twice."""
    on_read_error: OnReadError = "fail"
    """What readers get of a place that can't be read: an error, or zeros."""
    mapfile: Path | None = attrs.field(default=None, converter=_absolute)
    """A map of bad places, as of GNU ddrescue: read at the start if it is there, and kept up to date."""
    retries: int = 0
    """How many times a bad sector is read again."""
    only: str | None = attrs.field(default=None, converter=_absolute_map)
    """The path of a map of the places that are copied, or "used": those that file systems use."""
    only_zero_rest: bool = False
    """Whether the other places become zeros on a target, instead of staying as they are."""
    strict_source: bool = False
    """Whether a source that may change while it is read is refused."""

    def __attrs_post_init__(self) -> None:
        """Raise UsageError for options that contradict one another."""
        if self.only_zero_rest and self.only is None:
            raise UsageError("--only-zero-rest needs --only")

    @property
    def part(self) -> str:
        """Return what of a source is copied, as text that is the same for the same; empty: all of it."""
        if self.only is None:
            return ""
        return f"{self.only} --only-zero-rest" if self.only_zero_rest else self.only


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a producer, in bytes and seconds."""

    ring: int | None = None
    """Bytes of shared memory. None: an eighth of what is available. Never more than the image."""
    block: int = MIB
    fits_block: bool = False
    """Whether a smaller block is used where --only reads little of the source: the user has named none."""
    patience: float = attrs.field(default=10.0, validator=_positive)
    turn: float = attrs.field(default=2.0, validator=_positive)
    source_timeout: float = attrs.field(default=60.0, validator=_positive)
    pace: Pace = "strict"
    read_rate: int | None = None
    """Most bytes of the source to read per second; None: unlimited."""
    source: SourceSettings = attrs.field(factory=SourceSettings)

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Return the settings for the options of ``copy`` and ``mount``. Raises UsageError."""
        names = [field.name for field in attrs.fields(SourceSettings)]
        source = {name: options.pop(name) for name in names if name in options}
        if options.get("block") is None:
            options.pop("block", None)
            options["fits_block"] = True
        return cls(source=SourceSettings(**source), **options)

    def __attrs_post_init__(self) -> None:
        """Raise UsageError for invalid sizes, before anything is opened."""
        if self.block % PAGE or self.block > LARGEST_BLOCK:
            raise UsageError(
                f"invalid --block {self.block}: a block is a multiple of {PAGE} bytes, "
                f"at most {format_size(LARGEST_BLOCK)}"
            )
        if self.ring is not None and self.ring < 2 * self.block:
            raise UsageError(
                f"invalid --ring {self.ring}: the ring must hold two blocks of {self.block} bytes; "
                "use a larger --ring or a smaller --block"
            )

    def with_block(self, block: int) -> Self:
        """Return these settings with the block size, in bytes, of a remote or replaced producer."""
        ring = None if self.ring is None else max(self.ring, 2 * block)
        return attrs.evolve(self, block=block, ring=ring)

    def run(self) -> int:
        """Return the largest number of blocks in one read of the source."""
        longest = RUN if self.read_rate is None else min(RUN, int(self.read_rate * SLOW_RUN))
        return max(1, longest // self.block)

    def slots(self, size: int, available: int, limit: str) -> int:
        """Return how many blocks the ring holds, for an image of ``size`` bytes.

        ``available`` are the bytes that ``limit`` leaves, which is a part of the message of the UnusableError
        that is raised for a ring that does not fit: the kernel would end the process that fills it.
        """
        blocks = -(-size // self.block)
        ring = self.ring if self.ring is not None else available // 8
        slots = max(2, min(ring // self.block, blocks))
        if slots * self.block > available:
            raise UnusableError(
                f"a ring of {format_size(slots * self.block)} does not fit: {limit} leaves "
                f"{format_size(available)}; raise that limit, or use a smaller --ring"
            )
        return slots


@attrs.frozen(kw_only=True)
class MountSettings:
    """The settings of a mount."""

    allow_other: bool = False
    options: tuple[str, ...] = ()
    """Mount options, as for mount(8), one per string."""


@attrs.frozen(kw_only=True)
class _Address:
    """A network address to listen on, and its access control."""

    host: str
    """A host name or an IP address, without brackets."""
    port: int
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __attrs_post_init__(self) -> None:
        """Raise UsageError for a certificate without a key, or a key without a certificate."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key must be used together")

    @property
    def loopback(self) -> bool:
        """Whether only this computer can reach the address; of names, only localhost counts as such."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return format_host_port(self.host, self.port)


@attrs.frozen(kw_only=True)
class ServiceSettings(_Address):
    """Where the monitoring service of a mount listens."""

    def __attrs_post_init__(self) -> None:
        """Raise UsageError for a public service without a token."""
        super().__attrs_post_init__()
        if self.token_file is None and not self.loopback:
            raise UsageError(
                f"invalid --listen {self.host}: it would answer anyone on the network; set a token with "
                "--token-file, or listen on 127.0.0.1"
            )


@attrs.frozen(kw_only=True)
class ExportSettings(_Address):
    """Where the image of a mount is exported over NBD.

    NBD has no token authentication: ``token_file`` only records that the user accepts a public export.
    """

    tls_psk: Path | None = None
    """Pre-shared keys of the clients that may read; with them, the certificate is not used."""

    def __attrs_post_init__(self) -> None:
        """Raise UsageError for a public export that the user has not accepted explicitly."""
        super().__attrs_post_init__()
        if self.token_file is None and self.tls_psk is None and not self.loopback:
            raise UsageError(
                f"invalid --export {self.host}: anyone on the network could read the image; restrict it to "
                "clients with a key of --tls-psk, accept that with --token-file, or export on 127.0.0.1"
            )

    @property
    def open_to_all(self) -> str | None:
        """A warning if clients on other computers can read the image without a key; else None."""
        if self.loopback or self.tls_psk is not None:
            return None
        return (
            f"anyone who can reach {self} can read the whole source: NBD has no token authentication; "
            "use --tls-psk to let in only clients with a key"
        )

    @property
    def tls(self) -> Literal["none", "certificates", "psk"]:
        """How connections are encrypted."""
        if self.tls_psk is not None:
            return "psk"
        return "none" if self.tls_cert is None else "certificates"


@attrs.frozen(kw_only=True)
class NetworkSettings:
    """What a mount serves over the network."""

    service: ServiceSettings | None = None
    export: ExportSettings | None = None

    @property
    def options(self) -> str:
        """The options that ask for these services, as text."""
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
        """Return the settings for the options of ``mount``. Raises UsageError if they contradict."""
        if tls_psk is not None and export is None:
            raise UsageError("--tls-psk needs --export")
        if listen is None and export is None and (token_file or tls_cert or tls_key):
            raise UsageError("--token-file, --tls-cert and --tls-key apply only to --listen and --export")
        service = exported = None
        access = {"token_file": token_file, "tls_cert": tls_cert, "tls_key": tls_key}
        if listen is not None:
            host, port = _address("--listen", listen, "8400")
            service = ServiceSettings(host=host, port=port, **access)
        if export is not None:
            host, port = _address("--export", export, "10809")
            exported = ExportSettings(host=host, port=port, tls_psk=tls_psk, **access)
        return cls(service=service, export=exported)


def _address(option: str, text: str, usual: str) -> tuple[str, int]:
    try:
        host, port = parse_host_port(text)
    except ValueError:
        port = None
    if port is None:
        raise UsageError(
            f"invalid {option}: {text!r} is not HOST:PORT; write 127.0.0.1:{usual}, "
            f"or 0.0.0.0:{usual} for all networks"
        )
    return host, port
