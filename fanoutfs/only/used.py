"""``--only used``: ask the tools of the system what of a disk or image its file systems use."""

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.only import partition_table, tools
from fanoutfs.only.file_systems import (
    CHUNKS,
    FILE_SYSTEMS,
    FileSystem,
    complaint,
    mirrored,
    mirrors,
    objection,
)
from fanoutfs.only.partition_table import Partition
from fanoutfs.only.used_ranges import overlapping, unpartitioned, unused, used, within
from fanoutfs.ranges import Range
from fanoutfs.source.mapfile import Mapfile, Status
from fanoutfs.system.loop_device import read_only_loop
from fanoutfs.system.programs import missing
from fanoutfs.units import MIB, format_seconds, format_size

MAP_SECONDS = 1800.0
"""How long the search for used blocks may take in all. On a large or slow disk it takes minutes."""

REPORT_SECONDS = 5.0
"""The user is told what is waited for after this time, and then each time it has doubled."""

LARGEST_MAP = 512 * MIB
"""Bytes of what partclone writes, of ten million ranges."""


@attrs.frozen
class _Volume:
    """A partition, or a disk that has none, with a file system whose used blocks can be found."""

    partition: Partition
    kind: str
    """As blkid calls it."""
    file_system: FileSystem
    device: str
    """Shows this part of the disk alone."""

    @property
    def name(self) -> str:
        return f"{self.partition.name} ({self.kind})"


def find_used(path: str, fd: int, size: int) -> list[Range]:
    """Return what is used of a disk or image, open at ``fd``; print what is copied whole, and why.

    Raise UnusableError for what is missing: a program, or the right to make loop devices.
    """
    partitions = _partitions(path, size)
    shared = overlapping(partitions)
    for partition in shared:
        _show(f"{partition.name} is copied whole: it shares bytes with a different partition")
    with contextlib.ExitStack() as devices:
        volumes = []
        for partition in partitions:
            if partition.is_container or partition in shared:
                continue
            kind, file_system = _recognised(path, partition)
            if file_system is not None:
                device = path
                if partition.end - partition.begin < size:
                    device = devices.enter_context(_device(path, fd, partition))
                volumes.append(_Volume(partition, kind, file_system, device))
        free = {volume.partition: ranges for volume, ranges in _free(volumes)}
    gaps = unpartitioned(partitions, size) if partitions else []
    if gaps:
        left = sum(length for _, length in gaps)
        _show(f"{format_size(left)} that belong to no partition are left out")
    found = used(size, unused(partitions, free, size))
    count = sum(length for _, length in found)
    if count < size:
        _show(f"{format_size(count)} of the {format_size(size)} on {path} are used; the rest is not copied")
    else:
        _show(f"all {format_size(size)} of {path} are copied")
    return found


def _partitions(path: str, size: int) -> tuple[Partition, ...]:
    """Return the partitions; of a disk that has none, the whole disk; nothing if that is contradictory."""
    code, text = tools.run(["sfdisk", "--json", "--", path])
    partitions: tuple[Partition, ...] = ()
    if code == 0:
        with contextlib.suppress(ValueError):
            partitions = partition_table.parse(text.encode(), size)
    if not partitions:
        return (Partition(path, 0, size),)
    if kind := _probe(["--", path]).get("TYPE", ""):
        _show(f"{path} is copied whole: it has partitions, but also is a file system ({kind}) itself")
        return ()
    return partitions


def _recognised(path: str, partition: Partition) -> tuple[str, FileSystem | None]:
    """Return what blkid calls a file system, and how its used blocks are found, if they are."""
    length = partition.end - partition.begin
    kind = _probe(["--offset", str(partition.begin), "--size", str(length), "--", path]).get("TYPE", "")
    file_system = FILE_SYSTEMS.get(kind)
    if file_system is None:
        what = f"what is used of {kind} is not known" if kind else "it holds no file system that is known"
        _show(f"{partition.name} is copied whole: {what} ({format_size(length)})")
    elif not tools.is_installed(file_system.partclone):
        if not tools.is_installed("partclone.restore"):
            raise UnusableError(missing("partclone"))
        _show(
            f"{partition.name} is copied whole: this partclone does not know {kind} ({format_size(length)})"
        )
        file_system = None
    return kind, file_system


def _probe(arguments: Sequence[str]) -> Mapping[str, str]:
    """Return what blkid finds; nothing where it finds nothing, or things that contradict one another."""
    code, text = tools.run(["blkid", "--probe", "--output", "export", *arguments])
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {} if code else {key: "".join(shlex.split(value)) for key, _, value in pairs}


@contextlib.contextmanager
def _device(path: str, fd: int, partition: Partition) -> Iterator[str]:
    """Yield a device that shows a partition alone."""
    try:
        with read_only_loop(fd, partition.begin, partition.end - partition.begin) as device:
            yield device
    except OSError as error:
        raise UnusableError(
            f"--only used can't look into the partitions of {path}: no loop device can be made: "
            f"{reason(error)}; work as root"
        ) from error


def _free(volumes: Sequence[_Volume]) -> Iterator[tuple[_Volume, list[Range]]]:
    """Yield what each volume leaves free, for those that can be trusted; print why others can't."""
    with contextlib.ExitStack() as ends:
        searches = []
        for volume in volumes:
            question = volume.file_system.question
            if question is not None:
                code, text = tools.run([*question.argv, volume.device])
                if (why := question.objection(code, text)) is not None:
                    _whole(volume, why)
                    continue
            searches.append(ends.enter_context(_search(volume)))
        _wait(searches)
        for search in searches:
            try:
                yield search.volume, search.result()
            except ValueError as error:
                _whole(search.volume, str(error))


def _whole(volume: _Volume, why: str) -> None:
    length = volume.partition.end - volume.partition.begin
    _show(f"{volume.name} is copied whole, {format_size(length)}: {why}")


@attrs.frozen
class _Search:
    """A partclone that runs."""

    volume: _Volume
    program: tools.Running
    map_fd: int

    def result(self) -> list[Range]:
        """Return what is free, in bytes of the disk; raise ValueError, with the reason, if not known."""
        output, name = self.program.output, self.program.name
        if why := complaint(output) if self.program.code else objection(output):
            raise ValueError(why)
        if os.fstat(self.map_fd).st_size > LARGEST_MAP:
            raise ValueError("what it uses is scattered too much")
        found = Mapfile.parse(tools.read(self.map_fd).decode())
        partition = self.volume.partition
        taken = found.ranges(Status.FINISHED)
        if not taken or found.regions[0].begin != partition.begin or found.end > partition.end:
            raise ValueError(f"the map that {name} has made is not one of it")
        if self.volume.file_system.mirrors:
            _, text = tools.run([*CHUNKS, self.volume.device])
            taken = mirrored(taken, mirrors(text), partition.begin)
        # The rest of the partition, behind the file system, does not belong to its free blocks.
        return list(within(used(found.end, taken), partition.begin, found.end))


@contextlib.contextmanager
def _search(volume: _Volume) -> Iterator[_Search]:
    """Start the search for the used blocks of a volume; end it on exit."""
    with tools.memory_file() as map_fd:
        argv = [
            volume.file_system.partclone,
            *("--domain", "--source", volume.device, "--overwrite", f"/proc/self/fd/{map_fd}"),
            f"--offset_domain={volume.partition.begin}",
            # Without progress: with it a thread sleeps for two seconds. Its log is of no use.
            *("--logfile", "/dev/null", "--quiet", "--UI-fresh", "0"),
        ]
        with tools.running(argv, kept=[map_fd]) as program:
            yield _Search(volume, program, map_fd)


def _wait(searches: Sequence[_Search]) -> None:
    """Wait until all have ended. Raise UnusableError after MAP_SECONDS."""
    began = time.monotonic()
    tell = REPORT_SECONDS
    for search in searches:
        while not search.program.wait(max(0.0, began + tell - time.monotonic())):
            passed = time.monotonic() - began
            if passed >= MAP_SECONDS:
                raise UnusableError(
                    f"what is used of {search.volume.name} was not found within "
                    f"{format_seconds(MAP_SECONDS)}; copy it without --only used"
                )
            _show(f"looking for what is used of {search.volume.name}, for {format_seconds(passed)}")
            tell *= 2


def _show(line: str) -> None:
    printable = "".join(sign if sign.isprintable() else "?" for sign in line)
    print(f"fanoutfs: {printable}", file=sys.stderr, flush=True)
