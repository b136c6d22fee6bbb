"""The command ``fanoutfs simulate``; what it needs is imported when it runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanoutfs.errors import UsageError
from fanoutfs.options import FILE, examples
from fanoutfs.system.mountpoint import require_answer

if TYPE_CHECKING:
    from fanoutfs.simulate.scenario import Scenario

BLOCKS_PER_MINUTE = 600_000
"""Blocks that the model processes (``grain.least_work``): 0.1 ms each, on a machine that has other work."""

MOST_MINUTES = 30
"""A command whose scenarios together take longer is refused."""

READERS = {"readers": "count", "every": "every", "reader_rate": "rate", "order": "order"}
"""The options that describe readers, and the name of each in an entry of a trace's readers."""


@click.command(
    "simulate",
    epilog=examples(
        "fanoutfs simulate --size 64G --ring 1G,4G,16G --readers 20 --every 5m",
        "fanoutfs simulate trace.yaml --picture run.svg",
        "fanoutfs simulate --size 64G --ring 1G --nodes 100 --link-rate 10Gbit --shape star,tree:4",
    ),
)
@click.argument("trace", required=False, type=FILE, metavar="[TRACE.yaml]")
@click.option("--size", metavar="SIZE", help="Size of the image.")
@click.option("--ring", metavar="SIZE[,SIZE...]", help="Size of the ring; several sizes print a row each.")
@click.option("--block", metavar="SIZE", help="Unit of reading and caching [1M, or larger to save time].")
@click.option("--source-rate", metavar="RATE", help="Read rate of the source, per second [100M].")
@click.option("--seek-time", metavar="TIME", help="Cost of each read that does not follow the previous [0].")
@click.option("--readers", metavar="COUNT", help="Number of readers [1].")
@click.option("--every", metavar="TIME",
              help="Time from one reader (with --nodes: one node) to the next: 5s, 2h [0].")  # fmt: skip
@click.option("--reader-rate", metavar="RATE", help="Highest rate of each reader, per second [unlimited].")
@click.option("--order", metavar="image|carousel", help="File that the readers read [image].")
@click.option("--nodes", metavar="COUNT", help="Number of other machines that receive the image.")
@click.option("--shape", metavar="chain|tree:4|star[,...]",
              help="How the nodes feed one another; several shapes print a row each [star].")  # fmt: skip
@click.option("--link-rate", metavar="RATE", help="Rate of each network card, in each direction: 10Gbit.")
@click.option("--source-link-rate", metavar="RATE",
              help="Send rate of the machine with the source [--link-rate].")  # fmt: skip
@click.option("--latency", metavar="TIME", help="One-way latency of a link: 0.1ms [0].")
@click.option("--node-rate", metavar="RATE",
              help="Rate at which a node's CPU receives, and at which it sends [unlimited].")  # fmt: skip
@click.option("--target-rate", metavar="RATE", help="Write rate of a node's disk [unlimited].")
@click.option("--pace", metavar="strict|free", help="As for mount [strict].")
@click.option("--turn", metavar="TIME", help="As for mount [2s].")
@click.option("--patience", metavar="TIME", help="As for mount [10s].")
@click.option("--picture", type=FILE, metavar="FILE.svg|FILE.png",
              help="Draw the position of each reader over time (single ring only); with --nodes, the number "
              "of nodes that have the image.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the full result, with each reader, as JSON.")
def simulate_command(trace: Path | None, picture: Path | None, *, as_json: bool, **given: str | None) -> None:
    """Predict source reads, waits and copy times.

    Without --nodes: how often a mount would read the source, and which readers would wait, for how long.
    With --nodes: when the nodes have the image, if each reads it from the node above.

    A star or a tree whose nodes begin together takes seconds to simulate, however large it is. Each node of
    a chain, and each node that joins later than others, is simulated separately: 100 nodes take about half a
    minute, 1,000 some minutes. Each combination of shape and ring is simulated. A command that would take
    more than half an hour in total is refused.
    """
    from fanoutfs.simulate.trace import load, scenarios  # noqa: PLC0415 (only where it is needed)

    for named in filter(None, (trace, picture)):
        require_answer(named)
    found = scenarios(_entries({} if trace is None else load(trace), given))
    nodes = bool(found[0].nodes)
    if picture is not None:
        if len(found) > 1 and not nodes:
            raise UsageError("--picture: name a single ring for it")
        from fanoutfs.simulate.plot import ready  # noqa: PLC0415

        ready(picture)
    _announce_time(found)
    (_spread if nodes else _simulate)(found, picture, as_json=as_json)


def _announce_time(found: list["Scenario"]) -> None:
    """Print how long the model takes for all scenarios together, if that is a minute or more.

    Raises UsageError if it is more than ``MOST_MINUTES``.
    """
    from fanoutfs.simulate.grain import least_work  # noqa: PLC0415 (only where it is needed)

    minutes = sum(map(least_work, found)) / BLOCKS_PER_MINUTE
    if minutes > MOST_MINUTES:
        raise UsageError(
            f"too large to simulate: it would take about {minutes:.0f} minutes, more than {MOST_MINUTES};"
            " name fewer nodes or shapes, a smaller image, or a larger ring or block"
        )
    if minutes >= 1:
        click.echo(f"simulating; this takes about {minutes:.0f} min", err=True)


def _simulate(found: list["Scenario"], picture: Path | None, *, as_json: bool) -> None:
    from fanoutfs.simulate.model import simulate  # noqa: PLC0415 (only where it is needed)
    from fanoutfs.simulate.report import document, table  # noqa: PLC0415

    outcomes = [simulate(scenario, record=picture is not None) for scenario in found]
    if picture is not None:
        from fanoutfs.simulate.plot import draw  # noqa: PLC0415

        draw(outcomes[0], picture)
    click.echo(json.dumps(document(outcomes), indent=1) if as_json else table(outcomes))


def _spread(found: list["Scenario"], picture: Path | None, *, as_json: bool) -> None:
    from fanoutfs.simulate.network.network_report import document, table  # noqa: PLC0415 (only where it is needed)
    from fanoutfs.simulate.network.relay import spread  # noqa: PLC0415

    outcomes = [spread(scenario) for scenario in found]
    if picture is not None:
        from fanoutfs.simulate.network.network_plot import draw  # noqa: PLC0415

        draw(outcomes, picture)
    click.echo(json.dumps(document(outcomes), indent=1) if as_json else table(outcomes))


def _entries(entries: dict[str, Any], given: dict[str, str | None]) -> dict[str, Any]:
    """Return a trace's entries merged with the options; options about readers become its readers."""
    options = {name: value for name, value in given.items() if value is not None}
    about_nodes = "nodes" in options or "nodes" in entries
    reader = {
        entry: options.pop(option)
        for option, entry in READERS.items()
        if option in options and not (about_nodes and option == "every")
    }
    entries = entries | {name.replace("_", "-"): value for name, value in options.items()}
    if reader:
        if "readers" in entries:
            raise UsageError(
                "the trace names the readers; leave out --readers, --every, --reader-rate and --order"
            )
        entries["readers"] = [reader]
    return entries
