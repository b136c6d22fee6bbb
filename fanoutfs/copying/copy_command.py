"""The command ``copy``: checks, comes to the producer, has the targets written, and says what came of it."""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from fanoutfs.checking.check import check
from fanoutfs.checking.claimed import claim_all
from fanoutfs.checking.confirm import confirm
from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.copying import workers
from fanoutfs.copying.connector import NamedSource, ProducerConnector, named
from fanoutfs.copying.progress import Progress, outcome, tally
from fanoutfs.copying.prompt import ask
from fanoutfs.copying.watch import Watch, all_good
from fanoutfs.copying.workers import CopyJob
from fanoutfs.errors import SourceChangedError, UnusableError
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.settings import Settings
from fanoutfs.shm.borrower import ANSWER_SECONDS, Image

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@attrs.frozen(kw_only=True)
class CopyOptions:
    """What the user wants of a copy."""

    yes: bool
    verify: bool
    resume: bool
    sparse: bool
    progress: bool


def copy(
    source_word: str,
    keys: RemoteKeys,
    target_words: Sequence[str],
    settings: Settings,
    wishes: CopyOptions,
    log_path: Path | None,
) -> int:
    """Copy; gives the exit code, 0 when every target is good.

    Raises what stops it before a byte was written.
    """
    source, opened = named(source_word, keys)
    candidates = check(source.here, source.size, target_words)
    asks = not wishes.yes and sys.stdin.isatty() and sys.stderr.isatty()
    if asks and not confirm(candidates, source.size, ask, lambda line: print(line, file=sys.stderr)):
        raise UnusableError("nothing was written; to go without the question say --yes")
    way = ProducerConnector(source, keys.absolute(), settings, log_path)
    producer, image, head = _stay(way, source, opened)
    # A producer that has to take this one's place must cut the image as this one does.
    way = attrs.evolve(way, settings=settings.with_block(image.block))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    claimed = claim_all(candidates, direct=True)
    hands = workers.fork(CopyJob(image, way, head, wishes.verify, wishes.resume, wishes.sparse), claimed)
    now = time.monotonic()
    copies = {hand: Progress(target=hand.path, size=image.size, began=now) for hand in hands}
    code = 0
    try:
        Watch(producer, copies, wishes.resume).run(drawn=wishes.progress)
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        producer.close()
    _say(list(copies.values()))
    return code or (0 if all_good(list(copies.values())) else 1)


def _stay(
    way: ProducerConnector, source: NamedSource, opened: OpenSource | None
) -> tuple[ControlConnection, Image, int]:
    """Come to the producer, and keep it as long as the connection is there; gives the head's block, too."""
    while True:
        producer, opened = way.connect(opened), None
        try:
            answer = producer.request("stay", ANSWER_SECONDS)
        except HungUpError:
            # It was about to leave.
            producer.close()
            continue
        image = Image.said(answer)
        known = {image.origin, source.origin} - {None}
        if (image.size, image.identity) != (source.size, source.identity) or len(known) > 1:
            raise SourceChangedError(f"the source {source.path} was another one when its producer began")
        share = answer["head"] / image.blocks
        if answer["others"]:
            print(f"fanoutfs: {source.path} is being read already: joining at {share:.0%}", file=sys.stderr)
        elif answer["head"]:
            print(f"fanoutfs: {source.path} is being read there: beginning at {share:.0%}", file=sys.stderr)
        return producer, image, answer["head"]


def _say(copies: Sequence[Progress]) -> None:
    """Write what came of each: what is good to stdout, what is not to stderr."""
    for copy in copies:
        print(outcome(copy), file=sys.stdout if copy.phase == "done" else sys.stderr)
    if (said := tally(copies)) is not None:
        print(f"fanoutfs: {said}", file=sys.stderr)
    if not all_good(copies):
        print("fanoutfs: to finish what is not good, say the same again with --resume", file=sys.stderr)
