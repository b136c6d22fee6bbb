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

from fanoutfs.checking.source_use import SourceUse, find_use
from fanoutfs.errors import NotAServiceError, SourceChangedError, UnusableError, UsageError
from fanoutfs.remote.address import ServiceAddress, is_url
from fanoutfs.remote.file_address import SshAddress, WebAddress, parse
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.source_argument import is_made
from fanoutfs.settings import SourceSettings
from fanoutfs.source import pattern
from fanoutfs.source.ends import read_ends
from fanoutfs.source.faulty import FaultySource, faulty_identity
from fanoutfs.source.formats import RAW, ImageFormat, Way, mismatch, recognise, refusal, split_prefix
from fanoutfs.source.local import PositionedSource
from fanoutfs.source.pattern import PatternSource
from fanoutfs.source.pipe_argument import (
    pipe_identity,
    require_plain,
    skipped_position,
    stdin_path,
    stdin_pipe_identity,
)
from fanoutfs.source.pipe_source import STDIN, PipeSource
from fanoutfs.source.recipe import parse_recipe, split_faulty
from fanoutfs.source.spool import Spool
from fanoutfs.source.watched import WatchedSource
from fanoutfs.system import mountpoint
from fanoutfs.system.identity import image_identity
from fanoutfs.system.undo import undone_on_failure


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
    prefix: str = ""
    """The format that the user asked for; empty: none."""
    once: bool = False
    """It can be opened only once: a pipe."""

    @property
    def argument(self) -> str:
        """The argument that names this source for every process on this computer."""
        return f"{self.prefix}:{self.path}" if self.prefix else self.path

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
    """Find the source that an argument names: a path, or the address of an export, a service or a file.

    ``how`` it is read; None: it is only to be named. A service is asked where its export is. Raises
    UsageError or UnusableError.
    """
    found = _resolve(argument, keys, how or SourceSettings(), is_read=how is not None)
    if how is None:
        return found
    if how.strict_source and found.warning is not None:
        raise UnusableError(f"{found.warning}; refused because of --strict-source")
    if how.only is None and how.spool is None:
        return found
    return attrs.evolve(found, open=partial(_open_as_asked, found, how))


def _open_as_asked(found: ResolvedSource, how: SourceSettings) -> OpenSource:
    """Open a source with ``--only`` and ``--spool``."""
    opened = found.open()
    if found.once:
        # What of it is copied may be read more than once.
        opened = _spooled(opened, how)
    if how.only is not None:
        from fanoutfs.only.restriction import restrict  # noqa: PLC0415 (most sources are copied whole)

        with undone_on_failure(opened.source.close):
            source, only = restrict(opened.source, how.only, zero_rest=how.only_zero_rest)
        opened = attrs.evolve(opened, source=source, only=only)
    return opened if found.once else _spooled(opened, how)


def _spooled(opened: OpenSource, how: SourceSettings) -> OpenSource:
    """Return the source read through a spool, if the user asks for one."""
    return (
        opened if how.spool is None else attrs.evolve(opened, source=Spool.around(opened.source, how.spool))
    )


def _resolve(argument: str, keys: RemoteKeys, how: SourceSettings, *, is_read: bool) -> ResolvedSource:
    """Find the source, all of it."""
    if is_made(argument):
        return _resolve_made(argument, keys, how, is_read=is_read)
    prefix, name = split_prefix(argument)
    if name == STDIN and (path := stdin_path()) is not None:
        file = _resolve(f"{prefix}:{path}" if prefix else path, keys, how, is_read=is_read)
        warnings = (file.warning, skipped_position(file.path))
        return attrs.evolve(file, warning="; ".join(filter(None, warnings)) or None)
    identity = stdin_pipe_identity() if name == STDIN else pipe_identity(name)
    if identity is not None:
        return _resolve_pipe(name, identity, prefix, how)
    if how.size is not None:
        raise UsageError(f"--size is for a pipe, and {name} is not one")
    if not is_url(name):
        mountpoint.require_answer(Path(name))
        with contextlib.closing(PositionedSource.open(name)) as source:
            return _resolve_local(source, prefix, name, how, is_read=is_read)
    address = parse(name)
    # The libraries for remote sources are loaded only where one is named.
    if isinstance(address, ServiceAddress):
        if not prefix and (found := _resolve_service(address, keys)) is not None:
            return found
        # The service's address has lost a slash at its end.
        address = WebAddress.parse(name)
    if prefix == RAW and isinstance(address, SshAddress | WebAddress):
        address = attrs.evolve(address, raw=True)
    from fanoutfs.remote.addressed import open_place  # noqa: PLC0415

    opening = partial(open_place, address, keys, prefix, how)
    return ResolvedSource(address.text, address.identity, None, None, opening, prefix=prefix)


def _resolve_pipe(name: str, identity: str, prefix: str, how: SourceSettings) -> ResolvedSource:
    """Find a pipe. Raises UsageError and UnusableError."""
    if prefix not in ("", RAW):
        raise UnusableError(f"the source {name} is a pipe, which can't be read as {prefix}; unpack it first")
    if how.only is not None and how.spool is None:
        raise UsageError("--only can't be used with a pipe, unless what was read is kept: add --spool DIR")
    path = name if name == STDIN else str(Path(name).absolute())
    opening = partial(_open_pipe, path, prefix, how)
    return ResolvedSource(path, identity, identity, None, opening, prefix=prefix, once=True)


def _open_pipe(path: str, prefix: str, how: SourceSettings) -> OpenSource:
    """Open a pipe; the writer of standard input is there already, and its first bytes are waited for."""
    pipe = PipeSource.open(path, how.size)
    with undone_on_failure(pipe.close):
        require_plain(pipe, path, raw=prefix == RAW, waits=path == STDIN)
    return OpenSource(pipe)


def _resolve_service(address: ServiceAddress, keys: RemoteKeys) -> ResolvedSource | None:
    """Ask the service at an address; return None if there may be a file instead."""
    from fanoutfs.remote.service_source import ServiceSource  # noqa: PLC0415

    try:
        found = ServiceSource.find(address, keys)
    except NotAServiceError:
        if not address.path or keys.token_file is not None:
            raise
        return None
    info = found.info
    return ResolvedSource(address.text, info.address.identity, info.origin, info.size, found.open)


def _resolve_made(argument: str, keys: RemoteKeys, how: SourceSettings, *, is_read: bool) -> ResolvedSource:
    """Find a source for tests. Raises UsageError, and what ``resolve`` raises for a source with faults."""
    if argument.startswith(pattern.PREFIX):
        made = PatternSource.open(argument)
        return ResolvedSource(argument, made.identity, made.origin, made.size, lambda: OpenSource(made))
    recipe, source = split_faulty(argument)
    parse_recipe(recipe)
    found = _resolve(source, keys, how, is_read=is_read)

    def open_faulty() -> OpenSource:
        opened = found.open()
        return attrs.evolve(opened, source=FaultySource(opened.source, recipe))

    return attrs.evolve(
        found,
        path=argument.removesuffix(source) + found.argument,
        prefix="",
        identity=faulty_identity(recipe, found.identity),
        open=open_faulty,
    )


def _resolve_local(
    source: PositionedSource, prefix: str, named: str, how: SourceSettings, *, is_read: bool
) -> ResolvedSource:
    """Find out what a disk or file is, which is open."""
    kind = _recognise_file(source, prefix, named)
    # QEMU itself refuses an image that a virtual machine writes, and locks the one that it serves.
    is_served = kind is not None and kind.way is Way.SERVED
    warning = None if is_served else _what_changes_it(source, looks_around=is_read)
    if kind is None:
        opening = partial(_open_local, source.path, strict=how.strict_source)
        return ResolvedSource(
            source.path, source.identity, source.origin, source.size, opening, warning, prefix
        )
    opening = partial(_open_image, source.path, kind, how)
    identity = image_identity(source.identity)
    return ResolvedSource(source.path, identity, identity, None, opening, warning, prefix)


def _recognise_file(source: PositionedSource, prefix: str, named: str) -> ImageFormat | None:
    """Return the format in which a file is an image; None: it is read as it lies. Raises UnusableError."""
    if prefix == RAW or not (source.is_file or prefix):
        return None
    try:
        head, tail = read_ends(f"/proc/self/fd/{source.descriptors()[0]}")
    except OSError:
        # A bad place at its beginning or end is met again when it is read.
        head, tail = b"", b""
    kind = recognise(head, tail)
    if prefix and (kind is None or kind.name != prefix):
        raise UnusableError(mismatch(named, prefix, kind))
    if kind is not None and kind.way is Way.REFUSED:
        raise UnusableError(refusal(named, kind))
    if kind is not None and kind.way is Way.SERVED:
        from fanoutfs.remote.image_source import require_served  # noqa: PLC0415

        vouched = bool(prefix) or Path(named).suffix in kind.suffixes
        require_served(kind, named, head, tail, vouched=vouched)
    return kind


def _what_changes_it(source: PositionedSource, *, looks_around: bool) -> str | None:
    """Return the warning for a source that other programs, or the system, may write to."""
    use, users = find_use(source.path) if looks_around else SourceUse(), source.users()
    locked = f"a part of it is locked by {users}" if users and users not in str(use) else ""
    parts = [part for part in (str(use), locked) if part]
    return f"{source.path} may change while it is read: {', and '.join(parts)}" if parts else None


def _open_local(path: str, *, strict: bool) -> OpenSource:
    source = WatchedSource.open(path)
    source.watch.strict = strict
    return OpenSource(source, watch=source.watch)


def _open_image(path: str, kind: ImageFormat, how: SourceSettings) -> OpenSource:
    if kind.way is Way.SERVED:
        from fanoutfs.remote.image_source import ImageSource  # noqa: PLC0415 (most sources are disks)

        image = ImageSource.open(path, kind, strict=how.strict_source)
        return OpenSource(image, watch=image.watch, kind=kind)
    from fanoutfs.remote.compressed import open_compressed, opened_compressed  # noqa: PLC0415 (as above)

    return opened_compressed(open_compressed(path, kind), kind, how)
