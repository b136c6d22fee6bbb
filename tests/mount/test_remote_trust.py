"""Copies over a link that is not trusted: TLS by key and by certificate, and bytes that change on the way."""

from pathlib import Path

import pytest

from tests.mount.conftest import HostsFactory
from tests.rig.commands import run, start, wait_until
from tests.rig.hosts import Host
from tests.rig.images import MIB, assert_same
from tests.rig.nbd import certificate, key_file
from tests.rig.services import EXPORT
from tests.rig.shown import Computers

pytestmark = pytest.mark.tool("nbdkit", "nbdfuse", "openssl")

SIZE = 4 * MIB
SMALL = ("--block", "256K", "--ring", "2M")
# Gives what the file says, but for one byte.
FLIPS = """
dd if="{image}" iflag=skip_bytes,count_bytes skip="$4" count="$3" bs=1M status=none >"$tmpdir/piece"
if [ "$4" -le {at} ] && [ "$(($4 + $3))" -gt {at} ]; then
    printf X | dd of="$tmpdir/piece" bs=1 seek="$(({at} - $4))" conv=notrunc status=none
fi
cat "$tmpdir/piece"
"""


def answers(host: Host, place: str) -> bool:
    """Return whether an NBD server listens at a place."""
    return run(*host.on("nbdinfo", "--size", f"nbd://{place}/image"), code=None).returncode == 0


def test_a_byte_that_changes_on_the_way(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """--verify holds a target against what was read where the source is, not against what came."""
    one, two = hosts(2)
    first = computers.show(one, source, *SMALL, export=f"127.0.0.1:{EXPORT}")
    flips = FLIPS.format(image=first.image, at=SIZE // 2 + 12345)
    between = start(
        *one.on(
            "nbdkit", "--foreground", f"--ipaddr={one.address}", f"--port={EXPORT}", "--threads=1", "eval"
        ),
        f"get_size=echo {SIZE}",
        f"pread={flips}",
    )
    wait_until(lambda: answers(two, "node1"), "what flips a byte serves")
    plain = computers.finish(computers.copy(two, first.url, work / "plain"))
    verified = computers.finish(computers.copy(two, first.url, "--verify", work / "verified"), code=1)
    between.terminate()
    between.communicate()

    assert b"X" == (work / "plain").read_bytes()[SIZE // 2 + 12345 :][:1]
    assert f"{work}/plain: ".encode() in plain.stdout
    assert f"{work}/verified: FAILED: ".encode() in verified.stderr
    assert b"" == verified.stdout


def test_a_key_that_both_have(hosts: HostsFactory, computers: Computers, source: Path, work: Path) -> None:
    """A client with the key copies; one with a different key, or none, is refused in one line."""
    one, two = hosts(2)
    keys, others = key_file(work / "keys"), key_file(work / "others")
    first = computers.show(one, source, *SMALL, "--tls-psk", keys)
    computers.finish(computers.copy(two, first.url, "--tls-psk", keys, "--verify", work / "target"))
    refused = [
        computers.finish(computers.copy(two, first.url, *words, work / "none"), code=1)
        for words in ((), ("--tls-psk", others))
    ]

    assert_same(source, work / "target")
    assert not (work / "none").exists()
    assert [1, 1] == [done.stderr.count(b"\n") for done in refused]
    assert b"--tls-psk" in refused[0].stderr


def test_a_certificate_of_ones_own(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """A client that trusts it copies over https and nbds; one that does not is refused in one line."""
    one, two = hosts(2)
    tls = certificate(work / "tls", "node1")
    certificate(work / "other", "node1")
    first = computers.show(one, source, *SMALL, *tls)
    trusts = ("--tls-ca", work / "tls" / "ca-cert.pem")
    computers.finish(computers.copy(two, first.url, *trusts, "--verify", work / "target"))
    refused = [
        computers.finish(computers.copy(two, first.url, *words, work / "none"), code=1)
        for words in ((), ("--tls-ca", work / "other" / "ca-cert.pem"))
    ]

    assert first.url.startswith("https://")
    assert_same(source, work / "target")
    assert not (work / "none").exists()
    for done in refused:
        assert 1 == done.stderr.count(b"\n")
        assert b"certificate" in done.stderr
