"""All nodes there from the beginning, none that stops: then blocks come in order, and it is arithmetic.

Theory of operation
    Under a strict pace, readers that begin together stay within the ring of one another, so every machine's
    producer reads the image once, from its first byte to its last. When run b is there follows from what was
    before: on the machine above (run b), on this machine (run b - 1, as it reads one run at a time), and
    among its readers: the first of them has to have come within the look-ahead (run b - L), the last one has
    to have had what goes for it (run b - K). This is a recursion over runs and machines, with nothing in it
    but sums, least and most.

    So it becomes regular: once each machine is a constant time behind itself from run to run, and no ring is
    about to fill, it is so for ever, and what is left of the image is a multiplication.

    In a chain of equal links the recursion is ``S / rate`` for the image, and for each link after the first
    ``run / rate + latency``; ``tests/rules/test_flow.py`` holds it against that, and against ``relay.py``,
    which asks the rules themselves.

    Those behind one node get what they can receive, where its card has enough for all, else an equal share.
    Where some could not use that share, and others would have what they leave, it depends on what the rings
    hold at the time: that is not for here, but for ``relay.py``.

What is not modelled
    What ``relay.py`` does not model. Besides, runs are asked for, taken and given up as wholes; a mount does
    so by blocks, so a small ring comes to a little more or less there; and while one of those behind a node
    waits for an answer, the card sends to another. The tests allow 3 % for links of up to 1 ms; with 10 ms
    and nodes of many kinds up to 8 % were seen.
"""

import math
from array import array
from collections.abc import Iterable

import attrs

from fanoutfs.simulate.groups import Spread, groups
from fanoutfs.simulate.scenario import Reader, Scenario

WORK = 1_500_000
"""Steps of one machine by one run that are done at most: some seconds. What is not regular until then is
done again with several runs at a time, of which each begins as soon as its first piece can."""

LOOKS = 64
"""After so many runs it is looked whether all is regular."""

LOOK_AHEAD = 4
"""Runs, as ``ring/ahead.py`` has them where there is room."""

RESERVE = 32
"""One slot in so many is not the sweep's, as ``ring/rules.py`` has it."""

SAME = 1e-9
"""Two times are the same when they differ by less than this, of what they are."""


def flows(scenario: Scenario) -> bool:
    """Say whether a scenario is one for this."""
    readers = list(_all_readers(scenario))
    begins = {reader.at for reader in readers} | {nodes.at for nodes in scenario.nodes}
    stops = any(r.stalls or r.leaves is not None for r in readers) or any(
        nodes.dies is not None for nodes in scenario.nodes
    )
    together = scenario.pace == "strict" and not stops and len(begins) == 1
    return together and _rates(scenario) is not None


def by_flow(scenario: Scenario) -> Spread:
    """Say what becomes of a scenario for which ``flows`` is true."""
    longest = min(scenario.run, max(scenario.block or 1, min(_rings(scenario)) // 8))
    pieces = 1
    found = _Flow(scenario, longest, pieces).run()
    while found is None:
        pieces *= 2
        if (len(scenario.nodes) + 1) * (scenario.size / (longest * pieces)) <= WORK:
            found = _Flow(scenario, longest, pieces).run()
    return found


@attrs.define(eq=False)
class _Machine:
    """One entry of the nodes, or the machine with the source; times in seconds since all began."""

    above: "_Machine | None"
    seconds: float
    """For a piece of a run to come to it when nothing holds it up."""
    latency: float
    targets: tuple[float, ...]
    """Seconds for a piece to be written to each."""
    window: int
    """Runs in its ring."""
    look_ahead: int = attrs.field(init=False)
    here: float = 0.0
    """When its last run had come."""
    written: list[float] = attrs.field(factory=list)
    """When each target has had its last run."""
    asked: float = 0.0
    first: "array[float]" = attrs.field(factory=lambda: array("d"))
    """When the first of its readers took each run."""
    last: "array[float]" = attrs.field(factory=lambda: array("d"))

    def __attrs_post_init__(self) -> None:
        self.look_ahead = max(2, min(LOOK_AHEAD, self.window // 4))
        self.written = [0.0] * len(self.targets)

    def asks(self, run: int) -> float:
        """Say when its producer asks for a run."""
        asks = self.here
        if run >= self.look_ahead:
            asks = max(asks, self.first[run - self.look_ahead])
        if run >= self.window:
            asks = max(asks, self.last[run - self.window])
        return asks

    def taken(self, when: float) -> None:
        """Note that one of its readers takes the newest run then."""
        self.first[-1] = min(self.first[-1], when)
        self.last[-1] = max(self.last[-1], when)


class _Flow:
    """One run of the recursion."""

    def __init__(self, scenario: Scenario, longest: int, pieces: int) -> None:
        """``longest``: most bytes of a run; ``pieces``: how many of them are done at once."""
        self.scenario = scenario
        self.begin = min(reader.at for reader in _all_readers(scenario))
        self.pieces = pieces
        self.runs = -(-scenario.size // (longest * pieces))
        self.bytes = scenario.size / self.runs
        piece = self.bytes / pieces
        rates = _rates(scenario)
        assert rates is not None
        root = _Machine(
            above=None,
            seconds=piece / scenario.source_rate,
            latency=0.0,
            targets=tuple(self._taking(reader.rate) for reader in scenario.readers),
            window=self._window(scenario.ring),
        )
        self.machines = [root]
        for number, nodes in enumerate(scenario.nodes):
            targets = tuple(self._taking(target.rate) for target in nodes.targets)
            self.machines.append(
                _Machine(
                    above=root if nodes.above is None else self.machines[nodes.above + 1],
                    seconds=piece / rates[number],
                    latency=nodes.wire.latency,
                    targets=targets,
                    window=self._window(nodes.ring or scenario.ring),
                )
            )

    def _taking(self, rate: float | None) -> float:
        return 0.0 if rate is None else self.bytes / self.pieces / rate

    def _window(self, ring: int) -> int:
        """Give how many runs apart the first and the last reader of a ring can be."""
        if ring >= self.scenario.size:
            return self.runs
        return max(2, int(ring * (1 - 1 / RESERVE) / self.bytes))

    def run(self) -> Spread | None:
        """Go through the runs until all is regular, or to the end; None: that is too much work."""
        before: list[float] = []
        regular = 0
        for run in range(self.runs):
            if run * len(self.machines) > WORK:
                return None
            for machine in self.machines:
                self._step(machine, run)
            if run % LOOKS >= LOOKS - LOOK_AHEAD - 2:
                now = self._times()
                step = now[0] - before[0] if before else 0.0
                alike = bool(before) and all(_same(b - a, step) for a, b in zip(before, now, strict=True))
                regular, before = regular + 1 if alike else 0, now
                if regular > LOOK_AHEAD and self._stays(run, step):
                    return self._spread((self.runs - 1 - run) * step)
            else:
                before, regular = [], 0
        return self._spread(0.0)

    def _step(self, machine: _Machine, run: int) -> None:
        """Let a machine have the next run; of one in pieces the last one is what others wait for."""
        asks = machine.asks(run)
        machine.asked = asks
        above, pieces = machine.above, self.pieces
        if above is None:
            machine.here = asks + pieces * machine.seconds
        else:
            cycle = machine.seconds + 2 * machine.latency
            begins = max(asks + machine.latency + (pieces - 1) * cycle, above.here)
            machine.here = begins + machine.seconds + machine.latency
            above.taken(begins)
        machine.first.append(math.inf)
        machine.last.append(-math.inf)
        for i, seconds in enumerate(machine.targets):
            takes = max(machine.here, machine.written[i] + (pieces - 1) * seconds)
            machine.written[i] = takes + seconds
            machine.taken(takes)

    def _times(self) -> list[float]:
        return [time for machine in self.machines for time in (machine.here, machine.asked, *machine.written)]

    def _stays(self, run: int, step: float) -> bool:
        """Say whether nobody will ever have to wait longer than now for the last reader of a ring."""
        for machine in self.machines:
            if machine.window < self.runs:
                for before in range(max(0, run - machine.window + 1), run + 1):
                    asks = machine.asked + (before + machine.window - run) * step
                    if machine.last[before] > asks * (1 + SAME):
                        return False
        return True

    def _spread(self, rest: float) -> Spread:
        scenario = self.scenario
        done = [self.begin + rest + max([m.here, *m.written]) for m in self.machines[1:]]
        children = [0] * (len(scenario.nodes) + 1)
        for nodes in scenario.nodes:
            children[0 if nodes.above is None else nodes.above + 1] += nodes.count
        sent = [count * scenario.size for count in children]
        return Spread(
            scenario=scenario,
            exact=True,
            block=round(self.bytes),
            coarse=self.pieces > 1,
            source_bytes=scenario.size,
            sent=sent[0],
            groups=groups(scenario, list(done), sent[1:]),
        )


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME * max(one, other, 1.0)


def _all_readers(scenario: Scenario) -> Iterable[Reader]:
    yield from scenario.readers
    for nodes in scenario.nodes:
        yield from nodes.targets


def _rings(scenario: Scenario) -> list[int]:
    return [scenario.ring, *(nodes.ring or scenario.ring for nodes in scenario.nodes)]


def _rates(scenario: Scenario) -> list[float] | None:
    """Give at how many bytes per second each entry of the nodes is sent to; None: that changes with time."""
    cards: dict[int | None, float] = {None: scenario.card}
    children: dict[int | None, list[int]] = {None: []}
    for number, nodes in enumerate(scenario.nodes):
        cards[number], children[number] = nodes.card, []
        children[nodes.above].append(number)
    # From the last ones on: what each takes in the long run, with all behind it.
    pace = [math.inf] * len(scenario.nodes)
    rates = [math.inf] * len(scenario.nodes)
    for above in [*range(len(scenario.nodes) - 1, -1, -1), None]:
        alike = [scenario.nodes[i] for i in children[above]]
        equal = cards[above] / max(1, sum(nodes.count for nodes in alike))
        wires = {nodes.wire for nodes in alike}
        paces = [pace[i] for i in children[above]]
        for i in children[above]:
            rates[i] = min(equal, scenario.nodes[i].wire.rate)
        if sum(nodes.count * nodes.wire.rate for nodes in alike) <= cards[above]:
            for i in children[above]:
                rates[i] = scenario.nodes[i].wire.rate
        elif len(wires) > 1 or (len(set(paces)) > 1 and min(paces) < equal * (1 - SAME)):
            return None
        if above is not None:
            nodes = scenario.nodes[above]
            targets = [target.rate for target in nodes.targets if target.rate is not None]
            behind = [min(rates[i], pace[i]) for i in children[above]]
            pace[above] = min([nodes.wire.rate, *targets, *behind])
    return rates
