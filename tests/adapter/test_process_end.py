"""The end of a process, with and without a pidfd."""

import errno
import os
import subprocess
from collections.abc import Iterator

import pytest

from fanoutfs.system.process_end import ProcessEnd
from tests.limits import HANG_SECONDS
from tests.rig.forbidden import forbidden


@pytest.fixture(params=[None, errno.ENOSYS, errno.EPERM], ids=["pidfd", "ENOSYS", "EPERM"])
def _pidfd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permit or forbid pidfd_open(2)."""
    if request.param is not None:
        monkeypatch.setattr(os, "pidfd_open", forbidden(request.param))


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that ends when it is told to."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as made:
        yield made


@pytest.mark.usefixtures("_pidfd")
def test_it_is_waited_for(process: subprocess.Popen[bytes]) -> None:
    """A process that has ended and is not reaped has ended."""
    end = ProcessEnd.of(process.pid)
    before = end.within(0.0)
    assert process.stdin is not None
    process.stdin.close()
    after = end.within(HANG_SECONDS)
    end.close()

    assert (False, True) == (before, after)


@pytest.mark.usefixtures("_pidfd")
def test_a_process_that_is_not_there(process: subprocess.Popen[bytes]) -> None:
    """It has ended, or can't be seen from here."""
    process.communicate()
    with pytest.raises(ProcessLookupError):
        ProcessEnd.of(process.pid)
