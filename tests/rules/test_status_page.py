"""docs/status.md, the list of producers, and the version of the document."""

import subprocess
import sys
from pathlib import Path

from fanoutfs.status.describe import describe_producers
from fanoutfs.status.document import VERSION, as_plain
from tests.documents import document, reader

TOP = Path(__file__).parents[2]


def test_the_page_is_what_the_definition_says() -> None:
    """docs/status.md is the output of contrib/status-page."""
    printed = subprocess.run(
        [sys.executable, TOP / "contrib" / "status-page"], capture_output=True, text=True, check=True, cwd=TOP
    ).stdout

    assert printed == (TOP / "docs" / "status.md").read_text()


def test_each_running_producer_has_a_line() -> None:
    """With its source, its mount point, its process and the number of its readers."""
    mounted = document(reader(1), mountpoint="/mnt/fan")
    copied = document(reader(1), reader(2), pid=77, source={"path": "/dev/sdc"})
    expected = ["/dev/sdb  on /mnt/fan, pid 4242, 1 reader", "/dev/sdc  not mounted, pid 77, 2 readers"]

    assert expected == describe_producers([mounted, copied]).splitlines()
    assert "no producer is running" == describe_producers([])


def test_the_document_names_its_version() -> None:
    """A program that reads it can refuse a version that it does not know."""
    assert VERSION == as_plain(document())["version"]
