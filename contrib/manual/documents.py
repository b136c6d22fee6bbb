"""Parts of the documents, by their headings."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def sections(page: str) -> dict[str, str]:
    """Return the sections of a page by their headings, without these; what comes before the first as ""."""
    intro, *others = re.split(r"^## ", (DOCS / page).read_text(), flags=re.MULTILINE)
    found = {"": re.sub(r"\A# .*\n", "", intro)}
    for section in others:
        title, _, text = section.partition("\n")
        found[title] = text
    return found


def section(page: str, title: str) -> str:
    """Return one section of a page; raise KeyError if there is none of that title."""
    return sections(page)[title]


def first_table(text: str) -> str:
    """Return the first table of a text."""
    lines = text.split("\n")
    begin = next(number for number, line in enumerate(lines) if line.startswith("|"))
    end = next((n for n, line in enumerate(lines) if n > begin and not line.startswith("|")), len(lines))
    return "\n".join(lines[begin:end])


def paragraph(text: str, beginning: str) -> str:
    """Return the paragraph of a text that begins with ``beginning``; raise StopIteration if none does."""
    return next(part for part in text.split("\n\n") if part.strip().startswith(beginning))
