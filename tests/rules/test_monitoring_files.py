"""What contrib/monitoring asks of the metrics, and what docs/monitoring.md says of them, is what there is."""

import json
import re
from pathlib import Path

import pytest

from fanoutfs.web.metrics import families
from tests.documents import document, reader

TOP = Path(__file__).parents[2]
FOLDER = TOP / "contrib" / "monitoring"

NAME = re.compile(r"\bfanoutfs_[a-z_]+\b")


def names() -> set[str]:
    """Give the names of all samples that there are."""
    shown = document(reader(1), mountpoint="/mnt", delivered=1)
    return {sample.name for family in families(shown) for sample in family.samples}


@pytest.mark.parametrize("file", ["alerts.yml", "alerts_test.yml", "grafana.json"])
def test_only_metrics_that_there_are_are_asked_for(file: str) -> None:
    """A name that is no metric gives an empty panel, or an alert that never comes."""
    used = set(NAME.findall((FOLDER / file).read_text()))

    assert used
    assert set() == used - names()


def test_each_metric_is_explained() -> None:
    """In the table of the page on monitoring, and none but these."""
    page = (TOP / "docs" / "monitoring.md").read_text()
    explained = set(NAME.findall(page))

    assert names() == explained


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each has its number and its place on a grid of 24 columns."""
    panels = json.loads((FOLDER / "grafana.json").read_text())["panels"]
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
