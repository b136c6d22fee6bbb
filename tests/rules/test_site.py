"""The documents as a site: its navigation, the README's list of documents, and the pages that there are."""

import re
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
LINK = re.compile(r"\[([^\]]+)\]\(docs/([^)#]+)\)")


def navigation() -> dict[str, Any]:
    """Return the entries of the site's navigation."""
    entries = yaml.safe_load((TOP / "contrib" / "mkdocs.yml").read_text())["nav"]
    return {title: what for entry in entries for title, what in entry.items()}


def listed_in_the_readme() -> dict[str, list[dict[str, str]]]:
    """Return the README's groups of documents, as the navigation has them."""
    text = (TOP / "README.md").read_text().partition("\n## Documentation\n")[2]
    groups = re.findall(r"^\*\*(\w+):\*\*(.+?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return {
        group: [{title.replace("\n", " "): path} for title, path in LINK.findall(links)]
        for group, links in groups
    }


def as_linked(entry: dict[str, Any]) -> dict[str, str]:
    """Return an entry as the README links it: a section by its folder."""
    [(title, what)] = entry.items()
    return {title: what[0].removesuffix("/README.md") if isinstance(what, list) else what}


def test_the_navigation_is_the_readme_s() -> None:
    """The same groups, with the same pages under the same names, in the same order."""
    groups = {title: what for title, what in navigation().items() if isinstance(what, list)}
    inside = {title: [as_linked(entry) for entry in what] for title, what in groups.items()}

    assert listed_in_the_readme() == inside
    assert ["Use", "Understand", "Develop"] == list(inside)


def test_each_decision_is_listed() -> None:
    """With its number and its title, in order."""
    folder = TOP / "docs" / "decisions"
    titles = [(path.name, path.read_text().partition("\n")[0]) for path in sorted(folder.glob("0*.md"))]
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(), re.MULTILINE)

    assert titles == [(path, f"# {number}. {title}") for number, title, path in listed]
