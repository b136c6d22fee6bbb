"""Worlds made from seeds, and a digest of the rules' decisions in each.

``reads_chosen.txt`` has the digest of each of WORLDS seeds: an optimization of the rules must not change any.
After an intended change of the rules, ``python -m tests.rules.seeded`` writes the file again.

A seed's remainder by 4 gives the kind of world: a few readers of all kinds, a waiting crowd of in-order
readers, one of wrapping readers, or one of all kinds.
"""

import hashlib
import random
from pathlib import Path

from fanoutfs.ring.decision import Read
from fanoutfs.ring.rules import Rules
from tests.rules.world import World

WORLDS = 1000
CHOSEN = Path(__file__).with_name("reads_chosen.txt")

READ = 0.08
"""Seconds for a run of 8 MiB from a source of 100 MB/s: a crowd then waits longer than its turn."""


def digest(seed: int, *, inspects: bool = False) -> str:
    """Return the digest of all decisions in one world.

    ``inspects``: check each decision, and raise AssertionError if one is wrong.
    """
    chance = random.Random(seed)
    joins = ("jjwbp", "jjjp", "wwb", "jwbp")[seed % 4]
    if seed % 4 == 0:
        blocks, slots = chance.randint(8, 40), chance.randint(2, 44)
        world = _world(chance, blocks=blocks, slots=slots, inspects=inspects)
    else:
        world = _crowd(chance, inspects)
    lines = _live(world, chance, joins)
    return hashlib.blake2s("\n".join(lines).encode(), digest_size=4).hexdigest()


def _world(chance: random.Random, *, blocks: int, slots: int, inspects: bool) -> World:
    rules = Rules(
        blocks=blocks,
        slots=slots,
        run=chance.randint(1, 8),
        patience=10.0,
        turn=chance.choice([0.3, 2.0]),
        strict=chance.random() < 0.7,
    )
    return World(rules, inspects=inspects)


def _crowd(chance: random.Random, inspects: bool) -> World:
    """Return a world with readers at equal distances, each with the next in reach or not."""
    readers, gap = chance.randint(3, 18), chance.randint(1, 16)
    slots = max(2, int(gap * chance.choice([0.5, 1.1, 2.0, 4.0, 0.7 * readers, 0.95 * readers])))
    blocks = readers * gap + chance.choice([0, 1, gap, 4 * gap])
    world = _world(chance, blocks=blocks, slots=slots, inspects=inspects)
    wraps = chance.random()
    for number in range(readers):
        place = number * gap + chance.randrange(gap)
        if chance.random() < wraps:
            world.rules.begin_at(place)
            world.step(world.wrap().cursor.id)
        else:
            world.step(world.join(place).cursor.id)
    return world


def _live(world: World, chance: random.Random, joins: str) -> list[str]:
    """Do 60 random events; return each decision, and at times which blocks are held and which readers wait.

    ``joins`` are the kinds of readers: in order, probing, wrapping, borrowing.
    """
    lines: list[str] = []
    seen = 0
    for _ in range(60):
        _happen(world, chance, joins)
        if chance.random() < 0.1:
            lines.append(f"waits {world.rules.waits(world.now)}")
            lines.append(f"holds {world.rules.held(world.now)}")
        for decision in world.decisions[seen:]:
            if isinstance(decision, Read):
                lines.append(f"{decision.first} {decision.slots} {decision.detour}")
            else:
                lines.append(f"rests until {decision.until:.6f}")
        seen = len(world.decisions)
    return lines


def _happen(world: World, chance: random.Random, joins: str) -> None:
    numbers = list(world.walkers)
    what = chance.random()
    if not numbers or what < 0.05:
        _join(world, chance, chance.choice(joins))
    elif what < 0.17:
        _disturb(world, chance, numbers, what)
    elif what < 0.40:
        _read_on(world, chance, [chance.choice(numbers)])
    elif what < 0.55:
        _read_on(world, chance, numbers)
    elif what < 0.65:
        world.begin()
    else:
        for _ in range(chance.randint(1, 4)):
            world.end(READ)
            world.begin()
            world.end(READ)
            world.answer_all()


def _disturb(world: World, chance: random.Random, numbers: list[int], what: float) -> None:
    if what < 0.07:
        world.leave(chance.choice(numbers))
    elif what < 0.09:
        world.jump(chance.choice(numbers), chance.randrange(world.rules.blocks))
    elif what < 0.11:
        world.again(chance.choice(numbers), chance.randint(1, 8))
    elif what < 0.13:
        world.revoke(chance.choice(numbers))
    elif what < 0.15:
        world.spoil(chance.randrange(world.rules.blocks))
    else:
        world.wait(chance.choice([0.1, 2.0, 9.0, 11.0]))


def _join(world: World, chance: random.Random, kind: str) -> None:
    place = chance.randrange(world.rules.blocks)
    if kind == "j":
        world.step(world.join().cursor.id)
    elif kind == "p":
        world.step(world.join(place).cursor.id)
    elif kind == "w":
        world.wrap()
    else:
        world.borrow()


def _read_on(world: World, chance: random.Random, numbers: list[int]) -> None:
    for number in numbers:
        for _ in range(chance.choice([1, 1, 2, 5])):
            world.step(number, chance.choice([1, 1, 2, 6]))
        world.grab(number)


def main() -> None:
    """Write the file again."""
    CHOSEN.write_text("".join(f"{digest(seed)}\n" for seed in range(WORLDS)))


if __name__ == "__main__":
    main()
