"""What the limits of cgroups and of this process leave."""

import resource
import sys
from pathlib import Path

import pytest

from fanoutfs.system.cgroups import V1, V2, Cgroup, Hierarchy, cgroup_rooms
from fanoutfs.units import MIB
from tests.rig.commands import run

MAX_V1 = 9223372036854771712
"""What version 1 has for no limit."""


@pytest.mark.parametrize(
    ("hierarchy", "files", "rooms"),
    [
        (V1, {"memory.limit_in_bytes": 100, "memory.usage_in_bytes": 30}, [70]),
        (V1, {"memory.limit_in_bytes": MAX_V1, "memory.usage_in_bytes": 30}, [MAX_V1 - 30]),
        (
            V1,
            {
                "memory.limit_in_bytes": 100,
                "memory.usage_in_bytes": 90,
                "memory.stat": "cache 80\ntotal_inactive_file 20\ntotal_active_file 5",
            },
            [35],
        ),
        (V2, {"memory.max": 100, "memory.high": 90, "memory.current": 30}, [70, 60]),
        (V2, {"memory.max": "max", "memory.high": "max", "memory.current": 30}, []),
        (
            V2,
            {
                "memory.max": 100,
                "memory.current": 90,
                "memory.stat": "anon 10\nshmem 60\ninactive_file 20\nactive_file 5",
            },
            [35],
        ),
        (V2, {"memory.max": 100, "memory.current": 130}, [0]),
        (V2, {"memory.max": 100}, [100]),
        (V2, {}, []),
    ],
    ids=[
        "limit",
        "no limit",
        "page cache",
        "two limits",
        "none of two",
        "shared memory",
        "exceeded",
        "only a limit",
        "no files",
    ],
)
def test_what_a_cgroup_leaves(
    tmp_path: Path, hierarchy: Hierarchy, files: dict[str, object], rooms: list[int]
) -> None:
    """Its limits less what is charged; the page cache is given up, shared memory is not."""
    for name, value in files.items():
        (tmp_path / name).write_text(f"{value}\n")
    found = list(cgroup_rooms([Cgroup(str(tmp_path), hierarchy)]))

    assert [room.size for room in found] == rooms
    assert all(room.limit.startswith(f"{tmp_path}/memory.") for room in found)


@pytest.mark.parametrize(
    ("limit", "option"),
    [("RLIMIT_AS", "-v"), ("RLIMIT_DATA", "-d"), ("RLIMIT_FSIZE", "-f")],
)
def test_limits_of_the_process_count(limit: str, option: str) -> None:
    """Its address space, its data, and its files, of which shared memory is one."""
    number = getattr(resource, limit)
    script = (
        "import resource\n"
        "from fanoutfs.system.memory_room import memory_room\n"
        f"resource.setrlimit({number}, ({400 * MIB}, {400 * MIB}))\n"
        "room = memory_room()\n"
        f"assert 0 < room.size <= {400 * MIB}, room\n"
        "print(room.limit)\n"
    )
    done = run(sys.executable, "-c", script)

    assert f"(ulimit {option})" in done.stdout.decode()
