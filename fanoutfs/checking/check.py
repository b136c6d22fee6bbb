"""The check before a copy: every target must be safe to write."""

from collections.abc import Mapping, Sequence

from fanoutfs.checking import inspection
from fanoutfs.checking.safety import (
    REDIRECT,
    Candidate,
    RefusedError,
    RequestedTarget,
    refusals,
    repeated_target,
)
from fanoutfs.checking.storage import StorageGraph
from fanoutfs.errors import UnusableError, UsageError


def check(
    source_path: str | None,
    image_size: int,
    target_paths: Sequence[str],
    outputs: Mapping[str, str] | None = None,
) -> list[Candidate]:
    """Return the candidates, in the order of the targets, if all of them may be written.

    ``image_size`` is in bytes; ``source_path`` is None for a source on another computer. ``outputs``: the
    paths of the files that messages are written to, and what each is. Nothing is opened for writing or
    created. Raise UsageError if a target is named twice, RefusedError with a line for each
    target that may not be written, UnusableError for the source.
    """
    found = inspection.read(source_path, target_paths, outputs=outputs)
    source = found.source
    if source is not None and not (source.identity and source.exists):
        what = source.failure or ("it is neither a disk nor a file" if source.exists else "it does not exist")
        raise UnusableError(f"the source {source_path} can't be read: {what}; check its name and rights")
    if source is not None and source.pseudo_fs:
        raise UnusableError(
            f"the source {source_path} lies in a {source.pseudo_fs}, which keeps no files; name a real file"
        )
    if source is not None and (output := found.outputs.get(source.identity)):
        raise UnusableError(f"the source {source_path} is {output}, which would change it; {REDIRECT}")
    if twice := repeated_target(found.targets):
        raise UsageError(twice)
    if lines := refusals(source, image_size, found.targets, found.machine, found.outputs):
        raise RefusedError(lines)
    return [_candidate(target, found.machine) for target in found.targets]


def _candidate(target: RequestedTarget, found: StorageGraph) -> Candidate:
    device = found.devices.get(target.identity)
    return Candidate(
        path=target.path,
        kind="disk" if device else "file",
        exists=target.exists,
        size=target.size,
        identity=target.identity,
        unlinked=target.unlinked,
        generation=device.generation if device else 0,
        disk=f"/dev/{found.devices[found.disk_of(target.identity)].name}" if device else "",
    )
