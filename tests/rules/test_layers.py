"""The rooms of the code: their imports, compared with the table in docs/contributing.md."""

import ast
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "fanoutfs"
ALL = "all above"


def table() -> dict[str, set[str]]:
    """Return for each room of the table, in its order, the rooms that it may import."""
    rooms: dict[str, set[str]] = {}
    for line in (CHECKOUT / "docs" / "contributing.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            allowed = cells[2]
            room = cells[0].strip("`").removesuffix("/")
            if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists():
                rooms[room] = set(rooms) if allowed == ALL else set(allowed.replace(",", " ").split())
    return rooms


@cache
def imports() -> dict[str, set[str]]:
    """Return for each module, by its dotted name, the modules of fanoutfs that it imports anywhere."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = set[str]()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fanoutfs"):
                named = [f"{node.module}.{alias.name}" for alias in node.names]
                found[name] |= {
                    one if (CHECKOUT / one.replace(".", "/")).with_suffix(".py").exists() else node.module
                    for one in named
                }
    return found


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


ROOMS = table()


def test_every_room_is_in_the_table() -> None:
    """The table names each package and module of the top, and nothing else."""
    there = {room_of(name) for name in imports() if name not in ("fanoutfs", "fanoutfs.__main__")}
    assert there == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    """Imports inside functions count, too."""
    modules = imports()
    used = {room_of(one) for name in modules if room_of(name) == room for one in modules[name]}
    assert set() == used - ROOMS[room] - {room}


def test_no_room_imports_one_below_it_in_the_table() -> None:
    """The table is an order, so rooms have no import circle."""
    order = list(ROOMS)
    assert set() == {(room, one) for room in order for one in ROOMS[room] & set(order[order.index(room) :])}


def test_no_module_imports_itself_in_a_circle() -> None:
    """Modules have an order within a room, too."""
    left = {name: used - {name} for name, used in imports().items()}
    while ready := [name for name, used in left.items() if not used & left.keys()]:
        for name in ready:
            del left[name]
    assert {} == left
