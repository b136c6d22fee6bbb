"""Tokens, keys and certificates. A file with a token or keys must be readable by its owner only."""

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.mountpoint import require_answer

if TYPE_CHECKING:
    import ssl

SHORTEST_TOKEN = 16
LONGEST_TOKEN = 1024

SHORTEST_KEY = 16
"""Bytes of a pre-shared key."""

LONGEST_KEYS = 65536
"""Bytes of the file of pre-shared keys."""

_KEY = re.compile(rb"([^:\s]+):((?:[0-9A-Fa-f]{2})+)")


def read_token(path: Path) -> str:
    """Return the token in a file. Raise UnusableError if others can read it or it is invalid."""
    token = _read_private("token file", path, LONGEST_TOKEN + 2).strip()
    if not all(0x21 <= letter <= 0x7E for letter in token):  # noqa: PLR2004 (ASCII's letters)
        raise UnusableError(f"the token file {path} holds more than one line of ASCII letters without spaces")
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
        raise UnusableError(
            f"the token in {path} has {len(token)} letters, it needs {SHORTEST_TOKEN} to {LONGEST_TOKEN}; "
            f"make one with: openssl rand -hex 32 > {path}"
        )
    return token.decode()


def first_user(path: Path) -> str:
    """Check a file of pre-shared keys (TLS-PSK), lines of USER:HEX; return the user of the first.

    Raise UnusableError as ``read_token`` does.
    """
    lines = _read_private("key file", path, LONGEST_KEYS).splitlines()
    keys = [_KEY.fullmatch(line) for line in lines if line and not line.startswith(b"#")]
    good = [key for key in keys if key is not None and len(key[2]) >= 2 * SHORTEST_KEY]
    if not good or len(good) < len(keys):
        raise UnusableError(
            f"the key file {path} is not lines of USER:KEY with {SHORTEST_KEY} bytes or more in hexadecimal; "
            f'make one with: echo "fanoutfs:$(openssl rand -hex 32)" > {path}'
        )
    return good[0][1].decode(errors="replace")


def read_certificate(cert: Path, key: Path) -> "ssl.SSLContext":
    """Load a certificate chain and its key. Raise UnusableError if they can't be used."""
    for path in cert, key:
        require_answer(path)
    import ssl  # noqa: PLC0415 (large, and every command imports this module)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password argument OpenSSL would prompt for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise UnusableError(
            f"--tls-cert {cert} with --tls-key {key} can't be used: {why}; give a PEM certificate and its "
            "key without a passphrase"
        ) from error
    return context


def _read_private(what: str, path: Path, most: int) -> bytes:
    """Read at most ``most`` bytes of a file that only its owner can read."""
    require_answer(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            text = os.read(descriptor, most) if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnusableError(f"the {what} {path} can't be read: {reason(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnusableError(f"the {what} {path} is no file; write it into one")
    if status.st_uid not in (0, os.getuid()):
        raise UnusableError(f"the {what} {path} is another user's; make one of your own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UnusableError(f"the {what} {path} can be read by others; close it with: chmod 600 {path}")
    return text
