"""The tables in docs/security.md: the tests that they name exist, and no line lacks them without a reason."""

import ast
import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "security.md").read_text()

WITHOUT = {"the swap", "the page cache"}
"""What the kernel does with memory: no test can show it."""


def named(text: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", text))


def existing() -> set[str]:
    """Return the names of all tests."""
    found = set()
    for path in (CHECKOUT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
    return found


def test_each_test_that_the_page_names_exists() -> None:
    """A test that is renamed is renamed on the page, too."""
    assert named(PAGE)
    assert named(PAGE) - existing() == set()


def test_each_line_has_its_test() -> None:
    """What nothing shows is not promised."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
    without = {row.split(" | ")[0].removeprefix("| ") for row in rows if not named(row)}
    assert without - {"who", "it", "place"} == WITHOUT
