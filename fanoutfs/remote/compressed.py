"""A compressed image: its programs are started, and what they write is kept in a spool.

A decompressor writes its output once, from the beginning to the end. A mount is read anywhere, and copies
join late: so the output is kept in a temporary file, in the folder that the user has named or else where the
system keeps such files. Without room there, the copies that are there from the start are served all the same.
"""

import os
import shlex
from pathlib import Path

from fanoutfs.errors import UnusableError
from fanoutfs.remote.file_address import SshAddress, WebAddress
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.settings import SourceSettings
from fanoutfs.source.decompression import decompress_command, open_input, size_within
from fanoutfs.source.formats import ImageFormat
from fanoutfs.source.local import PositionedSource, require_same
from fanoutfs.source.program_output import ProgramOutput
from fanoutfs.source.spool import Spool
from fanoutfs.system.identity import image_identity
from fanoutfs.system.programs import require_programs
from fanoutfs.system.undo import undone_on_failure
from fanoutfs.units import format_size

CONNECT_SECONDS = 10
"""How long ssh and curl may take to connect."""

SILENT_SECONDS = 60
"""How long a web server may send nothing."""

VAR_TMP = "/var/tmp"  # noqa: S108 (a file without a name can't be found there)


def spool_folder() -> Path:
    """Return the folder for the spool of a compressed image: $TMPDIR, or /var/tmp, as /tmp may be memory."""
    return Path(os.environ.get("TMPDIR") or VAR_TMP)


def opened_compressed(output: ProgramOutput, kind: ImageFormat, how: SourceSettings) -> OpenSource:
    """Return the output with a spool, if there is room; one that the user has asked for is made later."""
    if how.spool is not None:
        return OpenSource(output, kind=kind)
    folder = spool_folder()
    if output.size_is_known and (lack := lacks_room(folder, output.size)) is not None:
        return OpenSource(output, kind=kind, note=lack)
    return OpenSource(Spool.around(output, folder), kind=kind)


def lacks_room(folder: Path, size: int) -> str | None:
    """Return what to tell the user if a folder has no room for ``size`` bytes; None if it has."""
    try:
        found = os.statvfs(folder)
    except OSError:
        # The attempt to make a file there shows why.
        return None
    room = found.f_bavail * found.f_frsize
    if size <= room:
        return None
    return (
        f"what comes is not kept, as {folder} has only {format_size(room)} of room, so late readers get an "
        "error; name a folder with --spool DIR"
    )


def open_compressed(path: str, kind: ImageFormat) -> ProgramOutput:
    """Open a compressed image of this computer; raises UnusableError, or SourceChangedError."""
    command = decompress_command(kind)
    file = PositionedSource.open(path)
    with undone_on_failure(file.close):
        size = size_within(kind, path, path)
        require_same(path, file)
        first = open_input(file.descriptors()[0])
        try:
            identity = image_identity(file.identity)
            output = ProgramOutput.start(path, identity, [command], size=size, file=file, first=first)
        finally:
            os.close(first)
    return _looked_at(output, path)


def open_compressed_place(
    address: SshAddress | WebAddress, kind: ImageFormat, keys: RemoteKeys, shown: str
) -> ProgramOutput:
    """Open a compressed image on a different computer, by the programs for that. Raises UnusableError.

    ``shown``: the path at which a link shows it at this moment.
    """
    if kind.name == "zip":
        raise UnusableError(
            f"the source {address.text} is {kind.what}, which is read from its end; copy the file here first"
        )
    commands = [fetch_command(address, keys), decompress_command(kind)]
    require_programs(commands[0][0])
    # zstd would read all of it.
    size = size_within(kind, shown, address.text) if kind.name == "xz" else None
    return _looked_at(ProgramOutput.start(address.text, address.identity, commands, size=size), address.text)


def fetch_command(address: SshAddress | WebAddress, keys: RemoteKeys) -> list[str]:
    """Return the command that writes a file of a different computer to its output."""
    if isinstance(address, SshAddress):
        port = [] if address.port is None else ["-p", str(address.port)]
        user = [] if address.user is None else ["-l", address.user]
        how = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}"]
        path = shlex.quote(address.path if address.path.startswith("/") else f"./{address.path}")
        return ["ssh", *how, *port, *user, "--", address.host, f"cat {path}"]
    schemes = "=https" if address.scheme == "https" else "=http,https"
    limits = [
        "--connect-timeout",
        str(CONNECT_SECONDS),
        "--speed-limit",
        "1",
        "--speed-time",
        str(SILENT_SECONDS),
    ]
    trust = [] if keys.tls_ca is None else ["--cacert", str(keys.tls_ca)]
    quiet = ["--fail", "--location", "--silent", "--show-error", "--globoff", "--user-agent", "fanoutfs"]
    return [
        "curl",
        *quiet,
        *limits,
        "--proto",
        schemes,
        "--proto-redir",
        schemes,
        *trust,
        "--url",
        address.text,
    ]


def _looked_at(output: ProgramOutput, named: str) -> ProgramOutput:
    with undone_on_failure(output.close):
        output.require_disk(named)
    return output
