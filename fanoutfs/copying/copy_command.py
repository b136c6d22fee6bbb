"""The command ``copy``: checks targets, connects to the producer, runs the workers, prints the outcome."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from fanoutfs.checking.check import check
from fanoutfs.checking.claimed import claim_all
from fanoutfs.checking.confirm import confirm, overwritten, unconfirmed
from fanoutfs.checking.lsblk import described
from fanoutfs.checking.safety import Candidate, RefusedError
from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.copying import prompt, workers
from fanoutfs.copying.connector import NamedSource, ProducerConnector, find_source
from fanoutfs.copying.copy_options import CopyOptions
from fanoutfs.copying.dry_run import plan
from fanoutfs.copying.progress import STOPPED, Phase, Progress, outcome, total
from fanoutfs.copying.watch import WITH_ZEROS, Watch, all_good, code_of
from fanoutfs.copying.workers import CopyJob
from fanoutfs.copying.write_size import longest_write
from fanoutfs.engine.descriptors import require_descriptors
from fanoutfs.engine.find import HangUps
from fanoutfs.errors import FanoutError, SourceChangedError, UnusableError
from fanoutfs.only.part import refusal
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.remote_zeros import remote_zeros
from fanoutfs.settings import Settings
from fanoutfs.shm.borrower import Image
from fanoutfs.status.text import printable
from fanoutfs.system.interrupts import ENDS, Interrupted, exit_code
from fanoutfs.system.memory_room import memory_room
from fanoutfs.system.process_limits import descriptor_limit
from fanoutfs.system.streams import require_written
from fanoutfs.units import ANY_SIZE, format_size

OUTPUTS = {"/proc/self/fd/1": "standard output", "/proc/self/fd/2": "standard error"}
"""What this command writes messages to."""


def copy(
    source_argument: str,
    keys: RemoteKeys,
    target_paths: Sequence[str],
    settings: Settings,
    options: CopyOptions,
    log_path: Path | None,
) -> int:
    """Copy; return the exit code, 0 when every target is good.

    Raise FanoutError for what stops the command before a byte was written.
    """
    with _unfinished_if_interrupted(target_paths):
        source, opened = find_source(source_argument, keys, settings.source)
        outputs = OUTPUTS if log_path is None else {**OUTPUTS, str(log_path): "the log"}
        if (mapfile := settings.source.mapfile) is not None:
            outputs = {**outputs, str(mapfile): "the map of bad places"}
        known = 0 if source.size == ANY_SIZE else source.size
        candidates = check(source.local_path, known, target_paths, outputs)
        if options.dry_run:
            if opened is not None:
                opened.source.close()
            _print_plan(described(candidates), source.size, options, settings.source.part)
            return 0
        require_descriptors(len(candidates), descriptor_limit())
        if not options.yes:
            _get_consent(source, candidates)
        began = time.monotonic()
        connector = ProducerConnector(source, keys.absolute(), settings, log_path)
        producer, image, head = hold_producer(connector, source, opened)
        # A producer that replaces this one must divide the image into the same blocks.
        connector = attrs.evolve(
            connector, settings=settings.with_block(image.block), replaces=not image.once
        )
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        claimed = claim_all(candidates, direct=True, show=_show)
        longest = longest_write(memory_room().size, len(claimed))
        copies = {
            worker: Progress(
                target=worker.path,
                size=image.size,
                began=began,
                data=image.layout.read_size,
                copied=image.layout.copied_size,
                resume=options.resume,
                verify=options.verify,
            )
            for worker in workers.start(CopyJob(image, connector, head, options, longest), claimed)
        }
        code = 0
        try:
            Watch(producer, copies, image.once).run(drawn=options.progress)
        except KeyboardInterrupt as interrupted:
            code = exit_code(interrupted)
            mapfile = None
        finally:
            if mapfile is not None:
                # A user that reads the map when the command has ended must find what the copies met.
                with contextlib.suppress(FanoutError):
                    producer.request("save")
            producer.close()
        _print_outcome(list(copies.values()), time.monotonic() - began)
        code = code or code_of(list(copies.values()))
        return code or (WITH_ZEROS if _has_remote_zeros(source, keys) else 0)


def _has_remote_zeros(source: NamedSource, keys: RemoteKeys) -> bool:
    """Return whether the other computer that a source is on has put zeros in place of data; say so."""
    found, line = remote_zeros(source.path, keys)
    if line:
        _show(line)
    return found


@contextlib.contextmanager
def _unfinished_if_interrupted(target_paths: Sequence[str]) -> Iterator[None]:
    """Print a line for each target when a signal ends the command before its workers have started.

    Later a signal ends only the wait for their reports, and each target has a line of its outcome.
    """
    try:
        yield
    except Interrupted:
        for path in target_paths:
            print(f"{printable(path)}: NOT FINISHED: {STOPPED[Phase.JOINING]}", file=sys.stderr)
        raise


def _get_consent(source: NamedSource, candidates: Sequence[Candidate]) -> None:
    """Ask the user to confirm what will be lost; raise UnusableError without a yes."""
    disks = overwritten(described(candidates))
    if not disks:
        return
    if not prompt.can_ask():
        raise RefusedError(unconfirmed(disks))
    if not confirm(source.path, disks, source.size, prompt.ask, prompt.show):
        raise UnusableError("nothing was written; to copy without the question, add --yes")


def hold_producer(
    connector: ProducerConnector, source: NamedSource, opened: OpenSource | None
) -> tuple[ControlConnection, Image, int]:
    """Connect to the producer, which then runs as long as the connection; return the head's block, too."""
    hang_ups = HangUps(source.path)
    while True:
        producer, opened = connector.connect(opened), None
        with contextlib.ExitStack() as unless_kept:
            unless_kept.callback(producer.close)
            try:
                answer = producer.request("stay")
            except HungUpError:
                # It was about to end.
                hang_ups.record(producer)
                continue
            unless_kept.pop_all()
        image = Image.from_message(answer)
        wanted = connector.settings.source.part
        # A mount is copied as it is.
        if (wanted or source.mounted is None) and (why := refusal(source.path, image.part, wanted)):
            producer.close()
            raise UnusableError(why)
        known = {image.origin, source.origin} - {None}
        same_size = image.size == source.size or ANY_SIZE in (image.size, source.size) or image.once
        if not same_size or image.identity != source.identity or len(known) > 1:
            raise SourceChangedError(
                f"the source {source.path} has changed since its producer started; nothing was written"
            )
        head = answer["head"]
        place = f"{head / image.blocks:.0%}" if image.size_is_known else format_size(head * image.block)
        if answer["others"]:
            _show(f"{source.path} is being read already: joining at {place}")
        elif answer["head"]:
            _show(f"{source.path} has a producer: beginning at {place}")
        return producer, image, answer["head"]


def _show(line: str) -> None:
    print(f"fanoutfs: {printable(line)}", file=sys.stderr)


def _print_plan(candidates: Sequence[Candidate], image_size: int, options: CopyOptions, part: str) -> None:
    """Open what exists as a copy would, to see that no other program has it, then print what would happen."""
    for target in claim_all([one for one in candidates if one.exists], direct=False, show=_show):
        target.close()
    for candidate in candidates:
        print("\n".join(map(printable, plan(candidate, image_size, options))))
    if part:
        print(printable(f"fanoutfs: of the image, only a part would be copied: --only {part}"))
    print("fanoutfs: nothing was written, because of --dry-run")
    require_written()


def _print_outcome(copies: Sequence[Progress], seconds: float) -> None:
    """Print a line for each copy, good ones to stdout and others to stderr, and a line on them all."""
    for copy in copies:
        well = copy.phase is Phase.DONE and not copy.has_zeros
        print(outcome(copy), file=sys.stdout if well else sys.stderr)
    for copy in copies:
        if copy.stale is not None:
            _show(copy.stale)
    good = all_good(copies)
    if (line := total(copies, seconds)) is not None:
        print(f"fanoutfs: {line}", file=sys.stderr if code_of(copies) else sys.stdout)
    if not good:
        print("fanoutfs: to finish the others, run the same command again with --resume", file=sys.stderr)
