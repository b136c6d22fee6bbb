"""Sources that other NBD servers than fanoutfs export, in the ways in which they are set up."""

import mmap
import os
import signal
from pathlib import Path

import pytest

from fanoutfs.remote.address import ExportAddress
from fanoutfs.remote.nbd_source import ExportedSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.source.contract import SlowError
from fanoutfs.source.pieces import LEAST
from tests.mount.conftest import PatternFactory
from tests.rig.commands import fanoutfs, stop
from tests.rig.images import MIB, assert_same
from tests.rig.nbd import serve

pytestmark = pytest.mark.tool("nbdkit", "nbdfuse")

SIZE = 3 * MIB
LIMITS = "--filter=blocksize-policy"
REFUSING = "blocksize-error-policy=error"


@pytest.mark.parametrize(
    ("options", "parameters", "export"),
    [
        (["--filter=limit"], ["limit=1"], ""),
        (["--filter=exitlast"], [], ""),
        (["--oldstyle"], [], ""),
        (["--no-sr", "--readonly"], [], ""),
        (["--filter=exportname"], ["exportname=a b", "exportname-strict=true"], "a%20b"),
        ([LIMITS], ["blocksize-minimum=64K", "blocksize-preferred=64K", REFUSING], ""),
        (
            [LIMITS],
            ["blocksize-minimum=1", "blocksize-preferred=64K", "blocksize-maximum=64K", REFUSING],
            "",
        ),
    ],
    ids=["one-client", "ends-with-it", "old-style", "no-sr", "named", "large-requests", "small-requests"],
)
def test_any_server_of_nbdkit_is_copied_from(
    source: Path, work: Path, options: list[str], parameters: list[str], export: str
) -> None:
    """Whatever it allows and offers: one connection, no names, requests of 64 KiB only."""
    with serve(work, ["nbdkit", *options, "file", source, *parameters]) as port:
        fanoutfs("copy", f"nbd://127.0.0.1:{port}/{export}", work / "target")
    assert_same(source, work / "target")


@pytest.mark.tool("qemu-nbd")
def test_a_plain_qemu_nbd_is_copied_from(source: Path, work: Path) -> None:
    """It serves one client and ends; a second one would wait for ever."""
    with serve(work, ["qemu-nbd", "--read-only", "--format=raw", source]) as port:
        fanoutfs("copy", f"nbd://127.0.0.1:{port}/", work / "target")
    assert_same(source, work / "target")


def test_a_server_that_is_stopped(source: Path, work: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The silent connection is cut, and a new one serves once the server goes on."""
    room = memoryview(mmap.mmap(-1, 2 * LEAST))
    with serve(work, ["nbdkit", "file", source]) as port:
        server = int((work / "nbd.pid").read_text())
        link = ExportedSource.open(ExportAddress("127.0.0.1", port, ""), RemoteKeys())
        try:
            link.limit_silence(0.2)
            stop(server)
            try:
                with pytest.raises(SlowError):
                    link.read_into(0, 2 * LEAST, [room])
            finally:
                os.kill(server, signal.SIGCONT)
            link.read_into(0, LEAST, [room])
        finally:
            link.close()
            os.waitpid(link._supervisor.pid, 0)
    assert room[:LEAST] == source.read_bytes()[:LEAST]
    assert f"the link to nbd://127.0.0.1:{port}/ is lost: " in caplog.messages[0]


def test_the_end_that_a_server_refuses(work: Path, pattern_image: PatternFactory) -> None:
    """An export that is no multiple of its smallest request: the bytes are named, the link is fine."""
    image = pattern_image(MIB + 1000)
    limits = ("blocksize-minimum=4096", REFUSING)
    with serve(work, ["nbdkit", LIMITS, "file", image, *limits]) as port:
        done = fanoutfs("copy", f"nbd://127.0.0.1:{port}/", work / "target", code=1)
    assert f"can't be read from byte {MIB} to before {MIB + 1000}: invalid argument" in done.stderr.decode()
