"""The options of an fstab line, as the words of ``fanoutfs mount``. No I/O.

mount(8) runs ``/sbin/mount.fanoutfs SOURCE DIR -o OPTIONS``. In OPTIONS it leaves some of what only concerns
itself (``nofail``, ``_netdev``, ``user=NAME``), adds what ``user`` implies (``noexec,nosuid,nodev``), and
writes ``rw`` first unless the line has ``ro``. So ``rw`` says nothing about what the user wants: it can't be
refused. The names of all other options come from the definition of ``fanoutfs mount``.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.fuse.mount_options import ALLOWED

# fmt: off
FOR_OTHERS = frozenset({
    "auto", "noauto", "comment", "defaults", "fail", "nofail", "group", "nogroup", "helper", "uhelper",
    "_netdev", "_rnetdev", "owner", "noowner", "user", "nouser", "users", "nousers",
})
"""Options that mount(8) or systemd handle themselves."""

NO_DIFFERENCE = frozenset({
    "async", "sync", "dirsync", "atime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
    "nostrictatime", "lazytime", "nolazytime", "dev", "exec", "suid", "iversion", "noiversion", "loud",
    "silent", "mand", "nomand", "rw",
})
"""Options without effect: a mount is read-only, without devices or setuid programs, whatever they ask for."""
# fmt: on

REFUSED = {
    "remount": "a mount of fanoutfs can't be changed; unmount it, then mount it with the new options",
    "foreground": "mount(8) would wait for the end of the mount; use: fanoutfs mount --foreground",
}
"""Options that can't be used here, with what to do."""

SIMILAR = 0.7
"""How similar an option's name must be to be suggested; 1 is equal."""

_OPTION = re.compile(r'((?:[^,"\\]|\\.|"[^"]*"|["\\])+)')
"""One option: a comma in double quotes, or after a backslash, belongs to it. As in mount(8)."""


@attrs.frozen
class FstabOption:
    """One option of an fstab line; ``value`` is None where there is no ``=``."""

    name: str
    value: str | None


def split_options(text: str) -> Iterator[FstabOption]:
    """Yield the options of a text such as ``ro,ring=1G,log="a,b"``; names have ``-`` in place of ``_``."""
    for option in _OPTION.findall(text):
        name, equals, value = option.partition("=")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        yield FstabOption(_dashes(name), value.replace("\\,", ",") if equals else None)


def mount_words(text: str, options: Mapping[str, bool], *, sloppy: bool = False) -> list[str]:
    """Return the options of an fstab line as words of ``fanoutfs mount``.

    ``options`` has the long options of that command, without dashes before them, and whether each takes a
    value. Raise UsageError for an option that is unknown (``sloppy``: leave it out), can't be used here, or
    has a value where it takes none, or none where it takes one.
    """
    words = []
    for option in split_options(text):
        name, value = option.name, option.value
        if why := REFUSED.get(name):
            raise UsageError(f"-o {name} is refused: {why}")
        if name in options:
            if options[name] and not value:
                raise UsageError(f"-o {_underscores(name)} needs a value: {_underscores(name)}=VALUE")
            if value is not None and not options[name]:
                raise UsageError(f"-o {_underscores(name)} takes no value; leave out ={value}")
            words += [f"--{name}" if value is None else f"--{name}={value}"]
        elif value is None and _underscores(name) in ALLOWED:
            words += ["-o", _underscores(name)]
        elif not (sloppy or is_passed_by(name)):
            raise UsageError(_unknown(name, options))
    return words


def is_passed_by(name: str) -> bool:
    """Return whether an option is for others (mount(8), systemd, desktops), or has no effect here."""
    return name.startswith(("x-", "X-")) or name in map(_dashes, FOR_OTHERS | NO_DIFFERENCE)


def has_option(text: str, name: str) -> bool:
    """Return whether a text of options has one of this name."""
    return any(option.name == name for option in split_options(text))


def _unknown(name: str, options: Collection[str]) -> str:
    known = [*options, *map(_dashes, ALLOWED), *map(_dashes, FOR_OTHERS)]
    if close := get_close_matches(name, known, n=1, cutoff=SIMILAR):
        return f"unknown mount option '{_underscores(name)}'; did you mean {_underscores(close[0])}?"
    names = ", ".join(sorted({_underscores(option) for option in [*options, *map(_dashes, ALLOWED)]}))
    return f"unknown mount option '{_underscores(name)}'; options are: {names}"


def _dashes(name: str) -> str:
    """Return a name with ``-`` for ``_``; a leading ``_`` (``_netdev``) stays."""
    return name[:1] + name[1:].replace("_", "-")


def _underscores(name: str) -> str:
    return name.replace("-", "_")
