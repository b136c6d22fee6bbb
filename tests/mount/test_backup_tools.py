"""Programs that put the image into an archive; what comes out again is compared."""

import re
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory
from tests.rig.commands import run
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount

SIZE = 16 * MIB + 1234

# In $PWD, with the image in $IMAGE. What comes out is $PWD/copy, or the image's whole path below $PWD.
WAYS = {
    "borg, the file": "borg init --encryption=none; borg create ::first $IMAGE; borg extract ::first",
    "borg, standard input": "borg init --encryption=none; borg create ::first - < $IMAGE;"
    " borg extract --stdout ::first > copy",
    "restic": "restic init; restic backup $IMAGE; restic restore latest --target .",
    "tar": "tar -cf all.tar -C ${IMAGE%/image} image; tar --compare -f all.tar -C ${IMAGE%/image};"
    " tar -xf all.tar; mv image copy",
    "tar of the whole mount": "tar -cf all.tar -C ${IMAGE%/image} .; tar -xf all.tar; mv image copy",
    "gzip": "gzip -1 < $IMAGE | gunzip > copy",
}


@pytest.fixture
def mounted(shared: MountFactory, source: Path) -> Mount:
    """Mount the module's pattern image, once for all tests."""
    return shared(source)


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.tool(re.split(r"\W", way)[0])) for way in WAYS]
)
def test_an_archive_gives_the_source_back(way: str, mounted: Mount, work: Path) -> None:
    """The image's whole size and all of its bytes; the control files of a whole mount are no obstacle."""
    settings = {
        "IMAGE": str(mounted.image),
        "HOME": str(work),
        "BORG_BASE_DIR": str(work),
        "BORG_REPO": str(work / "borg"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "RESTIC_REPOSITORY": str(work / "restic"),
        "RESTIC_PASSWORD": "x",
        "RESTIC_CACHE_DIR": str(work / "cache"),
    }
    run("bash", "-ec", f"set -o pipefail; {WAYS[way]}", env=settings, cwd=work)
    found = work / "copy"
    assert_same(mounted.source, found if found.exists() else work / mounted.image.relative_to("/"))
