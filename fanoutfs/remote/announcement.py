"""What a consumer on another computer has to know about a source, from its status document. No I/O."""

import ipaddress
from typing import Self

import attrs

from fanoutfs.errors import UnusableError
from fanoutfs.remote.address import ExportAddress, ServiceAddress
from fanoutfs.status.document import StatusDocument

DESCRIBED = "fanoutfs "
"""The beginning of the description of a fanoutfs export; the origin of the source follows it."""


@attrs.frozen(kw_only=True)
class Announcement:
    """A source on another computer. Bytes throughout."""

    address: ExportAddress
    """The address of its export."""
    wants_key: bool
    """The export requires a pre-shared key (TLS-PSK)."""
    size: int
    block: int
    head: int
    """The position of its producer's write head at the time of the request."""
    identity: str
    """Its identity on that computer."""
    origin: str
    """Its identity on the computer that the data comes from."""
    has_holes: bool
    """Some of it may not have to be read."""

    @classmethod
    def of(cls, document: StatusDocument, service: ServiceAddress) -> Self:
        """Read the announcement from a status document; raises UnusableError if there is no export."""
        export = document.export
        if export is None:
            raise UnusableError(
                f"the producer at {service.text} exports nothing; mount the source there with --export"
            )
        source = document.source
        return cls(
            address=ExportAddress(
                host=service.host if _is_relative(export.host) else export.host,
                port=export.port,
                export=export.name,
                tls=export.tls != "none",
            ),
            wants_key=export.tls == "psk",
            size=source.size,
            block=document.ring.block_size,
            head=document.head,
            identity=source.identity,
            origin=source.origin or source.identity,
            has_holes=source.data != source.size,
        )


def _is_relative(host: str) -> bool:
    """Return whether an address names the computer itself, and so a different one for each client."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_unspecified or address.is_loopback
