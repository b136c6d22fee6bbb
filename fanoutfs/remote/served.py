"""A source whose producer's service is named: asked for its export, head and digests, and who it is."""

import attrs

from fanoutfs.errors import SourceChangedError, UnusableError
from fanoutfs.remote.address import ServiceAddress
from fanoutfs.remote.announcement import Announcement
from fanoutfs.remote.client import ServiceClient
from fanoutfs.remote.nbd_source import ExportedSource
from fanoutfs.remote.opened import OpenSource, RemoteInfo
from fanoutfs.remote.remote_digests import RemoteDigests
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.remote_verification import FarDigests


@attrs.frozen
class _Same:
    """What a service has said, to be asked whether it still holds."""

    service: ServiceClient
    found: Announcement

    def head(self) -> int:
        """Give where it is read now if it is the same source; else raise SourceChangedError."""
        now, found = Announcement.of(self.service.status(), self.service.address), self.found
        if (now.origin, now.size, now.block) != (found.origin, found.size, found.block):
            raise SourceChangedError(f"the source {self.service.address.text} is another one than before")
        return now.head


def open_served(address: ServiceAddress, keys: RemoteKeys) -> OpenSource:
    """Open a source; what it says of its head, and the digests of what goes by there, come with it.

    Raises UnusableError, or SourceChangedError when the export is something else than the service says.
    """
    service = ServiceClient.of(address, keys.token_file, keys.tls_ca)
    found = Announcement.of(service.status(), address)
    if found.wants_key and keys.tls_psk is None:
        raise UnusableError(f"the export of {address.text} wants a key; name its file by --tls-psk FILE")
    same = _Same(service, found)
    source = ExportedSource.open(
        found.address, keys, path=address.text, size=found.size, origin=found.origin, ask=same.head
    )
    digests = RemoteDigests(service=service, identity=found.identity, size=found.size, block=found.block)
    return OpenSource(source, RemoteInfo(block=found.block, head=same.head, digests=FarDigests(digests)))
