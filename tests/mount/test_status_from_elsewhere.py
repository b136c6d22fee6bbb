"""`fanoutfs status` and `top` of a mount on another computer: this one, by its service."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.mount.conftest import MountFactory, PatternFactory
from tests.rig.commands import FANOUTFS, fanoutfs, finish, run, wait_until
from tests.rig.images import MIB
from tests.rig.nbd import certificate
from tests.rig.readers import Spawn, hold
from tests.rig.web import Web, token_file

SIZE = 8 * MIB
TOKEN = "correct-horse-battery"


def test_the_status_is_the_mounts(mount: MountFactory, source: Path, spawn: Spawn, work: Path) -> None:
    """As JSON the same document, for people the same words."""
    web = Web()
    mounted = mount(source, *web.listen, "--patience", "1h")
    held = hold(spawn, mounted.image, work / "copy", 2 * MIB)
    wait_until(lambda: mounted.status() == web.status(), "the service shows that it is held")
    far: dict[str, Any] = {}

    def agree() -> bool:
        far.update(json.loads(fanoutfs("status", "--json", web.url).stdout))
        return mounted.status() == far

    wait_until(agree, "both show the same")
    words = fanoutfs("status", web.url).stdout
    held.say_go()

    assert 1 == len(far["readers"])
    assert f"source   {source}, 8 MiB\n".encode() in words
    assert words.endswith(b"  reads\n")
    held.finish()


def test_with_token_and_tls(mount: MountFactory, source: Path, tmp_path: Path) -> None:
    """Without one of them the message says which is missing; with both the status is shown."""
    tls, token = certificate(tmp_path / "tls"), token_file(tmp_path, TOKEN)
    ca = ("--tls-ca", tmp_path / "tls" / "ca-cert.pem")
    (other := tmp_path / "other").mkdir()
    wrong = token_file(other, TOKEN + "x")
    web = Web()
    mount(source, *web.listen, *tls, "--token-file", token)
    url = f"https://localhost:{web.port}"

    def said(*options: object, at: str = url) -> str:
        done = run(FANOUTFS, "status", *map(str, options), at, code=1)
        assert 1 == done.stderr.count(b"\n")
        return done.stderr.decode()

    assert b"8 MiB" in fanoutfs("status", *ca, "--token-file", token, url).stdout
    assert b"8 MiB" in fanoutfs("top", *ca, "--token-file", token, url).stdout
    assert "--tls-ca FILE" in said("--token-file", token)
    assert "requires a token" in said(*ca)
    assert f"does not accept the token in {wrong}" in said(*ca, "--token-file", wrong)
    assert "another computer's" in said(*ca, "--token-file", token, at=f"https://127.0.0.1:{web.port}")
    assert "https://" in said(at=f"http://localhost:{web.port}")


def test_top_goes_on_when_the_service_comes_back(
    mount: MountFactory, pattern_image: PatternFactory, spawn: Spawn
) -> None:
    """It says that it is away meanwhile."""
    web = Web()
    mounted = mount(pattern_image(SIZE), *web.listen)
    watching = spawn(FANOUTFS, "top", "-n", "1000", "--interval", "0.1", web.url)
    assert watching.stdout is not None
    text = iter(watching.stdout.readline, b"")
    assert next(text).startswith(b"source   ")
    mounted.unmount()
    wait_until(lambda: not mounted.is_mounted(), "it is unmounted")
    assert any(b"no connection for" in line and web.url.encode() in line for line in text)
    again = pattern_image(2 * SIZE)
    mount(again, *web.listen)
    assert any(line.startswith(b"source   ") and f"{again.name}, 16 MiB".encode() in line for line in text)
    watching.terminate()
    finish(watching, code=None)


def test_the_digests_of_all_that_is_read_are_sent(
    mount: MountFactory, pattern_image: PatternFactory, spawn: Spawn, tmp_path: Path, work: Path
) -> None:
    """While a client follows: the SHA-256 of each block, whichever reader reads it; the ring stays right."""
    web, image = Web(), pattern_image(SIZE + 12345)
    mounted = mount(image, *web.listen)
    heard = tmp_path / "heard"
    spawn("curl", "-sNf", "-o", heard, f"{web.url}/digests")
    wait_until(lambda: heard.exists() and b"\n" in heard.read_bytes(), "it follows")
    run("dd", f"if={mounted.image}", f"of={work / 'copy'}", "bs=1M")
    content = image.read_bytes()
    pieces = (content[begin : begin + MIB] for begin in range(0, len(content), MIB))
    sha256 = [hashlib.sha256(piece).hexdigest()[:32].encode() for piece in pieces]
    wait_until(lambda: heard.read_bytes().count(b"\n") >= 10, "all have come")
    first, *lines = heard.read_bytes().rpartition(b"\n")[0].split(b"\n")

    assert [b"image", str(SIZE + 12345).encode(), b"1048576"] == first.split()[:3]
    assert mounted.status()["source"]["identity"].encode() == first.split()[3]
    assert dict(enumerate(sha256)) == {int(line.split()[0]): line.split()[1] for line in lines}
    assert 0 == mounted.status()["source"]["changed"]
