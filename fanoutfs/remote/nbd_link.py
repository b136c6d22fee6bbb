"""The link to a source that a program serves over NBD: an nbdfuse mount, kept up by a supervisor process.

libnbd's nbdfuse shows an NBD export as a file, which is then read like any other file. It does not connect
again when its connection breaks: the reader then requests a new connection from the supervisor
(``nbd_source.py``). ``link_commands.py`` has the programs.

Each connection is mounted in its own folder, within a folder of the supervisor: the file of an old connection
may still be open when the next one is made.
"""

import json
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.errors import FanoutError, NoAnswerError, UnusableError
from fanoutfs.remote.address import ExportAddress, SocketAddress
from fanoutfs.remote.file_address import LinkAddress
from fanoutfs.remote.link_commands import (
    FILE,
    failure_reason,
    map_command,
    nbdfuse_command,
    nbdinfo_command,
    with_advice,
)
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.system import proc
from fanoutfs.system.bounded import run_within
from fanoutfs.system.child import END_SECONDS, Child
from fanoutfs.system.mountinfo import detach, mount_at
from fanoutfs.system.pipe import MessagePipe
from fanoutfs.system.runtime_dir import runtime_folder

CONNECT_SECONDS = 10.0
"""How long a connection may take."""

DESCRIBE_SECONDS = 5.0
"""How long the first reading of a description may take, if the connection took no longer: a server of one
client at a time lets the second one wait."""

MAP_SECONDS = 10.0
"""How long a server may take to list its holes: QEMU reads all of a large image's tables for that."""

LOOK_SECONDS = 0.01

LOOK_AT_READER_SECONDS = 1.0


@attrs.define(eq=False)
class LinkSupervisor:
    """The work of a link's supervisor, for ``Supervisor.fork``."""

    address: LinkAddress
    keys: RemoteKeys
    described: bool
    """Whether to read the export's description: that takes a fifth of a second, and a service tells more."""

    def __call__(self, pipe: MessagePipe) -> None:
        """Connect on request, until the pipe is closed.

        Messages: ``connect`` has a number. Its reply has the same number as ``request``, and ``path``, the
        file to read, and ``description``, that of the export, or ``error``. The reply to ``map``, which has a
        number, too, has the name of a file with the list of its holes, as nbdinfo prints it, or an empty one.
        ``cut`` ends the connection; ``reader`` is the process that reads from now on; neither has a reply.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"link-{os.getpid()}-", dir=runtime_folder()))
        remove_stale_links(runtime_folder())
        link = _Link(self.address, self.keys, folder, self.described)
        try:
            while message := link.next_message(pipe):
                if "cut" in message:
                    # A read that waits for a silent server keeps nbdfuse from ending.
                    link.cut(0.0)
                elif "reader" in message:
                    link.reader = message["reader"]
                elif "map" in message:
                    pipe.send(request=message["map"], map=link.map())
                else:
                    pipe.send(request=message["connect"], **link.connect())
        finally:
            link.cut()
            shutil.rmtree(folder)


@attrs.define(eq=False)
class _Link:
    address: LinkAddress
    keys: RemoteKeys
    folder: Path
    described: bool
    reader: int | None = attrs.field(default=None, init=False)
    """The process that reads."""
    _serves_one: bool = attrs.field(default=False, init=False)
    """It accepted no second connection."""
    _program: Child | None = attrs.field(default=None, init=False)
    _point: Path | None = attrs.field(default=None, init=False)
    _count: int = attrs.field(default=0, init=False)

    def next_message(self, pipe: MessagePipe) -> dict[str, Any]:
        """Wait for the next message, and read the program's output meanwhile; empty: the reader has ended."""
        while self._program is not None and self._program.ended is None:
            if self._program.wait(pipe.fileno(), seconds=LOOK_AT_READER_SECONDS):
                break
            # One that was killed stays for a read that only the end of the link can end. Until then it holds
            # its end of the pipe, and the producer lock.
            if self.reader is not None and proc.has_ended(self.reader):
                return {}
        return pipe.receive()

    def connect(self) -> dict[str, Any]:
        """Make a new connection; return the reply."""
        self.cut()
        self._count += 1
        self._point = self.folder / str(self._count)
        self._point.mkdir()
        try:
            self._program = Child.start(
                nbdfuse_command(self.address, self.keys, self._point, self._certificates())
            )
            return self._wait_for(self._program, self._point / FILE)
        except UnusableError as error:
            return {"error": str(error)}

    def _wait_for(self, program: Child, file: Path) -> dict[str, Any]:
        began = time.monotonic()
        while not file.exists():
            if program.ended is not None:
                return {"error": with_advice(failure_reason(program.last_lines))}
            if time.monotonic() > began + CONNECT_SECONDS:
                self.cut()
                return {
                    "error": f"no connection within {CONNECT_SECONDS:g} seconds; check the address, and "
                    "whether the server serves one client at a time and is in use"
                }
            program.wait(seconds=LOOK_SECONDS)
        # After the connection, not before: a server replaced in between is then noticed, and one that ends
        # with its first client is not ended by nbdinfo.
        took = time.monotonic() - began
        return {"path": str(file), "description": self._description(took) if self.described else ""}

    def _description(self, took: float) -> str:
        """Return the description of the export; empty if the server does not give it to the first request.

        ``took``: the seconds that the connection took. Raises UnusableError.
        """
        if self._count > 1:
            return self._describe(CONNECT_SECONDS)
        try:
            return self._describe(min(max(DESCRIBE_SECONDS, 2 * took), CONNECT_SECONDS))
        except NoAnswerError:
            self.described = False
            self._serves_one = True
            return ""

    def _describe(self, seconds: float) -> str:
        """Ask for the description over a second connection; raises UnusableError.

        NoAnswerError if the server does not accept that connection.
        """
        assert isinstance(self.address, ExportAddress | SocketAddress)
        argv = nbdinfo_command(self.address, self.keys, self._certificates())
        try:
            done = run_within(seconds, argv)
            if done.returncode:
                raise NoAnswerError(failure_reason(done.stderr.decode(errors="replace").splitlines()))
            found = json.loads(done.stdout)["exports"][0].get("description", "")
        except TimeoutError as error:
            raise NoAnswerError(f"nbdinfo has not answered within {seconds:g} seconds") from error
        except (OSError, ValueError, LookupError) as error:
            raise UnusableError(f"nbdinfo can't describe the export: {error}") from error
        return str(found)

    def map(self) -> str:
        """List the holes; return the name of the file with the list, empty if the source tells none."""
        if self._serves_one:
            return ""
        try:
            argv = map_command(self.address, self.keys, self._certificates())
            if argv is None:
                return ""
            done = run_within(MAP_SECONDS, argv)
        except (TimeoutError, OSError, UnusableError):
            return ""
        if done.returncode:
            return ""
        file = self.folder / "map"
        file.write_bytes(done.stdout)
        return str(file)

    def _certificates(self) -> Path:
        """Make the folder in which libnbd expects the trusted CA certificates; return its path."""
        folder = self.folder / "certificates"
        uses_tls = isinstance(self.address, ExportAddress) and self.address.tls
        trusted = self.keys.tls_ca or next(filter(os.path.exists, _trusted_files()), None)
        if uses_tls and self.keys.tls_psk is None and not folder.exists():
            if trusted is None:
                raise UnusableError("the system has no file of certificates; name one with --tls-ca FILE")
            folder.mkdir()
            (folder / "ca-cert.pem").symlink_to(trusted)
        return folder

    def cut(self, seconds: float = END_SECONDS) -> None:
        """End the connection, and unmount it. nbdfuse is killed after ``seconds``."""
        if self._program is not None:
            self._program.end(seconds)
            self._program = None
        if self._point is not None:
            unmount_link(self._point)
            self._point = None


def _trusted_files() -> Iterator[str]:
    """Return the files in which systems keep all trusted certificates."""
    if (of_openssl := ssl.get_default_verify_paths().cafile) is not None:
        yield of_openssl
    yield "/etc/ssl/certs/ca-certificates.crt"  # Debian, Arch, Alpine
    yield "/etc/pki/tls/certs/ca-bundle.crt"  # Fedora
    yield "/etc/ssl/ca-bundle.pem"  # SUSE


def unmount_link(point: Path) -> None:
    """Unmount a link, used or dead, and remove its folder."""
    if mount_at(point) is not None:
        detach(point, lazy=True)
    point.rmdir()


def remove_stale_links(runtime: Path) -> None:
    """Remove the folders of links whose supervisors were killed."""
    for folder in runtime.glob("link-*-*"):
        try:
            os.kill(int(folder.name.split("-")[1]), 0)
        except ProcessLookupError:
            for point in folder.iterdir():
                if point.name.isdecimal():
                    unmount_link(point)
            shutil.rmtree(folder)
        except (ValueError, FanoutError, OSError):
            # A different user's, or still in use; or a different supervisor removes it, too.
            continue
