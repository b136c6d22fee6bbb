"""Recipes of the documentation that tests run as they are shown."""

import re
from pathlib import Path

_SEMANTICS = Path(__file__).parents[2] / "docs" / "semantics.md"


def carousel_recipe(point: Path, target: Path) -> str:
    """Return the shell lines that make a copy of the image from one turn of the carousel."""
    text = _SEMANTICS.read_text()
    (block,) = re.findall(r"^```\n(\(set -e\nexec 3<.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block).replace("/mnt/fanout", str(point)).replace("TARGET", str(target))
