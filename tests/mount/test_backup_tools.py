"""Programs that put the image into an archive; what comes out again is compared."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.rig.commands import run, shell
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount

pytestmark = pytest.mark.mount

SIZE = 16 * MIB + 1234


def borg_settings(work: Path) -> Mapping[str, str]:
    """Return borg's environment: everything in `work`, no question asked."""
    return {
        "BORG_BASE_DIR": str(work),
        "BORG_REPO": str(work / "borg"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }


@pytest.mark.tool("borg")
def test_borg_archives_the_file(mounted: Mount, source: Path, work: Path) -> None:
    """`borg create` of the image and `borg extract` give the source."""
    settings = borg_settings(work)
    image = mounted.image
    run("borg", "init", "--encryption=none", env=settings)
    run("borg", "create", "::first", image, env=settings)
    run("borg", "extract", "::first", env=settings, cwd=work)
    assert_same(source, work / image.relative_to("/"))


@pytest.mark.tool("borg")
def test_borg_archives_standard_input(mounted: Mount, source: Path, work: Path) -> None:
    """`borg create -` with the image as its input archives the source."""
    settings = borg_settings(work)
    image = mounted.image
    run("borg", "init", "--encryption=none", env=settings)
    run("sh", "-c", 'borg create ::first - < "$1"', "sh", image, env=settings)
    run("sh", "-c", 'borg extract --stdout ::first > "$1"', "sh", work / "copy", env=settings)
    assert_same(source, work / "copy")


@pytest.mark.tool("restic")
def test_restic_backs_up_and_restores(mounted: Mount, source: Path, work: Path) -> None:
    """`restic backup` of the image and `restic restore` give the source."""
    image = mounted.image
    settings = {"RESTIC_REPOSITORY": str(work / "restic"), "RESTIC_PASSWORD": "x", "HOME": str(work)}
    run("restic", "--no-cache", "init", env=settings)
    run("restic", "--no-cache", "backup", image, env=settings)
    run("restic", "--no-cache", "restore", "latest", "--target", work / "out", env=settings)
    assert_same(source, work / "out" / image.relative_to("/"))


def test_tar_archives_and_extracts(mounted: Mount, source: Path, work: Path) -> None:
    """`tar` stores the image's whole size and bytes, and finds them equal afterwards."""
    run("tar", "--create", "--file", work / "image.tar", "--directory", mounted.point, "image")
    run("tar", "--compare", "--file", work / "image.tar", "--directory", mounted.point)
    run("tar", "--extract", "--file", work / "image.tar", "--directory", work)
    assert_same(source, work / "image")


def test_tar_of_the_whole_mount(mounted: Mount, source: Path, work: Path) -> None:
    """`tar` of the mount itself, control files and all, ends and holds the image."""
    run("tar", "--create", "--file", work / "all.tar", "--directory", mounted.point, ".")
    run("tar", "--extract", "--file", work / "all.tar", "--directory", work)
    assert_same(source, work / "image")


@pytest.mark.tool("gzip")
def test_a_compressed_copy(mounted: Mount, source: Path, work: Path) -> None:
    """`gzip` of the image gives the source back."""
    shell('gzip -1 < "$1" | gunzip > "$2"', mounted.image, work / "copy")
    assert_same(source, work / "copy")
