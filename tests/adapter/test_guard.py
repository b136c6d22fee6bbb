"""The guard, which ends what pytest can't."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.limits import HANG_SECONDS
from tests.rig.commands import has_ended

HANGS = """
import faulthandler, signal, subprocess, sys, time
from pathlib import Path
from tests.guard import Guard

faulthandler.enable()
guard = Guard.start(Path(sys.argv[1]), limit=float(sys.argv[2]))
left = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
print(left.pid, flush=True)
if sys.argv[3] == "hangs":
    time.sleep(1000)
"""


def run(folder: Path, limit: float, how: str) -> tuple[int, int, str]:
    """Run what starts a guard and a program that stays; return its code, the program's id, what it said."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS, folder, str(limit), how],
        check=False,
        capture_output=True,
        timeout=HANG_SECONDS,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return done.returncode, int(done.stdout), done.stderr.decode()


def test_one_that_hangs_shows_its_stacks_and_takes_its_programs_with_it(tmp_path: Path) -> None:
    """The guard's own end comes after that, and with it the end of the standard error that both have."""
    code, pid, said = run(tmp_path, 0.5, "hangs")

    assert -signal.SIGABRT == code
    assert "most recent call first" in said
    assert "has not got on" in said
    assert f"process {pid}, sleep 1000" in said
    assert has_ended(pid)


def test_one_that_ends_leaves_nothing_either(tmp_path: Path) -> None:
    """What it left is named."""
    code, pid, said = run(tmp_path, HANG_SECONDS, "ends")

    assert 0 == code
    assert f"process {pid}, sleep 1000" in said
    assert has_ended(pid)
