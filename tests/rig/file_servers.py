"""Servers of files on the loopback: nginx and sshd, each with its own folder and configuration."""

import contextlib
import pwd
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.ports import free_port
from tests.rig.commands import FANOUTFS, Argument, Done, end, run, start, wait_until
from tests.rig.nbd import is_free

NGINX = """daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port}; root {root};
location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
location /whole/ {{ alias {root}/; max_ranges 0; }} }} }}
"""

SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
Subsystem sftp internal-sftp
"""

ALONE = 'mount -t tmpfs run /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$1"'
"""Without the machine's own /run/sshd, which may be missing."""

AT_HOME = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
"""ssh and libssh look for keys where the user database says that home is."""


@contextlib.contextmanager
def web_server(folder: Path, root: Path) -> Iterator[str]:
    """Serve the files of a folder; yield the address, without a slash at its end."""
    folder.mkdir()
    port = free_port()
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port, root=root))
    server = start("nginx", "-e", "stderr", "-p", folder, "-c", folder / "conf")
    try:
        wait_until(lambda: not is_free(port), "nginx listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        end(server)


@attrs.frozen
class SshServer:
    """A server to log in to, with one key."""

    folder: Path
    port: int

    def address(self, path: Path) -> str:
        """Return the address of a file there."""
        return f"ssh://127.0.0.1:{self.port}{path}"

    def fanoutfs(self, *arguments: Argument, code: int | None = 0, knows: bool = True) -> Done:
        """Run the command as a user with the key; who ``knows`` the server's key, too."""
        home = self.folder / ("home" if knows else "stranger")
        (home / ".ssh").mkdir(parents=True, exist_ok=True)
        (home / ".ssh" / "id_ed25519").write_bytes((self.folder / "user").read_bytes())
        (home / ".ssh" / "id_ed25519").chmod(0o600)
        if knows:
            key = (self.folder / "host.pub").read_text()
            (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")
        users = self.folder / "passwd"
        users.write_text(
            "".join(f"{':'.join([*map(str, one[:5]), str(home), one[6]])}\n" for one in pwd.getpwall())
        )
        env = {"SSH_AUTH_SOCK": ""}
        words = ("unshare", "--mount", "sh", "-ec", AT_HOME, "sh", users, FANOUTFS)
        return run(*words, *arguments, code=code, env=env)


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run sshd, for root with a new key."""
    folder.mkdir()
    port = free_port()
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    (folder / "conf").write_text(SSHD.format(folder=folder, port=port))
    server = start("unshare", "--mount", "sh", "-ec", ALONE, "sh", folder / "conf")
    try:
        wait_until(lambda: not is_free(port), "sshd listens")
        yield SshServer(folder, port)
    finally:
        end(server)
