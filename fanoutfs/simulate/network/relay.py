"""Many machines, each with its own ring and rules: a node reads what the machine above it sends.

Theory of operation
    Identical nodes (``scenario.Nodes``) are modelled as one machine, to which each block is sent once for
    each of them. All machines have one clock.

    Each is a *relay*: whether it mounts the image of the machine above or only copies it, it has a producer
    and a ring. The producer's reads are requests of one reader on the machine above, block by block; as on a
    mount, ``ring/stream.py`` determines the position of that reader. A request is answered when all of its
    blocks have been resident. The node's head begins at the head of the machine above when it joins, as when
    the source is named by its service.

    A node that dies, and all nodes behind it, stop responding. Its reader on the machine above holds up the
    others until ``patience`` has passed.

What is not modelled
    The switch: what a card sends arrives at the rate at which the receiver can receive, and, as cards are
    full duplex, does not slow down what the receiver sends. Packet loss, and TCP. A node has one request
    at a time, of a run of a mount at most: so it pays a latency, there and back, for each run. A node
    that died is not replaced, nor are those behind it. Coarse blocks (``grain.py``) are passed on whole,
    so each link of a deep tree costs the time of a coarse block instead of that of a run;
    ``Spread.coarse`` records that.

Cost
    Each entry of the nodes takes each block, at some 0.1 ms of processor time for it and its targets. So a
    tree, whose nodes are few entries, takes seconds, whatever its size; a chain of 1,000 takes minutes.
    ``grain.least_work`` estimates it beforehand. Decision 13 explains why there is no second, quicker model.
"""

import math
from collections.abc import Callable
from functools import partial

import attrs

from fanoutfs.ring.cursor import Cursor, Request
from fanoutfs.ring.stream import Stream
from fanoutfs.simulate.clock import Clock, Settles
from fanoutfs.simulate.grain import grain
from fanoutfs.simulate.machine import Card, SimulatedMachine
from fanoutfs.simulate.network.groups import Spread, groups
from fanoutfs.simulate.scenario import Nodes, Scenario, SimulatedReader
from fanoutfs.simulate.supply import Disk


@attrs.define(eq=False)
class Relay:
    """The reader that a node's producer is on the machine above; the producer's supply."""

    clock: Clock
    above: SimulatedMachine
    nodes: Nodes
    cursor_id: int
    below: SimulatedMachine = attrs.field(init=False)
    _cursor: Cursor = attrs.field(init=False)
    _stream: Stream = attrs.field(factory=Stream, init=False)
    _request: Request | None = attrs.field(default=None, init=False)

    def join(self) -> None:
        """Open the image above; the first pass begins where the head is there."""
        self._cursor = self.above.rules.open(self.cursor_id)
        self.below.rules.begin_at(self.above.rules.head)

    def read(self, owner: Settles, blocks: range, size: int, done: Callable[[], None]) -> None:
        """Send a request; ``done`` is called when its answer has arrived."""
        self.clock.at(
            self.clock.now + self.nodes.wire.latency,
            self.above,
            partial(self._arrived, owner, blocks, size, done),
        )

    def _arrived(self, owner: Settles, blocks: range, size: int, done: Callable[[], None]) -> None:
        """Start to serve a request that has arrived above."""
        if self.above.dead:
            return
        rules, block = self.above.rules, self.above.grain.block
        fresh = self._stream.begin(blocks.start * block, size, head=rules.head * block)
        self._move(blocks.start)
        self._advance(owner, blocks, blocks.start, done, fresh=fresh)

    def _move(self, block: int) -> None:
        now, sequential = self.clock.now, self._stream.sequential
        self.above.worthwhile(self.above.rules.move(self._cursor, block, sequential=sequential, now=now))

    def _advance(
        self, owner: Settles, blocks: range, at: int, done: Callable[[], None], *, fresh: bool = False
    ) -> None:
        """Take resident blocks from ``at`` on; wait for absent ones; send when all were resident."""
        above, rules = self.above, self.above.rules
        if above.dead:
            return
        while at < blocks.stop and at in rules.residency.slot_of:
            at += 1
            self._stream.acknowledge((at - 1) * above.grain.block, above.bytes_of(range(at - 1, at)))
            self._move(at)
        if at < blocks.stop:
            if self._request is None:
                last = blocks.stop - 1
                self._request = rules.request(self._cursor, at, last, self.clock.now, fresh=fresh)
            else:
                rules.advance(self._request, at)
            above.worthwhile(work=True)
            above.when_there(at, partial(self._advance, owner, blocks, at, done))
            return
        if self._request is not None:
            above.worthwhile(rules.answered(self._request, self.clock.now))
            self._request = None
        self._send(owner, blocks, done)

    def _send(self, owner: Settles, blocks: range, done: Callable[[], None]) -> None:
        """Send block by block, so that small requests get as much of the card as large ones."""
        wire, above = self.nodes.wire, self.above
        size = above.bytes_of(blocks[:1])
        sent = above.card.send(self.clock.now, size, self.nodes.count, wire.rate)
        if len(blocks) > 1:
            self.clock.at(sent, above, partial(self._send, owner, blocks[1:], done))
        else:
            # A coarse block stands for many runs, each with a request of its own.
            way_back = wire.latency * (2 * above.grain.scale - 1)
            self.clock.at(sent + way_back, owner, done)


def spread(scenario: Scenario) -> Spread:
    """Run a scenario with nodes to its end.

    Raises UnusableError when the rules come to a standstill, which they never should.
    """
    return _SimulatedNetwork(scenario).run()


class _SimulatedNetwork:
    """The machines of one run."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.clock = scenario, Clock()
        self.grain = grain(scenario)
        self.disk = Disk(self.clock, scenario.source_rate, scenario.seek_time * self.grain.scale)
        self.children: dict[int | None, list[int]] = {}
        for number, nodes in enumerate(scenario.nodes):
            self.children.setdefault(nodes.above, []).append(number)
        self.slowest = self._slowest()
        self.root = self._machine(None, scenario.readers, scenario.ring, scenario.card, self.disk)
        self.machines: list[SimulatedMachine] = []

    def run(self) -> Spread:
        scenario = self.scenario
        for number, nodes in enumerate(scenario.nodes):
            self._add(number, nodes)
        self.clock.run()
        done = [_done(machine) for machine in self.machines]
        return Spread(
            scenario=scenario,
            block=self.grain.block,
            coarse=self.grain.coarse,
            source_bytes=self.disk.bytes,
            sent=self.root.card.sent,
            groups=groups(scenario, done, [machine.card.sent for machine in self.machines]),
        )

    def _add(self, number: int, nodes: Nodes) -> None:
        above = self.root if nodes.above is None else self.machines[nodes.above]
        relay = Relay(self.clock, above, nodes, cursor_id=-1 - number)
        # Scheduled before its readers, so that it has joined when they start.
        self.clock.at(nodes.at, above, relay.join)
        ring = nodes.ring or self.scenario.ring
        relay.below = self._machine(number, nodes.targets, ring, nodes.card, relay)
        self.machines.append(relay.below)
        if nodes.dies is not None:
            self.clock.at(nodes.dies, relay.below, partial(self._die, number))

    def _machine(
        self,
        number: int | None,
        readers: tuple[SimulatedReader, ...],
        ring: int,
        card: float,
        supply: Disk | Relay,
    ) -> SimulatedMachine:
        return SimulatedMachine(
            attrs.evolve(self.scenario, readers=readers, ring=ring),
            self.grain.with_ring(ring),
            self.clock,
            supply,
            card=Card(card),
            slowest=self.slowest[number],
        )

    def _slowest(self) -> dict[int | None, float]:
        """Return for each machine the longest time that a reader on another node may need for a run."""
        found: dict[int | None, float] = dict.fromkeys([None, *range(len(self.scenario.nodes))], 0.0)
        size = self.grain.block * self.grain.run
        cards = {None: self.scenario.card} | {i: nodes.card for i, nodes in enumerate(self.scenario.nodes)}
        for number in range(len(self.scenario.nodes) - 1, -1, -1):
            nodes = self.scenario.nodes[number]
            children = sum(self.scenario.nodes[i].count for i in self.children[nodes.above])
            sending = children * size / cards[nodes.above] + size / nodes.wire.rate + 2 * nodes.wire.latency
            taking = max(
                (self.grain.seconds(target.rate) * self.grain.run for target in nodes.targets), default=0.0
            )
            found[nodes.above] = max(found[nodes.above], sending, taking, found[number])
        return found

    def _die(self, number: int) -> None:
        self.machines[number].die()
        for child in self.children.get(number, []):
            self._die(child)


def _done(machine: SimulatedMachine) -> float | None:
    """Return when the last target of a node was complete; None if one never was."""
    ends = [math.inf if finish.took is None else finish.came + finish.took for finish in machine.finishes()]
    return None if math.inf in ends else max(ends)
