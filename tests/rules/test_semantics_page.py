"""The semantics page and its tests: each story is a test with the same title, and each test a story."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "semantics.md"
TESTS = ROOT / "tests" / "mount" / "test_stories.py"


def named_after(title: str) -> str:
    """Return the name of the test with a title."""
    return "test_" + "_".join(re.findall(r"\w+", title.lower()))


def test_each_story_is_a_test_and_each_test_a_story() -> None:
    """In the same order, so both can be read side by side."""
    stories = PAGE.read_text().partition("\n## Stories\n")[2]
    titles = re.findall(r"^### (.+)$", stories, re.MULTILINE)
    tests = [
        part.name
        for part in ast.parse(TESTS.read_text()).body
        if isinstance(part, ast.FunctionDef) and part.name.startswith("test_")
    ]

    assert [named_after(title) for title in titles] == tests
    assert titles
