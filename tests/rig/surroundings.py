"""Surroundings of a command that its parent, or the machine, leaves it, and the command in them."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import attrs

from tests.rig.commands import Argument, Done, Process, environment, finish
from tests.rig.places import ROOT, Place, place

LAUNCHER = Path(__file__).with_name("launcher.py")

IN_PROCESS = (
    "closed",
    "streams",
    "inherited",
    "ignored",
    "all_blocked",
    "limits",
    "umask",
    "folder_gone",
)
"""What the launcher brings about, in the process that becomes the command."""


@attrs.frozen(kw_only=True)
class Surroundings:
    """What is odd about them; by default nothing."""

    closed: tuple[int, ...] = ()
    """Standard descriptors that are closed."""
    streams: Mapping[int, str] = attrs.field(factory=dict)
    """Standard descriptors that lead to a file, or to "gone": a pipe without a reader."""
    inherited: int = 0
    """Descriptors that the parent has left open, from 3 on."""
    ignored: tuple[signal.Signals, ...] = ()
    all_blocked: bool = False
    """All signals are blocked."""
    limits: Mapping[str, tuple[int, int]] = attrs.field(factory=dict)
    """By the names of getrlimit(2) without RLIMIT_: the soft and the hard limit."""
    variables: Mapping[str, str] = attrs.field(factory=dict)
    """Variables of the environment, besides the usual ones."""
    no_variables: bool = False
    """The environment has nothing but ``variables``."""
    umask: int | None = None
    folder_gone: bool = False
    """The working folder has been removed."""
    prefix: tuple[str, ...] = ()
    """A program, with its arguments, that starts the command: unshare, setpriv."""
    user: int = ROOT
    namespaces: tuple[str, ...] = ()
    """New ones, by the names of the options of unshare(1); in a new one of users, the user is root."""
    cgroup: Mapping[str, str] = attrs.field(factory=dict)
    """Settings of a new cgroup (version 1), by the names of their files."""

    def place(self, home: Path) -> AbstractContextManager[Place]:
        """Make the place for commands that run one after the other, with ``home`` in it."""
        return place(self.user, self.namespaces, self.cgroup, home)

    def start(self, *command: Argument, at: Place | None = None) -> Process:
        """Start a command in these surroundings, perhaps at their place; what it prints goes to pipes."""
        how = attrs.asdict(self, filter=attrs.filters.include(*IN_PROCESS))
        words = [*self.prefix, sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(how), *map(str, command)]
        if at is not None:
            words = at.inside(*words)
        variables = dict(self.variables) if self.no_variables else environment(self.variables)
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables
        )

    def run(self, *command: Argument, at: Place | None = None) -> Done:
        """Run a command to its end, whatever its exit code."""
        return finish(self.start(*command, at=at), code=None)
