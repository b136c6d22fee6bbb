"""When a file of a web server was last modified, so that each request can demand that it still is that file.

A copy takes thousands of requests. A file that is replaced meanwhile would be mixed with its successor.
"""

import ssl

import httpx

from fanoutfs.remote.file_address import WebAddress
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.service_client import TIMEOUT

REDIRECTIONS = 10


def last_modified(address: WebAddress, keys: RemoteKeys) -> str | None:
    """Return the Last-Modified header of a file; None if the server tells none, or does not answer.

    Whether the file can be read shows when it is.
    """
    try:
        trust = ssl.create_default_context(cafile=keys.tls_ca) if address.scheme == "https" else False
        with httpx.Client(
            verify=trust, timeout=TIMEOUT, follow_redirects=True, max_redirects=REDIRECTIONS
        ) as client:
            answer = client.head(
                address.text, headers={"user-agent": "fanoutfs", "accept-encoding": "identity"}
            )
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return None
    found = answer.headers.get("last-modified") if answer.status_code == httpx.codes.OK else None
    return found if found and found.isascii() and found.isprintable() else None
