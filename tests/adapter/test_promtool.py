"""The files of contrib/monitoring, checked by Prometheus's own tool."""

import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "contrib" / "monitoring"


@pytest.mark.tool("promtool")
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "config", "prometheus.yml"),
    ],
)
def test_prometheus_has_nothing_to_say_against_them(words: tuple[str, ...]) -> None:
    """The rules are rules, they fire when they should, and the example is a configuration."""
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
