"""`fanoutfs simulate`: options in, a table out. What it needs is imported when it runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanoutfs.errors import UsageError

if TYPE_CHECKING:
    from fanoutfs.simulate.scenario import Scenario

BLOCKS_PER_MINUTE = 600_000
"""How many blocks the model takes (``grain.least_work``): 0.1 ms for each, where others compute, too."""

MOST_MINUTES = 30
"""A command whose scenarios together take longer is refused."""

READERS = {"readers": "count", "every": "every", "reader_rate": "rate", "order": "order"}
"""The options that describe readers, and what each is called in an entry of a trace's readers."""


@click.command("simulate")
@click.argument("trace", required=False, type=click.Path(path_type=Path), metavar="[TRACE.yaml]")
@click.option("--size", metavar="SIZE", help="Of the image.")
@click.option("--ring", metavar="SIZE[,SIZE...]", help="Of the ring; several give a row each.")
@click.option(
    "--block", metavar="SIZE", help="What is read and kept at a time [1M, or what can be modelled]."
)
@click.option("--source-rate", metavar="SIZE", help="Bytes per second of the source [100M].")
@click.option(
    "--seek-time", metavar="TIME", help="Cost of each read that does not adjoin the one before [0]."
)
@click.option("--readers", metavar="COUNT", help="How many come [1].")
@click.option(
    "--every", metavar="TIME", help="From one to the next, as 90, 5m or 2h [0]; of nodes, if there are any."
)
@click.option("--reader-rate", metavar="SIZE", help="Bytes per second that each can take [unlimited].")
@click.option("--order", metavar="image|carousel", help="Which file they read [image].")
@click.option("--nodes", metavar="COUNT", help="Other machines that the image goes to.")
@click.option("--shape", metavar="chain|tree:4|star[,...]",
              help="Who is fed by whom; several give a row each [star].")  # fmt: skip
@click.option("--link-rate", metavar="RATE", help="What a network card receives, and what it sends: 10Gbit.")
@click.option("--source-link-rate", metavar="RATE",
              help="What the card of the machine with the source sends [--link-rate].")  # fmt: skip
@click.option("--latency", metavar="TIME", help="Of a link, one way: 0.1ms [0].")
@click.option("--node-rate", metavar="RATE",
              help="What a node's processors receive, and what they pass on [unlimited].")  # fmt: skip
@click.option("--target-rate", metavar="RATE", help="Of a node's disk [unlimited].")
@click.option("--pace", metavar="strict|free", help="As for mount [strict].")
@click.option("--turn", metavar="TIME", help="As for mount [2].")
@click.option("--patience", metavar="TIME", help="As for mount [10].")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE.svg|FILE.png",
              help="Draw who was where when, for a single ring; of nodes: how many had all.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Everything, each reader by itself.")
def simulate_command(trace: Path | None, picture: Path | None, *, as_json: bool, **given: str | None) -> None:
    """Say what a mount would do: how often the source is read, who waits, and for how long.

    With nodes: when they have the image, if each reads what the one before it shows.

    A star or a tree that begins together takes seconds to simulate, however large it is. Each node of a
    chain, and each that joins later than others, is simulated by itself: 100 take about half a minute,
    1,000 some minutes. Several shapes and rings take the sum of what each takes. A command that would take
    more than half an hour in all is refused.
    """
    from fanoutfs.simulate.model import simulate  # noqa: PLC0415 (only where it is needed)
    from fanoutfs.simulate.report import document, table  # noqa: PLC0415
    from fanoutfs.simulate.trace import load, scenarios  # noqa: PLC0415

    entries = _entries({} if trace is None else load(trace), given)
    found = scenarios(entries)
    if found[0].nodes:
        _spread(found, picture, as_json=as_json)
        return
    if picture is not None and len(found) > 1:
        raise UsageError("--picture: name a single ring for it")
    if picture is not None:
        from fanoutfs.simulate.plot import draw, ready  # noqa: PLC0415

        ready(picture)
    _announce_time(found)
    outcomes = [simulate(scenario, record=picture is not None) for scenario in found]
    if picture is not None:
        draw(outcomes[0], picture)
    click.echo(json.dumps(document(outcomes), indent=1) if as_json else table(outcomes))


def _announce_time(found: list["Scenario"]) -> None:
    """Write how long the model takes for all scenarios together, where that is a minute or more.

    Raises UsageError where it is more than ``MOST_MINUTES``.
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


def _spread(found: list["Scenario"], picture: Path | None, *, as_json: bool) -> None:
    from fanoutfs.simulate.network.network_report import document, table  # noqa: PLC0415 (only where it is needed)
    from fanoutfs.simulate.network.relay import spread  # noqa: PLC0415

    if picture is not None:
        from fanoutfs.simulate.plot import ready  # noqa: PLC0415

        ready(picture)
    _announce_time(found)
    outcomes = [spread(scenario) for scenario in found]
    if picture is not None:
        # Only now: that there is matplotlib, picture.py has found.
        from fanoutfs.simulate.network.network_plot import draw  # noqa: PLC0415

        draw(outcomes, picture)
    click.echo(json.dumps(document(outcomes), indent=1) if as_json else table(outcomes))


def _entries(entries: dict[str, Any], given: dict[str, str | None]) -> dict[str, Any]:
    """Give a trace's entries with the options in their place; those on readers make a trace's readers."""
    said = {name: value for name, value in given.items() if value is not None}
    about_nodes = "nodes" in said or "nodes" in entries
    reader = {
        entry: said.pop(option)
        for option, entry in READERS.items()
        if option in said and not (about_nodes and option == "every")
    }
    entries = entries | {name.replace("_", "-"): value for name, value in said.items()}
    if reader:
        if "readers" in entries:
            raise UsageError(
                "the trace says who reads; leave out --readers, --every, --reader-rate and --order"
            )
        entries["readers"] = [reader]
    return entries
