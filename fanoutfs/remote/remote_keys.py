"""The credentials for a source on another computer."""

from pathlib import Path

import attrs

from fanoutfs.system.credentials import first_user


@attrs.frozen(kw_only=True)
class RemoteKeys:
    """Files that the user has named."""

    token_file: Path | None = None
    """For a service."""
    tls_ca: Path | None = None
    """The CA certificate to trust, if the system does not trust it already."""
    tls_psk: Path | None = None
    """Pre-shared keys for an export: ``USER:KEY`` lines as psktool writes them."""

    def absolute(self) -> "RemoteKeys":
        """Return the same with absolute paths, for a process in a different folder."""
        files = attrs.asdict(self).items()
        return RemoteKeys(**{name: file and file.absolute() for name, file in files})

    def psk_user(self) -> str:
        """Return the first user in the file of keys; raises UnusableError if it can't be used."""
        assert self.tls_psk is not None
        return first_user(self.tls_psk)
