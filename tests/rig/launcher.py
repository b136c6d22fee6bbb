"""The program that brings about what ``surroundings.py`` describes, and then becomes the command.

It runs as ``python -I -S launcher.py JSON COMMAND...``: without the checkout on its path.
"""

import json
import os
import resource
import signal
import sys
import tempfile


def main() -> None:
    """Become the command."""
    how, command = json.loads(sys.argv[1]), sys.argv[2:]
    # Python ignores these two, and the command would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    for number in how["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    if how["all_blocked"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    if how["umask"] is not None:
        os.umask(how["umask"])
    if how["folder_gone"]:
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)  # noqa: PTH106 (nothing else is imported here)
    for name, path in how["streams"].items():
        os.dup2(_gone() if path == "gone" else os.open(path, os.O_RDWR), int(name))
    for extra in range(how["inherited"]):
        os.dup2(0, 3 + extra)
    for name, limits in how["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), limits)
    for descriptor in how["closed"]:
        os.close(descriptor)
    os.execv(command[0], command)


def _gone() -> int:
    """Return the end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


main()
