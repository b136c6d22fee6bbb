"""A source named by the service of its producer, which tells its export, write head, digests and identity."""

from typing import Self

import attrs

from fanoutfs.errors import SourceChangedError, UnusableError
from fanoutfs.remote.address import ServiceAddress
from fanoutfs.remote.announcement import Announcement
from fanoutfs.remote.nbd_source import ExportedSource
from fanoutfs.remote.remote_digests import RemoteDigests
from fanoutfs.remote.remote_info import OpenSource, RemoteInfo
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.service_client import ServiceClient


@attrs.frozen
class ServiceSource:
    """A service, and what it announced in reply to the first request."""

    service: ServiceClient
    info: Announcement
    keys: RemoteKeys

    @classmethod
    def find(cls, address: ServiceAddress, keys: RemoteKeys) -> Self:
        """Ask a service for its export; raises UnusableError."""
        service = ServiceClient.of(address, keys.token_file, keys.tls_ca)
        info = Announcement.of(service.status(), address)
        if info.wants_key and keys.tls_psk is None:
            raise UnusableError(
                f"the export of {address.text} requires a key; name the key file with --tls-psk FILE"
            )
        return cls(service, info, keys)

    def open(self) -> OpenSource:
        """Connect to the export.

        Raises UnusableError, or SourceChangedError when the export is not what the service announced.
        """
        info = self.info
        source = ExportedSource.open(
            info.address,
            self.keys,
            path=self.service.address.text,
            size=info.size,
            origin=info.origin,
            ask=self.head,
            has_holes=info.has_holes,
        )
        digests = RemoteDigests(
            service=self.service, identity=info.identity, size=info.size, block=info.block
        )
        return OpenSource(source, RemoteInfo(block=info.block, head=self.head, digests=digests))

    def head(self) -> int:
        """Return the position of the producer's write head, in bytes.

        Raises SourceChangedError when the service announces a different source, UnusableError when it
        does not answer.
        """
        text, info = self.service.address.text, self.info
        now = Announcement.of(self.service.status(), self.service.address)
        if (now.origin, now.size, now.block) != (info.origin, info.size, info.block):
            raise SourceChangedError(f"the source {text} has changed")
        return now.head
