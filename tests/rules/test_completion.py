"""What Tab completes, by click's interface for it; tests/adapter/test_shells.py has the shells."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import CompletionItem, ShellComplete

from fanoutfs import completion
from fanoutfs.cli import commands
from fanoutfs.completion import DiskName, disk_names
from fanoutfs.system.mountinfo import Mount

DISKS = [
    DiskName("/dev/sda", "Fast 1 TiB"),
    DiskName("/dev/sdb", "Old 2 GiB"),
    DiskName("/dev/sr0", "DVD 4 GiB", read_only=True),
]

POINT, SOURCE = "/mnt/fan", "/dev/sdb"


def mount(number: int, point: str, source: str, kind: str = "fuse.fanoutfs", user: int = 0) -> Mount:
    return Mount(number, 1, 0, number, point, kind, source, ("ro", f"user_id={user}"))


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three disks, a mount of fanoutfs, one of a different user, and a mount of a different kind."""
    table = [
        mount(2, POINT, SOURCE),
        mount(3, "/mnt/nfs", "server:/x", "nfs4"),
        mount(4, "/mnt/my", "https://a", user=7),
    ]
    monkeypatch.setattr(completion, "disk_names", lambda: DISKS)
    monkeypatch.setattr(completion, "mounts", lambda: table)
    monkeypatch.setattr("os.getuid", lambda: 0)


def completed(line: str) -> list[CompletionItem]:
    """Return what is offered at the end of a line that begins after the program's name."""
    *words, begun = line.split(" ")
    return ShellComplete(commands, {}, "fanoutfs", "_FANOUTFS_COMPLETE").get_completions(words, begun)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("copy ", ["/dev/sda", "/dev/sdb", "/dev/sr0", "file:"]),
        ("copy /dev/sd", ["/dev/sda", "/dev/sdb"]),
        ("copy /dev/sda", ["file:/dev/sda"]),
        ("copy disk", ["file:disk"]),
        ("copy /dev/sda ", ["/dev/sdb", "file:"]),
        ("copy --yes /dev/sda /dev/sdb ", ["file:"]),
        ("copy --pace ", ["strict", "free"]),
        ("copy --pace=s", ["strict"]),
        ("copy --on-read-error z", ["zero"]),
        ("copy --spool ", ["dir:"]),
        ("copy --mapfile m", ["file:m"]),
        ("mount /dev/s", ["/dev/sda", "/dev/sdb", "/dev/sr0"]),
        ("mount /dev/sda /m", ["dir:/m"]),
        ("umount ", [POINT, "/mnt/my", SOURCE]),
        ("umount /mnt/f", [POINT]),
        ("umount /x", []),
        ("status /mnt/", [POINT, "/mnt/my"]),
        ("top /dev/", [SOURCE]),
        ("top disk.img", ["file:disk.img"]),
        ("simulate ", ["file:"]),
    ],
)
def test_what_is_offered(line: str, expected: list[str]) -> None:
    """The items; one that the shell completes itself is shown with its kind."""
    found = completed(line)
    assert expected == [item.value if item.type == "plain" else f"{item.type}:{item.value}" for item in found]


def test_a_disk_has_its_model_beside_it() -> None:
    """zsh and fish show it."""
    assert "Fast 1 TiB" == completed("copy ")[0].help


def test_mounts_of_other_users_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can't be asked."""
    monkeypatch.setattr("os.getuid", lambda: 7)
    assert ["/mnt/my"] == [item.value for item in completed("umount ")]


def test_whole_disks_are_read_from_sys(tmp_path: Path) -> None:
    """Not memory, loop devices, and readers without a card; a file that is missing is no obstacle."""
    for name, size in {"sda": 2048, "mmcblk0": 0, "loop0": 8, "zram0": 8, "cciss!c0d0": 4096}.items():
        (tmp_path / name / "device").mkdir(parents=True)
        (tmp_path / name / "size").write_text(f"{size}\n")
    (tmp_path / "sda" / "device" / "model").write_text("Model One  \n")
    (tmp_path / "sda" / "ro").write_text("1\n")

    expected = [DiskName("/dev/cciss/c0d0", "2 MiB"), DiskName("/dev/sda", "Model One 1 MiB", read_only=True)]
    assert expected == disk_names(tmp_path)
    assert [] == disk_names(tmp_path / "missing")


def test_tab_imports_little() -> None:
    """What takes longest to import is not needed for it; so it takes 0.2 s at most on an idle machine."""
    heavy = "{'trio', 'pyfuse3', 'rich', 'httpx', 'cattrs', 'yaml', 'starlette', 'ssl', 'asyncio'}"
    program = f"import sys, fanoutfs.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()
