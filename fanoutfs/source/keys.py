"""What proves who we are, and who they are, where a source is on another computer."""

from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError, reason


@attrs.frozen(kw_only=True)
class Keys:
    """Files that the user has named."""

    token_file: Path | None = None
    """For a service."""
    tls_ca: Path | None = None
    """The certificate of who has signed theirs, unless the system knows it."""
    tls_psk: Path | None = None
    """Keys that both sides have, for an export: ``USER:KEY`` lines as psktool makes them."""

    def absolute(self) -> "Keys":
        """Give the same for a process in another folder."""
        return Keys(
            token_file=self.token_file and self.token_file.absolute(),
            tls_ca=self.tls_ca and self.tls_ca.absolute(),
            tls_psk=self.tls_psk and self.tls_psk.absolute(),
        )

    def psk_user(self) -> str:
        """Give the first user of the keys' file; raises UnusableError."""
        assert self.tls_psk is not None
        try:
            lines = self.tls_psk.read_text(errors="replace").splitlines()
        except OSError as error:
            raise UnusableError(f"the file of keys {self.tls_psk} can't be read: {reason(error)}") from error
        user, colon, _ = next((line for line in lines if line and line[0] != "#"), "").partition(":")
        if not (user and colon):
            raise UnusableError(f"the file of keys {self.tls_psk} has no line USER:KEY; psktool makes them")
        return user
