"""What is drawn of a run of the model, and what is said when it can't be."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from fanoutfs.errors import UnusableError, UsageError
from fanoutfs.simulate import plot
from fanoutfs.simulate.model import simulate
from fanoutfs.simulate.result import Outcome
from fanoutfs.simulate.scenario import Scenario, SimulatedReader

LATE = (SimulatedReader(), SimulatedReader(at=30.0, rate=2.0), SimulatedReader(at=50.0, order="carousel"))


def recorded(readers: tuple[SimulatedReader, ...] = LATE) -> Outcome:
    scenario = Scenario(size=100, ring=20, block=1, run=1, source_rate=1.0, readers=readers)
    return simulate(scenario, record=True)


def test_a_drawing_is_the_same_for_the_same_run(tmp_path: Path) -> None:
    """So that one that is committed changes only with what it shows."""
    for name in ("one.svg", "other.svg"):
        plot.draw(recorded(), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def test_a_drawing_names_its_readers_and_units(tmp_path: Path) -> None:
    """Each of a few readers, the head, the ring, both axes, and what the run came to."""
    plot.draw(recorded(), tmp_path / "few.svg")
    drawn = (tmp_path / "few.svg").read_text()
    words = (
        "reader 1",
        "reader 3",
        "write head",
        "in the ring",
        "time (minutes)",
        "position in the image (bytes)",
    )
    assert all(word in drawn for word in words)
    assert "3 readers, ring 20 B: source read 1." in drawn


def test_a_carousels_line_begins_at_the_head() -> None:
    """And goes on at the beginning where it reached the end."""
    outcome = recorded()
    assert outcome.recording is not None
    track = outcome.recording.tracks[2]
    assert (outcome.readers[2].start, 100) == (track.start, track.had[-1][1])
    assert track.start > 0


def test_many_readers_share_a_line_in_the_legend(tmp_path: Path) -> None:
    """It would be longer than the drawing."""
    plot.draw(
        recorded(tuple(SimulatedReader(at=float(i)) for i in range(plot.FEW + 1))), tmp_path / "many.svg"
    )
    drawn = (tmp_path / "many.svg").read_text()
    assert "readers" in drawn
    assert "reader 1" not in drawn


def test_the_suffix_says_how_it_is_drawn(tmp_path: Path) -> None:
    """PNG as well as SVG."""
    plot.draw(recorded(), tmp_path / "run.PNG")
    assert (tmp_path / "run.PNG").read_bytes().startswith(b"\x89PNG")


def test_a_suffix_that_is_not_known_is_wrong_usage() -> None:
    """It is refused before anything is computed."""
    with pytest.raises(UsageError, match=r"--picture run\.jpg: the name must end in \.svg or \.png"):
        plot.ready(Path("run.jpg"))


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """One line with the name and the reason."""
    with pytest.raises(UnusableError, match=r"gone/run\.svg: no such file or directory"):
        plot.draw(recorded(), tmp_path / "gone" / "run.svg")


def test_without_matplotlib_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount does not need it, so it is not installed with one."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "fanoutfs.simulate.plot")
    with pytest.raises(UnusableError, match=r"pip install 'fanoutfs\[plot\]'"):
        importlib.import_module("fanoutfs.simulate.plot")


def test_the_command_line_is_read_without_yaml_and_matplotlib() -> None:
    """A mount starts without them."""
    code = "import sys, fanoutfs.cli; print({'yaml', 'matplotlib', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "set()" == found.stdout.strip()
