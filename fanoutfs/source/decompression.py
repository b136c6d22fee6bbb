"""The programs that decompress an image, and its size where the file tells that reliably.

gzip and bzip2 files do not: gzip's has a size modulo 4 GiB, of the last of its members. zstd's may. xz files
and zip archives always do.
"""

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.source.formats import ImageFormat
from fanoutfs.system.bounded import run_within
from fanoutfs.system.programs import require_programs

LIST_SECONDS = 30.0
"""How long the description of a compressed file may take: zstd's reads the whole file."""

THREADED = {"gzip": ("pigz",), "bzip2": ("lbzip2", "pbzip2")}
"""Programs that do the same with several threads, if they are installed."""

ARGUMENTS = {
    "xz": ("-dc", "-T0"),
    # With windows of up to 2 GiB, as zstd --ultra --long=31 makes them.
    "zstd": ("-dcq", "--long=31"),
}
DECOMPRESS = ("-dc",)


def decompress_command(kind: ImageFormat) -> list[str]:
    """Return the command that decompresses its input; raise UnusableError if it is not installed."""
    if kind.name == "zip":
        require_programs("unzip")
        # The archive's end is read first: its input must be a file.
        return ["unzip", "-p", "/proc/self/fd/0"]
    program = next(filter(shutil.which, THREADED.get(kind.name, ())), kind.name)
    require_programs(program)
    return [program, *ARGUMENTS.get(kind.name, DECOMPRESS)]


def size_within(kind: ImageFormat, path: str, named: str) -> int | None:
    """Return the bytes of what a compressed file holds; None: it does not tell. Raises UnusableError.

    ``named``: what the user calls it.
    """
    if kind.name == "zip":
        return _only_member(path, named).file_size
    query = QUERIES.get(kind.name)
    if query is None:
        return None
    require_programs(query.argv[0])
    try:
        done = run_within(LIST_SECONDS, [*query.argv, path])
    except TimeoutError:
        return None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        why = (
            lines[-1].removeprefix(f"{query.argv[0]}: ").removeprefix(f"{path}: ")
            if lines
            else "it is damaged"
        )
        raise UnusableError(f"the source {named} can't be decompressed: {why}")
    return query.parse(done.stdout.decode(errors="replace"))


@attrs.frozen
class _Query:
    argv: Sequence[str]
    parse: Callable[[str], int | None]


def xz_size(text: str) -> int | None:
    """Return the size from ``xz --robot --list`` (xz(1), "Robot mode"): the fifth column of the totals."""
    totals = [line.split("\t") for line in text.splitlines() if line.startswith("totals\t")]
    return int(totals[0][4]) if totals else None


def zstd_size(text: str) -> int | None:
    """Return the size from ``zstd -lv``, which has none if one of the file's frames does not tell its own."""
    found = re.search(r"^Decompressed Size: .*\((\d+) B\)$", text, re.MULTILINE)
    return None if found is None else int(found[1])


QUERIES = {
    "xz": _Query(("xz", "--robot", "--list"), xz_size),
    "zstd": _Query(("zstd", "-lv"), zstd_size),
}


def _only_member(path: str, named: str) -> zipfile.ZipInfo:
    """Return the only file in a zip archive; raise UnusableError if there are more or none, or a password."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except OSError as error:
        raise UnusableError(f"the source {named} can't be read: {reason(error)}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnusableError(f"the source {named} is a damaged zip archive: {error}") from error
    if len(members) != 1:
        raise UnusableError(
            f"the source {named} is a zip archive of {len(members)} files, not of one image; unpack it first"
        )
    if members[0].flag_bits & 1:
        raise UnusableError(f"the source {named} is a zip archive with a password; unpack it first")
    return members[0]


def open_input(descriptor: int) -> int:
    """Return a new descriptor of an open file, for a program that reads it from its beginning."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
