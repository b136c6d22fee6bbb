"""From a source argument to the source that it names.

``resolve`` finds out what names the source everywhere on this computer, so that a producer that reads it
already can be found. Only the process that becomes its producer opens it: for a remote source that starts
processes, mounts, and may take seconds.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs

from fanoutfs.errors import SourceChangedError
from fanoutfs.remote.address import ExportAddress, is_url, parse
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.source_argument import is_made
from fanoutfs.settings import SourceSettings
from fanoutfs.source import pattern
from fanoutfs.source.faulty import FaultySource, faulty_identity
from fanoutfs.source.local import PositionedSource
from fanoutfs.source.pattern import PatternSource
from fanoutfs.source.recipe import parse_recipe, split_faulty
from fanoutfs.system import mountpoint


@attrs.frozen
class ResolvedSource:
    """A source that can be opened."""

    path: str
    """As the user named it, made absolute."""
    identity: str
    origin: str | None
    """What the bytes are known by where they come from; None: unknown until the source is open."""
    size: int | None
    """Bytes; None: unknown until the source is open."""
    _open: Callable[[], OpenSource]
    warning: str | None = None
    """What the user should know before the source is read."""

    def open(self) -> OpenSource:
        """Open it; a remote source only from a process with one thread.

        Raises UnusableError, or SourceChangedError when the path names a different source by now.
        """
        opened = self._open()
        if opened.source.identity != self.identity:
            opened.source.close()
            raise SourceChangedError(f"the source {self.path} was replaced by a different one")
        return opened


def resolve(argument: str, keys: RemoteKeys, how: SourceSettings | None = None) -> ResolvedSource:
    """Find the source that an argument names: a path, or the address of an export or of a service.

    ``how`` it is read; by default as it lies. A service is asked where its export is. Raises UsageError or
    UnusableError.
    """
    how = how or SourceSettings()
    if is_made(argument):
        return _resolve_made(argument, keys, how)
    if not is_url(argument):
        mountpoint.require_answer(Path(argument))
        with contextlib.closing(PositionedSource.open(argument)) as source:
            users = source.users()
            return ResolvedSource(
                source.path,
                source.identity,
                source.origin,
                source.size,
                partial(_open_local, source.path),
                f"{source.path} may change while it is read: a part of it is locked by {users}"
                if users
                else None,
            )
    address = parse(argument)
    # The libraries for remote sources are loaded only where one is named.
    if isinstance(address, ExportAddress):
        from fanoutfs.remote.nbd_source import ExportedSource  # noqa: PLC0415

        return ResolvedSource(
            address.text, address.identity, None, None, lambda: OpenSource(ExportedSource.open(address, keys))
        )
    from fanoutfs.remote.service_source import ServiceSource  # noqa: PLC0415

    found = ServiceSource.find(address, keys)
    info = found.info
    return ResolvedSource(address.text, info.address.identity, info.origin, info.size, found.open)


def _resolve_made(argument: str, keys: RemoteKeys, how: SourceSettings) -> ResolvedSource:
    """Find a source for tests. Raises UsageError, and what ``resolve`` raises for a source with faults."""
    if argument.startswith(pattern.PREFIX):
        made = PatternSource.open(argument)
        return ResolvedSource(argument, made.identity, made.origin, made.size, lambda: OpenSource(made))
    recipe, source = split_faulty(argument)
    parse_recipe(recipe)
    found = resolve(source, keys, how)

    def open_faulty() -> OpenSource:
        opened = found.open()
        return attrs.evolve(opened, source=FaultySource(opened.source, recipe))

    return attrs.evolve(
        found,
        path=argument.removesuffix(source) + found.path,
        identity=faulty_identity(recipe, found.identity),
        open=open_faulty,
    )


def _open_local(path: str) -> OpenSource:
    return OpenSource(PositionedSource.open(path))
