"""The form of each message with which the command refuses to run."""

from tests.rig.commands import Done


def assert_refused(done: Done, *mentions: object) -> None:
    """Check for exit code 1 and exactly one line, `fanoutfs: what, where, remedy`, that mentions these."""
    assert done.returncode == 1, done.stderr.decode(errors="replace")
    line = done.stderr.decode()
    assert line.startswith("fanoutfs: "), line
    assert line.endswith("\n"), line
    assert 1 == len(line.splitlines()), line
    for mention in mentions:
        assert str(mention) in line
    assert done.stdout == b""


def assert_wrong_usage(done: Done, *mentions: object) -> None:
    """Check for exit code 2 and a message, not a traceback, that mentions these."""
    message = done.stderr.decode()
    assert done.returncode == 2, message
    assert "Traceback" not in message
    for mention in mentions:
        assert str(mention) in message
    assert done.stdout == b""
