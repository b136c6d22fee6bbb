"""The folder for locks and sockets, where its usual place can't be used, or others could have made it."""

import os
from pathlib import Path

import pytest

from fanoutfs.errors import NoAnswerError, UnusableError
from fanoutfs.system import runtime_dir
from fanoutfs.system.runtime_dir import runtime_folder
from tests.rig.hanging import let_hang

USER = os.geteuid() or 4711


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the first of two places; the second is beside it."""
    first, second = tmp_path / "usual" / "fanoutfs", tmp_path / "other"
    monkeypatch.setattr(runtime_dir, "_candidates", lambda: iter([first, second]))
    return first


@pytest.mark.parametrize("why", ["missing", "below a file", "in a read-only file system", "others may write"])
def test_the_usual_place_can_not_be_used(why: str, usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next place is taken."""
    if why == "below a file":
        usual.parent.touch()
    elif why == "in a read-only file system":
        usual.mkdir(parents=True)
        monkeypatch.setattr(os, "access", lambda path, _mode: path != usual)
    elif why == "others may write":
        usual.mkdir(parents=True)
        usual.chmod(0o777)

    assert usual.parents[1] / "other" == runtime_folder()


def test_no_place_can_be_used(usual: Path) -> None:
    """Each is named, with its reason."""
    usual.parent.touch()
    (usual.parents[1] / "other").touch()
    with pytest.raises(UnusableError, match=rf"{usual} \(not a directory\), .*/other \(file exists\)"):
        runtime_folder()


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ("/run/user/4711", ["/run/user/4711/fanoutfs", "/tmp/fanoutfs-4711"]),
        ("run/user/4711", ["/tmp/fanoutfs-4711"]),
        ("", ["/tmp/fanoutfs-4711"]),
        ("/run" * 20, ["/tmp/fanoutfs-4711"]),
    ],
)
def test_places_of_a_user(runtime: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is no place, nor is one that is too long for a socket."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert expected == list(map(str, runtime_dir._candidates()))


@pytest.mark.parametrize("what", ["a link", "others may write", "another user's"])
def test_a_folder_that_others_could_have_made(
    what: str, usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks are not kept there: whoever can write them can be anybody's producer."""
    monkeypatch.setattr(runtime_dir, "_candidates", lambda: iter([usual]))
    monkeypatch.setattr(os, "getuid", lambda: USER + (what == "another user's"))
    usual.parent.mkdir()
    if what == "a link":
        (usual.parent / "elsewhere").mkdir()
        usual.symlink_to(usual.parent / "elsewhere")
    else:
        usual.mkdir()
        usual.chmod(0o777 if what == "others may write" else 0o700)
        if os.geteuid() == 0:
            os.chown(usual, USER, -1)

    with pytest.raises(
        UnusableError, match=rf"{usual} \(not a folder that only this user can write; remove it"
    ):
        runtime_folder()


def test_a_place_that_does_not_answer(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named; the next one is not taken, for the other commands would not look there."""
    let_hang(usual.parents[1], monkeypatch)
    with pytest.raises(NoAnswerError, match=f"^{usual} does not answer: .* umount -l {usual.parents[1]}"):
        runtime_folder()
