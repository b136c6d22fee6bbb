"""The rules of ``ring/rules.py`` in a world where time is a number: what a mount would do."""

from fanoutfs.simulate.clock import Clock
from fanoutfs.simulate.grain import grain
from fanoutfs.simulate.machine import SimulatedMachine
from fanoutfs.simulate.result import Outcome, Recording, Track
from fanoutfs.simulate.scenario import Scenario
from fanoutfs.simulate.supply import Disk


def simulate(scenario: Scenario, *, record: bool = False) -> Outcome:
    """Run a scenario without nodes to its end; ``record`` keeps the data for a picture.

    Raises UnusableError when the rules come to a standstill, which they never should.
    """
    measures, clock = grain(scenario), Clock()
    recording = Recording([Track() for _ in scenario.readers]) if record else None
    disk = Disk(clock, scenario.source_rate, scenario.seek_time * measures.scale)
    machine = SimulatedMachine(scenario, measures, clock, disk, recording=recording)
    clock.run()
    return Outcome(
        scenario=scenario,
        grain=measures,
        source_bytes=disk.bytes,
        seeks=round(disk.seeks * measures.scale),
        seconds=clock.now,
        memory=machine.memory,
        readers=machine.finishes(),
        recording=recording,
    )
