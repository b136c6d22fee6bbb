"""The table of waits in docs/concurrency.md: its limits are those of the code, and no limit is missing."""

import ast
import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "fanoutfs"

LIMIT = re.compile(r"`([\w/]+\.py)` ([A-Z_]+) ([\d.]+)")

INTERVALS = {
    "AGAIN_SECONDS", "ALIVE_SECONDS", "COOKIE_SECONDS", "LINGER_SECONDS", "LOG_SECONDS", "LONG_SECONDS",
    "LOOK_SECONDS", "LOOK_AT_READER_SECONDS", "NO_ROOM_SECONDS", "PAUSED_SECONDS", "POLL_SECONDS",
    "PROBE_SECONDS", "QUICK_SECONDS", "QUIET_SECONDS", "REFRESH_SECONDS", "REPEAT_SECONDS", "REPORT_SECONDS",
    "SLOW_SECONDS", "SWITCH_SECONDS", "WATCH_SECONDS", "WELL_SECONDS", "WRITE_SECONDS",
}  # fmt: skip
"""Times that no wait ends with: how often something is done, or how long it is kept."""

DISPLAY = {("top/loop.py", "ANSWER_SECONDS"), ("top/loop.py", "SILENT_SECONDS")}
"""After these the display goes on without the answer, which it continues to wait for."""


def constants() -> dict[tuple[str, str], float]:
    """Return the constants of the code that are seconds, by file and name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.Assign):
                continue
            (target,) = node.targets
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for name, value in zip(names, values, strict=False):
                if (
                    isinstance(name, ast.Name)
                    and name.id.endswith("SECONDS")
                    and isinstance(value, ast.Constant)
                ):
                    found[str(path.relative_to(PACKAGE)), name.id] = float(str(value.value))
    return found


def listed() -> dict[tuple[str, str], float]:
    """Return the limits in the table."""
    page = (CHECKOUT / "docs" / "concurrency.md").read_text()
    return {(file, name): float(seconds) for file, name, seconds in LIMIT.findall(page)}


def test_each_limit_is_that_of_the_code() -> None:
    """A row names a constant and its value."""
    found = constants()
    assert {limit: found.get(limit) for limit in listed()} == listed()


def test_no_limit_is_missing() -> None:
    """Who adds a wait adds a row."""
    limits = {limit for limit in constants() if limit[1] not in INTERVALS} - DISPLAY
    assert limits - set(listed()) == set()
