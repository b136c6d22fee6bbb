"""The link to an export on another computer: an nbdfuse mount, kept up by a supervisor process.

libnbd's nbdfuse shows an NBD export as a file, which is then read like any other; no NBD is spoken here. It
does not connect again when its connection breaks: whoever reads asks the supervisor for a new one
(``exported.py``). TLS with a key or a certificate of one's own is more than nbdfuse takes; then nbdkit's nbd
plugin stands between.

Each connection is mounted in its own folder, in a folder of the supervisor's: the file of an old one may be
open still when the next is there.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from fanoutfs.errors import FanoutError, UnusableError
from fanoutfs.remote.address import ExportAddress
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.system.child import Child
from fanoutfs.system.mountinfo import detach, mount_at
from fanoutfs.system.pipe import MessagePipe
from fanoutfs.system.runtime_dir import runtime_folder

CONNECT_SECONDS = 10.0
"""A connection is given so long to be there."""

LOOK_SECONDS = 0.01

LOOK_AT_READER_SECONDS = 1.0

FILE = "image"


def command(address: ExportAddress, keys: RemoteKeys, point: Path, certificates: Path) -> list[str]:
    """Give the words that mount an export on ``point``. ``certificates``: a folder with ca-cert.pem.

    Raises UnusableError for a file of keys that is none.
    """
    words = ["nbdfuse", "--readonly", str(point / FILE)]
    if not address.tls:
        return [*words, address.text]
    place = [f"hostname={address.host}", f"port={address.port}", f"export={address.export}", "tls=require"]
    if keys.tls_psk is not None:
        proof = [f"tls-psk={keys.tls_psk}", f"tls-username={address.user or keys.psk_user()}"]
    else:
        # Without a folder libnbd 1.14 takes any certificate for good.
        proof = [f"tls-certificates={certificates}", "tls-verify=true"]
        proof += [] if address.user is None else [f"tls-username={address.user}"]
    return [*words, "--command", "nbdkit", "-s", "--exit-with-parent", "nbd", *place, *proof]


def describing(address: ExportAddress, keys: RemoteKeys, certificates: Path) -> list[str]:
    """Give the words that ask an export what it is; the same arguments as for ``command``."""
    query = ""
    if address.tls and keys.tls_psk is not None:
        address = attrs.evolve(address, user=address.user or keys.psk_user())
        query = f"?tls-psk-file={quote(str(keys.tls_psk))}"
    elif address.tls:
        query = f"?tls-certificates={quote(str(certificates))}"
    return ["nbdinfo", "--json", "--no-content", address.text + query]


@attrs.define(eq=False)
class LinkSupervisor:
    """What the supervisor of a link does: the work of ``Supervisor.fork``."""

    address: ExportAddress
    keys: RemoteKeys
    described: bool
    """Ask what the export says of itself; it takes a fifth of a second, and a service says more."""

    def __call__(self, line: MessagePipe) -> None:
        """Connect whenever that is asked, until nobody asks any more.

        Words: ``connect`` is answered with ``path``, the file to read, and ``description``, what the export
        says of itself, or with ``error``; ``cut`` ends the connection, and has no answer; nor has ``reader``,
        which says what process reads from now on.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"link-{os.getpid()}-", dir=runtime_folder()))
        tidy(runtime_folder())
        link = _Link(self.address, self.keys, folder, self.described)
        try:
            while message := link.next(line):
                if "cut" in message:
                    link.cut()
                elif "reader" in message:
                    link.reader = message["reader"]
                else:
                    line.send(**link.connect())
        finally:
            link.cut()
            shutil.rmtree(folder)


@attrs.define(eq=False)
class _Link:
    address: ExportAddress
    keys: RemoteKeys
    folder: Path
    described: bool
    reader: int | None = attrs.field(default=None, init=False)
    """The process that reads."""
    _program: Child | None = attrs.field(default=None, init=False)
    _point: Path | None = attrs.field(default=None, init=False)
    _count: int = attrs.field(default=0, init=False)

    def next(self, line: MessagePipe) -> dict[str, Any]:
        """Wait for what is asked next, and listen to the program meanwhile; nothing: it is all over."""
        while self._program is not None and self._program.ended is None:
            if self._program.wait(line.fileno(), seconds=LOOK_AT_READER_SECONDS):
                break
            if self.reader is not None and is_dying(self.reader):
                return {}
        return line.receive()

    def connect(self) -> dict[str, Any]:
        """Connect anew; gives the answer."""
        self.cut()
        self._count += 1
        self._point = self.folder / str(self._count)
        self._point.mkdir()
        try:
            self._program = Child.start(command(self.address, self.keys, self._point, self._certificates()))
            return self._wait_for(self._program, self._point / FILE)
        except UnusableError as error:
            return {"error": str(error)}

    def _wait_for(self, program: Child, file: Path) -> dict[str, Any]:
        until = time.monotonic() + CONNECT_SECONDS
        while not file.exists():
            if program.ended is not None:
                return {"error": said(program.said)}
            if time.monotonic() > until:
                self.cut()
                return {"error": f"no connection within {CONNECT_SECONDS:g} seconds"}
            program.wait(seconds=LOOK_SECONDS)
        # After the connection, not before: what answers in between is what was connected to, or gone.
        return {"path": str(file), "description": self._describe() if self.described else ""}

    def _describe(self) -> str:
        """Ask the export what it is; raises UnusableError."""
        words = describing(self.address, self.keys, self._certificates())
        try:
            done = subprocess.run(words, capture_output=True, timeout=CONNECT_SECONDS, check=False)
            if done.returncode:
                raise UnusableError(said(done.stderr.decode(errors="replace").splitlines()))
            found = json.loads(done.stdout)["exports"][0].get("description", "")
        except (OSError, subprocess.TimeoutExpired, ValueError, LookupError) as error:
            raise UnusableError(f"nbdinfo does not say what it is: {error}") from error
        return str(found)

    def _certificates(self) -> Path:
        """Make the folder in which libnbd wants the certificates of those whom we trust."""
        folder = self.folder / "certificates"
        trusted = self.keys.tls_ca or next(filter(os.path.exists, _trusted_files()), None)
        if self.address.tls and self.keys.tls_psk is None and not folder.exists():
            if trusted is None:
                raise UnusableError("the system has no file of certificates; name one by --tls-ca FILE")
            folder.mkdir()
            (folder / "ca-cert.pem").symlink_to(trusted)
        return folder

    def cut(self) -> None:
        """End the connection, and take its mount off."""
        if self._program is not None:
            self._program.end()
            self._program = None
        if self._point is not None:
            take_off(self._point)
            self._point = None


def _trusted_files() -> Iterator[str]:
    """Name where a system has the certificates that it trusts, all in one file."""
    if (of_openssl := ssl.get_default_verify_paths().cafile) is not None:
        yield of_openssl
    yield "/etc/ssl/certs/ca-certificates.crt"  # Debian, Arch, Alpine
    yield "/etc/pki/tls/certs/ca-bundle.crt"  # Fedora
    yield "/etc/ssl/ca-bundle.pem"  # SUSE


def is_dying(pid: int) -> bool:
    """Say whether a process has been killed and only a read keeps it, which nothing but our end would end.

    It has its end of the line, and its claim of the source, for as long.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def said(lines: Sequence[str]) -> str:
    """Give why a program could not connect: what it has said, without its name and libnbd's."""
    causes = [found[1] for line in lines if (found := re.search(r"nbd_connect_\w+: (.*)", line))]
    return next(iter([*causes, *reversed(lines)]), "nbdfuse has ended without a word")


def take_off(point: Path) -> None:
    """Unmount a link, used or dead, and remove its folder."""
    if mount_at(point) is not None:
        detach(point, lazy=True)
    point.rmdir()


def tidy(runtime: Path) -> None:
    """Remove what links have left behind whose supervisors were killed."""
    for folder in runtime.glob("link-*-*"):
        try:
            os.kill(int(folder.name.split("-")[1]), 0)
        except ProcessLookupError:
            for point in folder.iterdir():
                if point.name.isdecimal():
                    take_off(point)
            shutil.rmtree(folder)
        except (ValueError, FanoutError, OSError):
            # Another's, or still in use; or another supervisor tidies up, too.
            continue
