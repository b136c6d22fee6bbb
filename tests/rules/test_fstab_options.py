"""Options of an fstab line, and what `fanoutfs mount` is called with for them."""

import re
from pathlib import Path

import pytest
from click.core import ParameterSource

from fanoutfs.cli import mount_command
from fanoutfs.errors import UsageError
from fanoutfs.fuse.mount_options import ALLOWED
from fanoutfs.mount_helper import exit_status, long_options, with_standard_folders
from fanoutfs.mounting.fstab_options import FOR_OTHERS, NO_DIFFERENCE, REFUSED, is_passed_by, mount_words

OPTIONS = long_options()
COMMANDLINE = ParameterSource.COMMANDLINE


def as_they_are(*options: str) -> list[str]:
    return [word for option in options for word in ("-o", option)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("rw,ring=1G", ["--ring=1G"]),
        ("ring=1G,ring=2G", ["--ring=1G", "--ring=2G"]),
        ("allow_other,source_timeout=5s", ["--allow-other", "--source-timeout=5s"]),
        ("allow-other,source-timeout=5s", ["--allow-other", "--source-timeout=5s"]),
        ("ro,nosuid,nodev,noexec,noatime", as_they_are("ro", "nosuid", "nodev", "noexec", "noatime")),
        ("default_permissions", ["-o", "default_permissions"]),
        ("rw,noexec,nosuid,nodev,user=me,nofail,_netdev", as_they_are("noexec", "nosuid", "nodev")),
        ("noauto,auto,users,owner,group,defaults,comment=a b,async", []),
        ("x-systemd.automount,x-systemd.requires=a.service,X-mount.mkdir=700,x-gvfs-show", []),
        ("only_zero_rest,only=used", ["--only-zero-rest", "--only=used"]),
        ('log="/a,b",ring=1G', ["--log=/a,b", "--ring=1G"]),
        (r"log=/a\,b,ring=1G", ["--log=/a,b", "--ring=1G"]),
        ('log=/a"b,ring=1G', ['--log=/a"b', "--ring=1G"]),
        ("log=/a=b", ["--log=/a=b"]),
        (",,ring=1G,", ["--ring=1G"]),
    ],
)
def test_options_become_words(text: str, words: list[str]) -> None:
    """With _ or - in names, a comma in quotes or after a backslash, and without what is for others."""
    assert words == mount_words(text, OPTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rin=1G", "unknown mount option 'rin'; did you mean ring?"),
        ("allow_others", "unknown mount option 'allow_others'; did you mean allow_other?"),
        ("nofial", "unknown mount option 'nofial'; did you mean nofail?"),
        ("uid=1000", "unknown mount option 'uid'; options are: allow_other, block, "),
        ("ring", "-o ring needs a value: ring=VALUE"),
        ("ring=", "-o ring needs a value: ring=VALUE"),
        ("allow_other=yes", "-o allow_other takes no value; leave out =yes"),
        ("rw,remount,ring=1G", "-o remount is refused: a mount of fanoutfs can't be changed; unmount it"),
        ("foreground", "-o foreground is refused: mount(8) would wait"),
    ],
)
def test_an_option_that_is_refused(text: str, message: str) -> None:
    """One line says why, with a similar name or all names."""
    with pytest.raises(UsageError) as refused:
        mount_words(text, OPTIONS)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_sloppy_mounts() -> None:
    """With -s what is unknown is left out; what is known is still checked."""
    assert ["--ring=1G"] == mount_words("uid=1000,ring=1G", OPTIONS, sloppy=True)
    with pytest.raises(UsageError):
        mount_words("ring", OPTIONS, sloppy=True)


def test_each_option_is_of_one_kind() -> None:
    """No option of the command has a name by which mount(8) means something else."""
    names = {name.replace("-", "_") for name in OPTIONS}
    assert {"allow_other"} == names & set(ALLOWED)
    assert not [name for name in OPTIONS if is_passed_by(name)]
    assert set() == (FOR_OTHERS | NO_DIFFERENCE) & {*ALLOWED, *REFUSED}


def test_each_long_option_is_taken() -> None:
    """As the command itself understands it."""
    values = {"on-read-error": "zero", "pace": "free"}
    text = ",".join(
        f"{name}={values.get(name, '1M' if name in ('ring', 'block', 'size', 'read-rate') else '5')}"
        if takes_value else name
        for name, takes_value in OPTIONS.items()
    )  # fmt: skip
    words = mount_words(text, OPTIONS)
    context = mount_command.make_context("mount", [*words, "--", "a", "b"])
    given = {name for name in context.params if context.get_parameter_source(name) is COMMANDLINE}
    assert given == {option.name for option in mount_command.params} - {"foreground", "options"}


@pytest.mark.parametrize(("code", "status"), [(0, 0), (1, 32), (2, 1), (130, 8), (143, 8), ("text", 32)])
def test_exit_codes(code: int | str | None, status: int) -> None:
    """They are those of mount(8)."""
    assert status == exit_status(code)


@pytest.mark.parametrize(
    ("path", "folders"),
    [
        ("", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("/opt/bin:/bin", "/opt/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin"),
    ],
)
def test_programs_are_found_at_boot(path: str, folders: str) -> None:
    """The standard folders come after those of PATH, each once."""
    assert folders == with_standard_folders(path)


def test_the_lines_of_fstab_in_the_documents() -> None:
    """Each has six fields, and options that `fanoutfs mount` takes."""
    page = Path(__file__).parents[2] / "docs" / "mounting.md"
    (block,) = re.findall(
        r"Lines of fstab:\n\n```text\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
    )
    lines = [line.split() for line in block.splitlines()]
    assert {("fanoutfs", "0", "0")} == {(kind, dump, check) for _, _, kind, _, dump, check in lines}
    for _, point, _, options, _, _ in lines:
        mount_command.make_context("mount", [*mount_words(options, OPTIONS), "source", point])
