"""Whether a source on another computer has zeros in place of data that can't be read there."""

from fanoutfs.errors import FanoutError, NotAServiceError
from fanoutfs.remote.address import ServiceAddress, is_url
from fanoutfs.remote.file_address import parse
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.units import format_size


def remote_zeros(source: str, keys: RemoteKeys) -> tuple[bool, str]:
    """Ask the service at the address of a source that has been read; return whether, and a line to print.

    The line is empty if there is nothing to say, as for a source that has no service.
    """
    address = parse(source) if is_url(source) else None
    if not isinstance(address, ServiceAddress):
        return False, ""
    # An HTTP client is needed for such sources only.
    from fanoutfs.remote.service_client import ServiceClient  # noqa: PLC0415

    try:
        there = ServiceClient.of(address, keys.token_file, keys.tls_ca).status().source
    except NotAServiceError:
        return False, ""
    except FanoutError as error:
        return False, f"whether {source} has bad sectors, with zeros in their place, is not known: {error}"
    size = there.bad_bytes + there.left_bytes
    if there.on_read_error != "zero" or not size:
        return False, ""
    return True, (
        f"{format_size(size)} of {source} can't be read there, and became zeros, here too; "
        "its .fanoutfs/mapfile has the places"
    )
