"""The page has the texts and the extents that ``top`` has, and each text has its place."""

import pytest

from fanoutfs.status.rates import Speeds
from fanoutfs.units import MIB
from fanoutfs.web.page import Page
from fanoutfs.web.page_content import page_content
from tests.documents import SIZE, document, reader


def test_a_row_has_the_state_of_its_reader_and_its_figures() -> None:
    """A reader that waits for another, at the rates of the moment."""
    page = page_content(
        document(reader(1), reader(2, waiting=1)),
        Speeds(source=float(MIB), readers={1: 10.0 * MIB}),
    )
    assert ["reads; 1 waits for it", "waits for reader 1 (dd, pid 4701)"] == [
        row["texts"][1] for row in page["rows"]
    ]
    assert ["50.0%", "500 MiB", "0 B", "10 MiB/s", "0:00:50"] == page["rows"][0]["texts"][3:]
    assert [(1, "holds"), (0, "waits")] == [(row["waiters"], row["emphasis"]) for row in page["rows"]]
    assert ([(0, SIZE // 2)], [(SIZE // 2, SIZE)]) == (page["rows"][0]["received"], page["rows"][0]["to_go"])
    assert "50.0% /dev/sdb" == page["title"]


@pytest.mark.parametrize("readers", [0, 1])
def test_each_text_has_an_element(readers: int) -> None:
    """With readers and without."""
    page = page_content(document(*[reader()] * readers), Speeds())
    monitor = Page.read().monitor.decode()
    assert all(f'id="{name}"' in monitor for name in page["texts"])
