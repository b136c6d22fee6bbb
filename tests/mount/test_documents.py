"""The shell blocks of the README and docs/ run as they are shown, with disks, folders and ports of the test.

A disk is a file here, which fanoutfs treats alike. Blocks with `sh` show what they print:
test_pages_commands.py runs those.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, PatternFactory
from tests.ports import free_port
from tests.rig import mounts
from tests.rig.commands import FANOUTFS, run
from tests.rig.images import assert_same

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted(TOP.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MIB = 1 << 20

NOT_HERE = {
    "python3 -m venv .venv": "downloads packages; contrib/setup runs the same commands",
    'ln -s "$(command -v mount.fanoutfs)"': "changes /sbin: test_mount8.py, in a namespace",
    "contrib/demo": "installs Debian packages",
    "contrib/test": "runs this test",
    "contrib/setup --test": "installs Debian packages, and measures for 25 minutes",
    "(set -e\nexec 3< /mnt/fanout/carousel": "test_stories.py runs it: test_a_turn_of_the_carousel",
    "(umask 077; openssl rand": "needs the certificate of a second computer: test_remote_trust.py",
    "fanoutfs top --token-file": "needs a second computer: test_status_from_elsewhere.py",
    "fanoutfs mount --listen 0.0.0.0": "needs a second computer: test_remote_copy.py",
    "fanoutfs mount nbd://node1": "needs two other computers: test_relay.py",
    "fanoutfs mount pattern:10G": "one of them fails: test_bad_places.py",
    "ssh host 'cat /dev/sda' | fanoutfs mount": "needs a second computer: test_pipes.py",
    "fanoutfs copy --only used": "needs file systems and maps: test_copy_only.py",
    "fanoutfs copy --strict-source vm.img": "needs a second image: test_changing_source.py",
    "fanoutfs copy disk.qcow2": "needs images in formats: test_image_formats.py",
    "fanoutfs copy os.img.xz": "needs compressed images: test_compressed.py",
    "fanoutfs copy --verify os.img.xz": "the same",
    "ddrescue": "needs a disk with bad sectors: test_bad_places.py",
    "fanoutfs mount --ring 2G": "writes archives: test_backup_tools.py",
    "borg extract": "the same",
    "ssh host 'cat /dev/sda'": "needs a second computer: test_pipes.py",
    "fanoutfs copy --sparse vm.img": "needs an image with holes: test_holes.py",
    "(umask 077; echo": "needs a second computer: test_remote_trust.py",
}
"""Blocks that do not run here, by how they begin, with the reason and the test that runs their commands."""


def shown() -> Iterator[tuple[str, str]]:
    """Yield each block with the name of its page: once, if several pages show it."""
    seen = set[str]()
    for page in PAGES:
        for label, block in BLOCK.findall(page.read_text()):
            if not label and block not in seen:
                seen.add(block)
                yield page.name, block


def runs_here(block: str) -> bool:
    """Return whether a block can run here."""
    return not block.startswith(tuple(NOT_HERE))


def shell_lines(block: str) -> str:
    """Return a block without the copies from other computers, which test_remote_copy.py makes."""
    return "".join(line for line in block.splitlines(keepends=True) if "//node1" not in line)


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=page) for page, block in shown() if runs_here(block)]
)
@pytest.mark.tool("nbdkit")
def test_a_block_of_the_documents_runs(
    block: str, mount: MountFactory, pattern_image: PatternFactory, tmp_path: Path, work: Path
) -> None:
    """Each command ends without an error, and each target is a copy of the source."""
    source, point = pattern_image(8 * MIB + 512), tmp_path / "mnt"
    point.mkdir()
    script = shell_lines(block).replace("/dev/sdb", str(source)).replace("/mnt/fanout", str(point))
    for port in ("8400", "10809"):
        script = script.replace(f":{port}", f":{free_port()}")
    targets = {path: work / path.replace("/", "_") for path in re.findall(r"/(?:dev/sd|srv/)\S+", script)}
    for path, target in targets.items():
        script = script.replace(path, str(target))
    if "fanoutfs mount" not in script:
        # The other shells' commands, which the block shows, join the producer of this mount.
        mount(source, point=point)
    try:
        path = f"{FANOUTFS.parent}:{os.environ['PATH']}"
        run("bash", "-ec", script + "\nwait\n", env={"PATH": path}, cwd=tmp_path)
    finally:
        if "fanoutfs mount" in script:
            mounts.clear(point)
    for target in targets.values():
        assert_same(source, target)


def test_blocks_that_do_not_run_here_are_shown() -> None:
    """An entry that no page has any more is removed."""
    blocks = [block for _, block in shown()]
    assert [] == [start for start in NOT_HERE if not any(block.startswith(start) for block in blocks)]


def test_each_page_marks_its_blocks() -> None:
    """A block is shell, a command with its output, or that output: so none is left out by its label."""
    labels = {label for page in PAGES for label, _ in BLOCK.findall(page.read_text())}
    assert labels <= {"", "sh", "text"}
