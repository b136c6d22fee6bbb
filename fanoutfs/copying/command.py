"""The command ``copy``: checks, comes to the producer, has the targets written, and says what came of it."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.copying import crew
from fanoutfs.copying.check import check
from fanoutfs.copying.claimed import claim_all
from fanoutfs.copying.confirm import confirm
from fanoutfs.copying.crew import Hand, Orders
from fanoutfs.copying.source import Named, Way, named
from fanoutfs.errors import SourceChangedError, UnusableError
from fanoutfs.settings import Settings
from fanoutfs.sharing.borrower import Image
from fanoutfs.sharing.wire import Connection, HungUpError

HEAR_SECONDS = 0.2

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


@attrs.frozen(kw_only=True)
class Wishes:
    """What the user wants of a copy."""

    yes: bool
    verify: bool
    resume: bool
    sparse: bool
    progress: bool


def copy(
    source_word: str, target_words: Sequence[str], settings: Settings, wishes: Wishes, log_path: Path | None
) -> int:
    """Copy; gives the exit code, 0 when every target is good.

    Raises what stops it before a byte was written.
    """
    source = named(source_word)
    candidates = check(source.path, source.size, target_words)
    asks = not wishes.yes and sys.stdin.isatty() and sys.stderr.isatty()
    if asks and not confirm(candidates, source.size, input, lambda line: print(line, file=sys.stderr)):
        raise UnusableError("nothing was written; to go without the question say --yes")
    way = Way(source, settings, log_path)
    producer, image, head = _stay(way, source)
    claimed = claim_all(candidates, direct=True)
    hands = crew.fork(Orders(image, way, head, wishes.verify, wishes.resume, wishes.sparse), claimed)
    return _watch(hands, producer, image, wishes)


def _stay(way: Way, source: Named) -> tuple[Connection, Image, int]:
    """Come to the producer, and keep it as long as the connection is there; gives the head's block, too."""
    while True:
        producer = way.connect()
        try:
            answer = producer.ask("stay")
        except HungUpError:
            # It was about to leave.
            producer.close()
            continue
        image = Image(answer["size"], answer["block"], answer["identity"])
        if (image.size, image.identity) != (source.size, source.identity):
            raise SourceChangedError(f"the source {source.path} was another one when its producer began")
        return producer, image, answer["head"]


def _watch(hands: list[Hand], producer: Connection, image: Image, wishes: Wishes) -> int:
    last: dict[str, dict[str, Any]] = {hand.path: {} for hand in hands}
    began = time.monotonic()
    live = list(hands)
    try:
        while live:
            for hand, message in crew.hear(live, HEAR_SECONDS):
                if message.get("ended"):
                    live.remove(hand)
                    if message["error"]:
                        last[hand.path].update(phase="failed", error=message["error"])
                else:
                    last[hand.path].update(message, at=time.monotonic() - began)
    except KeyboardInterrupt:
        for hand in live:
            hand.end()
        raise
    producer.close()
    for path, state in last.items():
        print(path, state)
    return 0 if all(state["phase"] == "done" for state in last.values()) else 1
