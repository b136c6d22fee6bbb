"""The metrics used in contrib/monitoring and explained in docs/monitoring.md exist."""

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
    """Return the names of all samples."""
    shown = document(reader(1), mountpoint="/mnt", delivered=1)
    return {sample.name for family in families(shown) for sample in family.samples}


@pytest.mark.parametrize("file", ["alerts.yml", "alerts_test.yml", "grafana.json"])
def test_only_existing_metrics_are_used(file: str) -> None:
    """An unknown name would give an empty panel, or an alert that never fires."""
    used = set(NAME.findall((FOLDER / file).read_text()))

    assert used
    assert set() == used - names()


def test_each_metric_is_explained() -> None:
    """In docs/monitoring.md, which explains no other."""
    page = (TOP / "docs" / "monitoring.md").read_text()
    explained = set(NAME.findall(page))

    assert names() == explained


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    """Each has its number, and its place in a grid of 24 columns."""
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
