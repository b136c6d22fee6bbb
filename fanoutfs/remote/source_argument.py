"""Sources for tests that are named by a prefix: ``pattern:SIZE`` and ``faulty:RECIPE:SOURCE``. No I/O."""

from fanoutfs.remote.address import is_url
from fanoutfs.source import pattern, recipe
from fanoutfs.source.formats import split_prefix
from fanoutfs.source.pipe_source import STDIN


def is_made(argument: str) -> bool:
    """Return whether an argument has such a prefix; ``./NAME`` names a file with such a name."""
    return argument.startswith((pattern.PREFIX, recipe.PREFIX))


def local_path(argument: str) -> str | None:
    """Return the path of the disk or file that an argument names; None if it names none on this computer."""
    while argument.startswith(recipe.PREFIX):
        _, argument = recipe.split_faulty(argument)
    _, argument = split_prefix(argument)
    return None if argument == STDIN or is_url(argument) or is_made(argument) else argument
