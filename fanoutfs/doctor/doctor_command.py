"""The command ``fanoutfs doctor``: what works on this machine, and what to do about the rest."""

import json
from typing import TYPE_CHECKING

import click

from fanoutfs.options import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanoutfs.doctor.diagnosis import Finding


@click.command("doctor", epilog=examples("fanoutfs doctor", "fanoutfs doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def doctor_command(*, as_json: bool) -> int:
    """Show what works on this machine, and what to do about the rest.

    For each feature there is a line: "works", "less" (it works, but a part of it does not, or slowly), or
    "lacks", with what is lacking and the command that installs it. The exit code is 0 if mounts and copies
    work, else 1. Nothing is installed or changed.
    """
    from fanoutfs.doctor.diagnosis import findings, works  # noqa: PLC0415 (only for this command)
    from fanoutfs.doctor.machine_facts import look  # noqa: PLC0415
    from fanoutfs.system.versions import versions  # noqa: PLC0415

    found = findings(look())
    good = works(found)
    if as_json:
        plain = [{**_plain(one), "state": one.state.value} for one in found]
        click.echo(json.dumps({"works": good, "versions": versions(), "features": plain}, indent=1))
    else:
        click.echo("\n".join([*lines(found), versions()]))
        click.echo(f"fanoutfs: mounts and copies {'work' if good else 'do not both work'} here")
    return 0 if good else 1


def _plain(one: "Finding") -> dict[str, object]:
    return {"feature": one.feature, "text": one.text, "remedy": one.remedy}


def lines(found: "Sequence[Finding]") -> list[str]:
    """Return the table; a remedy stands below what it is for."""
    width = max(len(one.feature) for one in found)
    table = []
    for one in found:
        table.append(f"{one.feature:{width}}  {one.state.value:5}  {one.text}".rstrip())
        if one.remedy:
            table.append(f"{'':{width}}         {one.remedy}")
    return table
