"""The unit of systemd, as systemd itself checks it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "contrib" / "systemd" / "fanoutfs@.service"

MOST_EXPOSED = 5.0
"""From here on systemd calls a service MEDIUM; a mount needs CAP_SYS_ADMIN, and no mount namespace."""

pytestmark = pytest.mark.tool("systemd-analyze")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return the unit of one disk, with the command of these tests."""
    program = Path(sys.executable).with_name("fanoutfs")
    text = UNIT.read_text()
    assert text.count("\nExecStart=fanoutfs ") == 1
    path = tmp_path / "fanoutfs@dev-sdb.service"
    path.write_text(text.replace("\nExecStart=fanoutfs ", f"\nExecStart={program} "))
    return path


def analyze(*words: str | Path) -> str:
    """Run systemd-analyze; return what it prints, errors included."""
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", *words],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_the_unit_has_no_mistakes(installed: Path) -> None:
    """Systemd knows every directive and value of it."""
    assert analyze("verify", installed) == ""


def test_the_unit_is_confined(installed: Path) -> None:
    """As far as a mount permits."""
    found = re.search(r"exposure level for \S+: ([\d.]+)", analyze("security", "--offline=true", installed))
    assert found is not None
    assert float(found[1]) < MOST_EXPOSED


def test_the_mount_is_seen_by_all() -> None:
    """No directive makes a mount namespace, out of which a mount does not get: systemd.exec(5)."""
    makes_a_namespace = re.compile(
        r"^(Protect(System|Home|KernelTunables|KernelModules|KernelLogs|ControlGroups|Proc)|Private\w+|"
        r"DynamicUser|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|ExecPaths|NoExecPaths|Bind\w*Paths|"
        r"TemporaryFileSystem|Root\w+|MountFlags|ProcSubset)=",
        re.MULTILINE,
    )
    assert makes_a_namespace.findall(UNIT.read_text()) == []
