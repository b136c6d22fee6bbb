"""The image of a real mount over NBD, read with the clients that people have."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, PatternFactory, assert_copies
from tests.rig.commands import FANOUTFS, fanoutfs, finish, has_ended, run, wait_until
from tests.rig.copies import BLOCK, SLOWLY, Copies
from tests.rig.images import MIB, assert_same
from tests.rig.mountinfo import at
from tests.rig.mounts import Mount
from tests.rig.nbd import Export, certificate, is_free, key_file, servers_of
from tests.rig.readers import Spawn, dd, hold
from tests.rig.web import Web, token_file

pytestmark = pytest.mark.tool("nbdkit", "nbdcopy", "nbdinfo")

SIZE = 16 * MIB
BIG = 2 * SIZE
ASKED = 28
"""MiB that a client asks for of a big image: more than the connection and the ring hold together."""
TOKEN = "correct-horse-battery"
HAS_ENDED = "nbdkit has ended"


# What is shown


def test_a_copy_over_nbd_is_right(mount: MountFactory, pattern_image: PatternFactory, work: Path) -> None:
    """Of an image that does not end with a block."""
    source, export = pattern_image(SIZE + 12345), Export()
    mount(source, *export.options)
    export.copy(work / "copy")
    assert_same(source, work / "copy")


@pytest.mark.tool("qemu-img")
def test_qemu_reads_it(mount: MountFactory, source: Path, work: Path) -> None:
    """Another client, which names the export or not."""
    export = Export()
    mount(source, *export.options)
    for number, name in enumerate(["", "image"]):
        run("qemu-img", "convert", "-f", "raw", "-O", "raw", export.uri(name), work / f"copy{number}")
        assert_same(source, work / f"copy{number}")


def test_one_export_is_offered(mount: MountFactory, source: Path) -> None:
    """It is called image, is the default export, is read-only, and there is no other."""
    export = Export()
    mount(source, *export.options)
    (listed,) = export.listed()

    assert ("image", SIZE, True) == (
        listed["export-name"], listed["export-size"], listed["is_read_only"])  # fmt: skip
    assert [b"16777216\n"] * 2 == [export.info(name, "--size").stdout for name in ("", "image")]
    assert b"No such file or directory" in export.info("other", code=1).stderr


def test_the_status_says_where_it_is(mount: MountFactory, small: Path, source: Path) -> None:
    """The service's as well; without an export it is null."""
    export, web = Export(), Web()
    shown = {"host": "127.0.0.1", "port": export.port, "name": "image", "tls": "none"}
    mounted = mount(source, *export.options, *web.listen)
    wait_until(lambda: mounted.status()["export"] == shown, "the export is shown")
    wait_until(lambda: web.status()["export"] == shown, "the service shows it")
    assert (
        f"export   127.0.0.1:{export.port}, TLS: none\n" in fanoutfs("status", mounted.point).stdout.decode()
    )
    assert mount(small).status()["export"] is None


def test_two_clients_share_one_pass(mount: MountFactory, source: Path, work: Path, spawn: Spawn) -> None:
    """nbdcopy is one reader each, whatever connections it is told to make; the source is read once."""
    export = Export()
    mounted = mount(source, *export.options, *SLOWLY)
    copies = [work / "one", work / "other"]
    held = hold(spawn, mounted.image, work / "beside", BLOCK)
    clients = [spawn("nbdcopy", "--connections=4", export.uri(), copy) for copy in copies]

    def readers() -> list[tuple[str, bool]]:
        found = [(reader["command"], reader["sequential"]) for reader in mounted.status()["readers"]]
        seen.append(sum(command == "nbdkit" for command, _ in found))
        return [reader for reader in found if reader[0] == "nbdkit"]

    seen: list[int] = []
    wait_until(lambda: readers() == [("nbdkit", True)] * 2, "both read straight on")
    held.say_go()
    wait_until(lambda: readers() == [], "both are done")
    for client in clients:
        finish(client)
    held.finish()
    assert_copies(source, *copies)

    assert 2 == max(seen)
    assert mounted.source_bytes() <= 1.02 * SIZE


# Clients that go, or stay


def are_read(mounted: Mount, least: int) -> bool:
    return len(mounted.status()["readers"]) >= least


def test_a_client_that_is_killed_is_no_harm_to_the_others(
    mount: MountFactory, pattern_image: PatternFactory, work: Path, spawn: Spawn
) -> None:
    """nbdkit goes on, though the client has answers on the way; another's copy is right."""
    source, export = pattern_image(BIG), Export()
    mounted = mount(source, *export.options, "--read-rate", "16M")
    copying = spawn("nbdcopy", export.uri(), work / "copy")
    wait_until(lambda: len(servers_of(mounted.point)) == 1, "nbdkit runs")
    before = servers_of(mounted.point)
    for _ in range(3):
        with ExitStack() as stack:
            export.request_without_reading(ASKED, stack)
            wait_until(lambda: are_read(mounted, 1 if copying.poll() is not None else 2), "both read")
    finish(copying)

    assert_same(source, work / "copy")
    assert before == servers_of(mounted.point)


def test_a_client_that_takes_nothing_holds_nobody_for_long(
    mount: MountFactory, pattern_image: PatternFactory, work: Path
) -> None:
    """The others wait for the patience that they have with any reader."""
    source, export = pattern_image(BIG), Export()
    mounted = mount(source, *export.options, "--patience", 1)
    with ExitStack() as stack:
        export.request_without_reading(ASKED, stack)
        wait_until(lambda: mounted.status()["readers"] != [], "it reads")
        run(*dd(mounted.image, work / "copy"))
        readers = mounted.status()["readers"]
    assert_same(source, work / "copy")
    assert [("nbdkit", False)] == [(reader["command"], reader["live"]) for reader in readers]


def test_nbdkit_that_is_killed_begins_again(mount: MountFactory, source: Path, work: Path) -> None:
    """A warning says so; a client that connects meanwhile waits and gets a right copy."""
    export = Export()
    mounted = mount(source, *export.options, expected=[HAS_ENDED])
    export.info()
    (server,) = servers_of(mounted.point)
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: has_ended(server), "it is killed")
    export.copy(work / "copy")

    assert_same(source, work / "copy")
    assert f"{HAS_ENDED} (signal 9: no output); it is restarted in 1 s" in mounted.log.read_text()


# Its end


def gone(mounted_point: Path, export: Export) -> bool:
    return servers_of(mounted_point) == [] and is_free(export.port)


def test_it_is_gone_when_umount_returns(mount: MountFactory, source: Path) -> None:
    """So that the next mount can export at the same address at once."""
    export = Export()
    for _ in range(2):
        mounted = mount(source, *export.options)
        assert export.listed() != []
        mounted.unmount()
        assert gone(mounted.point, export)


def test_a_mount_that_is_read_over_nbd_is_busy(mount: MountFactory, pattern_image: PatternFactory) -> None:
    """The message says that it is an NBD client; when that has gone the mount can."""
    export = Export()
    mounted = mount(pattern_image(BIG), *export.options, "--patience", 1)
    with ExitStack() as stack:
        export.request_without_reading(ASKED, stack)
        wait_until(lambda: mounted.status()["readers"] != [], "it reads")
        (server,) = servers_of(mounted.point)
        refused = mounted.unmount(code=1).stderr.decode()
    assert f"an NBD client of the export at port {export.port} (nbdkit " in refused
    wait_until(mounted.is_idle, "the client is gone")
    assert [server] == servers_of(mounted.point)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_daemon(
    by: signal.Signals, mount: MountFactory, pattern_image: PatternFactory
) -> None:
    """However that ends, and though a client takes nothing, nbdkit goes."""
    export = Export()
    mounted = mount(
        pattern_image(BIG), *export.options, "--patience", 1, expected=["reader|handle|closing|unmount"]
    )
    with ExitStack() as stack:
        export.request_without_reading(ASKED, stack)
        wait_until(lambda: mounted.status()["readers"] != [], "it reads")
        os.kill(mounted.pid, by)
        wait_until(lambda: gone(mounted.point, export), "nbdkit is gone")
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")
    if by == signal.SIGKILL:
        mounted.detach()


def test_it_ends_with_the_foreground(source: Path, point: Path, spawn: Spawn) -> None:
    """Control-C ends both, and the mount."""
    export = Export()
    front = spawn(FANOUTFS, "mount", "-f", *export.options, source, point)
    wait_until(lambda: servers_of(point) != [], "it exports")
    assert export.listed() != []
    front.send_signal(signal.SIGINT)
    finish(front)
    assert gone(point, export)
    assert [] == at(point)


# Who may read it


def test_a_token_lets_everybody_in_who_can_reach_it_and_the_command_says_so(
    source: Path, point: Path, tmp_path: Path, work: Path
) -> None:
    """NBD asks for no token; the token is nowhere to be read."""
    export = Export()
    options = ("--export", f"0.0.0.0:{export.port}", "--token-file", token_file(tmp_path, TOKEN))
    log = tmp_path / "log"
    done = fanoutfs("mount", "--log", log, *options, source, point)
    try:
        export.copy(work / "copy")
        (server,) = servers_of(point)
        shown = [log.read_bytes(), Path(f"/proc/{server}/cmdline").read_bytes()]
        shown += [Path(f"/proc/{server}/environ").read_bytes(), (point / ".fanoutfs" / "status").read_bytes()]
    finally:
        fanoutfs("umount", point)

    assert_same(source, work / "copy")
    assert (
        f"fanoutfs: anyone who can reach 0.0.0.0:{export.port} can read the whole source: NBD has no token "
        "authentication; use --tls-psk to let in only clients with a key\n"
    ) == done.stderr.decode()
    assert [] == [text for text in shown if TOKEN.encode() in text]


def test_with_a_certificate_it_speaks_tls_alone(
    mount: MountFactory, source: Path, work: Path, tmp_path: Path
) -> None:
    """A client that trusts the certificate reads; one that does not, or that speaks no TLS, is refused."""
    other = tmp_path / "other"
    export = Export(secured=f"tls-certificates={tmp_path / 'tls'}")
    mounted = mount(source, *export.options, *certificate(tmp_path / "tls"))
    certificate(other)
    export.copy(work / "copy")

    assert_same(source, work / "copy")
    assert "certificates" == mounted.status()["export"]["tls"]
    assert 0 != Export(export.port).info(code=None).returncode
    assert 0 != Export(export.port, f"tls-certificates={other}").info(code=None).returncode


def test_with_keys_only_who_has_one_reads(
    mount: MountFactory, source: Path, work: Path, tmp_path: Path
) -> None:
    """Keys take precedence over a certificate; from anywhere, without a warning; the key is shown nowhere."""
    keys = key_file(tmp_path / "keys")
    export = Export(secured=f"fanoutfs@tls-psk-file={keys}")
    tls = certificate(tmp_path / "tls")
    mounted = mount(source, "--export", f"0.0.0.0:{export.port}", "--tls-psk", keys, *tls)
    export.copy(work / "copy")
    (server,) = servers_of(mounted.point)
    secret = keys.read_text().strip().partition(":")[2]
    shown = [mounted.log.read_text(), Path(f"/proc/{server}/cmdline").read_text()]

    assert_same(source, work / "copy")
    assert {"host": "0.0.0.0", "port": export.port, "name": "image", "tls": "psk"} == (
        mounted.status()["export"]
    )
    strangers = [
        Export(export.port),
        Export(export.port, f"tls-certificates={tmp_path / 'tls'}"),
        Export(export.port, f"fanoutfs@tls-psk-file={key_file(tmp_path / 'wrong')}"),
        Export(export.port, f"anna@tls-psk-file={key_file(tmp_path / 'hers', 'anna')}"),
    ]
    assert [] == [stranger for stranger in strangers if stranger.info(code=None).returncode == 0]
    assert [] == [text for text in shown if secret in text]


def test_the_export_ends_with_its_mount_though_a_copy_goes_on(
    copies: Copies, mount: MountFactory, pattern_image: PatternFactory, work: Path
) -> None:
    """The producer stays for the copy; the address is free."""
    image, export = pattern_image(8 * MIB), Export()
    mounted = mount(image, *export.options, *SLOWLY)
    copying = copies.start(image, work / "copy")
    held = copies.hold(image, work / "copy", BLOCK)
    run(FANOUTFS, "umount", mounted.point)
    wait_until(lambda: gone(mounted.point, export), "nbdkit is gone")
    assert copying.poll() is None
    os.kill(held, signal.SIGCONT)
    copies.finish(copying)
    assert_same(image, work / "copy")
