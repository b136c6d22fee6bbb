"""Before the mount: bind the address, read keys and certificates, try nbdkit, fork its supervisor.

So whatever is wrong with them is an error of the command, with nothing mounted.
"""

import contextlib
import shutil
import socket
import tempfile
from functools import partial
from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.nbd.export_supervisor import supervise
from fanoutfs.nbd.nbdkit import NAME, TlsOptions, trial_command
from fanoutfs.remote.announcement import DESCRIBED
from fanoutfs.settings import ExportSettings
from fanoutfs.status.document import ExportEntry
from fanoutfs.system.bounded import run_within
from fanoutfs.system.credentials import first_user, read_certificate, read_token
from fanoutfs.system.listen import listen
from fanoutfs.system.programs import missing
from fanoutfs.system.runtime_dir import runtime_folder
from fanoutfs.system.supervisor import Supervisor

TRIAL_SECONDS = 10.0

IDLE_SECONDS, PROBE_SECONDS, PROBES = 60, 15, 4
"""TCP keep-alive: seconds until a silent client is probed, seconds between probes, and their number."""


@attrs.define(eq=False)
class BoundExport:
    """An export that listens but does not serve its clients yet."""

    supervisor: Supervisor
    settings: ExportSettings

    @property
    def shown(self) -> ExportEntry:
        """What the status shows of it."""
        settings = self.settings
        return ExportEntry(host=settings.host, port=settings.port, name=NAME, tls=settings.tls)

    def fileno(self) -> int:
        """Return the descriptor of the pipe to its supervisor."""
        return self.supervisor.fileno()

    def close(self) -> None:
        """Close the pipe in this process; the supervisor ends when the last process has closed it."""
        self.supervisor.close()


def bind_export(settings: ExportSettings) -> BoundExport:
    """Listen, and fork the supervisor of nbdkit; raises UnusableError."""
    if settings.token_file is not None:
        read_token(settings.token_file)
    with contextlib.ExitStack() as unless_kept:
        tls = _tls_options(settings, unless_kept)
        _run_trial(tls)
        listening, _ = listen("--export", settings.host, settings.port)
        with listening:
            _detect_vanished_clients(listening)
            work = partial(supervise, listening=listening.fileno(), tls=tls)
            opened = BoundExport(Supervisor.fork(work, listening.fileno()), settings)
        unless_kept.pop_all()
    return opened


def _tls_options(settings: ExportSettings, undo: contextlib.ExitStack) -> TlsOptions:
    """Check keys or certificate, and make them ready for nbdkit.

    The last owner of the certificate's folder removes it. Its files are links, so that nbdkit finds a new
    certificate when it is restarted.
    """
    cert, key = settings.tls_cert, settings.tls_key
    if cert is not None and key is not None:
        read_certificate(cert, key)
    if settings.tls_psk is not None:
        first_user(settings.tls_psk)
        return TlsOptions(keys=settings.tls_psk.absolute())
    if cert is None or key is None:
        return TlsOptions()
    try:
        folder = Path(tempfile.mkdtemp(prefix="tls-", dir=runtime_folder()))
        undo.callback(shutil.rmtree, folder)
        # Clients need no certificate, but nbdkit insists on a CA for theirs.
        for name, file in ("ca-cert", cert), ("server-cert", cert), ("server-key", key):
            (folder / f"{name}.pem").symlink_to(file.absolute())
    except OSError as error:
        raise UnusableError(f"the folder for {cert} can't be created: {reason(error)}") from error
    return TlsOptions(certificates=folder)


def _run_trial(tls: TlsOptions) -> None:
    """Let nbdkit check its options, its filters, keys and certificates, before anything is mounted."""
    argv = trial_command(Path(__file__), tls, DESCRIBED)
    if shutil.which(argv[0]) is None:
        raise UnusableError(f"--export needs nbdkit: {missing(argv[0])}")
    try:
        tried = run_within(TRIAL_SECONDS, argv)
    except TimeoutError as error:
        raise UnusableError(f"nbdkit does not start within {TRIAL_SECONDS:g} s: nbdkit --version") from error
    except OSError as error:
        raise UnusableError(f"nbdkit can't be started: {reason(error)}") from error
    if tried.returncode:
        first_line = tried.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise UnusableError(f"nbdkit can't export: {first_line or f'exit code {tried.returncode}'}")


def _detect_vanished_clients(listening: socket.socket) -> None:
    """Let the kernel close the connections of clients that vanished; accepted sockets inherit the options.

    Clients that are there but do not read stay connected (TCP_USER_TIMEOUT would end them): a reader may
    pause.
    """
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
