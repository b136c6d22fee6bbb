"""What the markers ask of the machine: a test that cannot run fails, unless skipping was asked for.

``FANOUTFS_WITHOUT`` names commands, or ``hosts``. Where one of these is missing, only its tests are skipped.
contrib/test sets it to what the distribution does not have.
"""

import functools
import os
import shutil
from collections.abc import Iterator

import hypothesis
import pytest

from tests.guard import Guard

# Each run looks at the same examples. FANOUTFS_EXAMPLES asks for more of them, FANOUTFS_FRESH=1 for
# different ones. No example has a time limit, and none is too slow to draw: the machine may be busy.
hypothesis.settings.register_profile(
    "fixed",
    max_examples=int(os.environ.get("FANOUTFS_EXAMPLES", "50")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.register_profile("fresh", hypothesis.settings.get_profile("fixed"), derandomize=False)
hypothesis.settings.load_profile("fresh" if os.environ.get("FANOUTFS_FRESH") == "1" else "fixed")

# What its asserts compare is then shown, as in the tests themselves.
pytest.register_assert_rewrite("tests.rig")

GUARD = pytest.StashKey[Guard]()

SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@pytest.fixture(scope="session", autouse=True)
def _guard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start the guard, which ends what is left when this process can't."""
    guard = request.config.stash[GUARD] = Guard.start(tmp_path_factory.getbasetemp())
    yield
    del request.config.stash[GUARD]
    guard.stop()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail, or skip where that was asked for, a test whose markers name what is not here."""
    if GUARD in item.config.stash:
        item.config.stash[GUARD].tell()
    if any(item.iter_markers("mount")) and (why := _fuse_is_missing()):
        _not_here(why, "FANOUTFS_SKIP_MOUNT", "mount")
    if any(item.iter_markers("hosts")) and (why := _hosts_are_missing()):
        _not_here(why, "FANOUTFS_SKIP_HOSTS", "hosts")
    commands = [name for marker in item.iter_markers("tool") for name in marker.args]
    if missing := sorted({name for name in commands if shutil.which(name, path=SBIN) is None}):
        _not_here(f"not installed: {', '.join(missing)}", "FANOUTFS_SKIP_TOOLS", *missing)


def _fuse_is_missing() -> str | None:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse cannot be opened: {error.strerror}"
    return None


@functools.cache
def _hosts_are_missing() -> str | None:
    from tests.rig import hosts  # noqa: PLC0415 (after it is registered above)

    return hosts.why_not()


def _not_here(why: str, variable: str, *names: str) -> None:
    without = os.environ.get("FANOUTFS_WITHOUT", "").split()
    if os.environ.get(variable) == "1" or set(names).issubset(without):
        pytest.skip(why)
    pytest.fail(f"{why}; set {variable}=1 to skip such tests", pytrace=False)
