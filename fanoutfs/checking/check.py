"""What is asked of targets before anything else: whether all of them may be written."""

from collections.abc import Sequence

from fanoutfs.checking import inspection, lsblk
from fanoutfs.checking.safety import Candidate, RefusedError, RequestedTarget, refusals, repeated_target
from fanoutfs.checking.storage import StorageGraph
from fanoutfs.errors import UnusableError, UsageError


def check(source_path: str | None, image_size: int, target_paths: Sequence[str]) -> list[Candidate]:
    """Return what is known of each target, in their order, once all of them may be written.

    ``image_size`` is in bytes; ``source_path`` is None for a source that is on another computer. Nothing is
    opened for writing and nothing is made. Raise UsageError when one is named twice, RefusedError with a
    line for each that may not be written, UnusableError for the source.
    """
    found = inspection.read(source_path, target_paths)
    source = found.source
    if source is not None and not (source.identity and source.exists):
        what = source.failure or ("it is neither a disk nor a file" if source.exists else "it is not there")
        raise UnusableError(f"the source {source_path} can't be read: {what}; check its name and rights")
    if twice := repeated_target(found.targets):
        raise UsageError(twice)
    if lines := refusals(source, image_size, found.targets, found.machine):
        raise RefusedError(lines)
    disks = {found.machine.disk_of(target.identity) for target in found.targets if target.kind == "disk"}
    listed = lsblk.ask(sorted(f"/dev/{found.machine.devices[disk].name}" for disk in disks))
    return [
        _candidate(target, found.machine, listed.get(target.identity, lsblk.Listed()))
        for target in found.targets
    ]


def _candidate(target: RequestedTarget, found: StorageGraph, listed: lsblk.Listed) -> Candidate:
    device = found.devices.get(target.identity)
    return Candidate(
        path=target.path,
        kind="disk" if device else "file",
        exists=target.exists,
        size=target.size,
        identity=target.identity,
        generation=device.generation if device else 0,
        model=listed.model,
        serial=listed.serial,
        contents=listed.contents,
    )
