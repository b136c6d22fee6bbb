"""What proves who we are, and who they are, where a source is on another computer."""

from pathlib import Path

import attrs

from fanoutfs.system.credentials import first_user


@attrs.frozen(kw_only=True)
class RemoteKeys:
    """Files that the user has named."""

    token_file: Path | None = None
    """For a service."""
    tls_ca: Path | None = None
    """The certificate of who has signed theirs, unless the system knows it."""
    tls_psk: Path | None = None
    """Keys that both sides have, for an export: ``USER:KEY`` lines as psktool makes them."""

    def absolute(self) -> "RemoteKeys":
        """Give the same for a process in another folder."""
        return RemoteKeys(
            token_file=self.token_file and self.token_file.absolute(),
            tls_ca=self.tls_ca and self.tls_ca.absolute(),
            tls_psk=self.tls_psk and self.tls_psk.absolute(),
        )

    def psk_user(self) -> str:
        """Give the first user of the keys' file; raises UnusableError for one that can't be used."""
        assert self.tls_psk is not None
        return first_user(self.tls_psk)
