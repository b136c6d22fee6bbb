"""What a producer's service says that who reads its source from elsewhere has to know. Pure."""

import ipaddress
from typing import Self

import attrs

from fanoutfs.errors import UnusableError
from fanoutfs.remote.address import ExportAddress, ServiceAddress
from fanoutfs.status.document import StatusDocument

DESCRIBED = "fanoutfs "
"""How the description of an export of ours begins; then comes what the source is where it comes from."""


@attrs.frozen(kw_only=True)
class Announcement:
    """A source on another computer. Bytes throughout."""

    address: ExportAddress
    """Where it can be read."""
    wants_key: bool
    """The export is for those who have a key (TLS with PSK)."""
    size: int
    block: int
    head: int
    """Where its producer's write head was."""
    identity: str
    """What it is called there."""
    origin: str
    """What it is where it comes from."""

    @classmethod
    def of(cls, document: StatusDocument, service: ServiceAddress) -> Self:
        """Take it from the status document; raises UnusableError when there is no export."""
        export = document.export
        if export is None:
            raise UnusableError(
                f"the producer at {service.text} exports nothing; it has to be mounted with --export"
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
        )


def _is_relative(host: str) -> bool:
    """Say whether an address means another computer to each who hears it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_unspecified or address.is_loopback
