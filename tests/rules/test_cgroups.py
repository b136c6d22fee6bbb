"""The cgroups that account a process's memory, from the kernel's tables."""

import pytest

from fanoutfs.system.cgroups import V1, V2, Cgroup, Hierarchy, memory_cgroups
from fanoutfs.system.mountinfo import Mount

HERE = b"5:cpu,cpuacct:/other\n4:memory:/box/job\n1:name=systemd:/box\n0::/box.slice/job.scope\n"


def mounted(hierarchy: Hierarchy, point: str, root: str = "/") -> Mount:
    kind, options = ("cgroup2", ("rw",)) if hierarchy is V2 else ("cgroup", ("rw", "memory"))
    return Mount(2, 1, 0, 33, point, kind, "cgroup", options, root=root)


CPU = Mount(2, 1, 0, 31, "/sys/fs/cgroup/cpu", "cgroup", "cgroup", ("rw", "cpu", "cpuacct"))


@pytest.mark.parametrize(
    ("cgroup", "mount", "folders"),
    [
        (HERE, mounted(V1, "/cg/memory"), ["/cg/memory/box/job", "/cg/memory/box", "/cg/memory"]),
        (HERE, mounted(V2, "/cg"), ["/cg/box.slice/job.scope", "/cg/box.slice", "/cg"]),
        (HERE, mounted(V1, "/cg/memory", root="/box"), ["/cg/memory/job", "/cg/memory"]),
        (HERE, mounted(V1, "/cg/memory", root="/box/job"), ["/cg/memory"]),
        (HERE, mounted(V1, "/cg/memory", root="/elsewhere"), ["/cg/memory"]),
        (b"0::/../../other\n", mounted(V2, "/cg"), ["/cg"]),
        (b"0::/a:b c\n", mounted(V2, "/c g"), ["/c g/a:b c", "/c g"]),
        (b"4:memory:/\n", mounted(V2, "/cg"), []),
        (HERE, CPU, []),
        (b"", mounted(V1, "/cg/memory"), []),
    ],
    ids=[
        "version 1",
        "version 2",
        "a part is mounted",
        "its own is mounted",
        "the mount does not show it",
        "outside of its namespace",
        "odd names",
        "memory is not in version 2",
        "other controllers",
        "no cgroups",
    ],
)
def test_its_own_and_those_above_it_count(cgroup: bytes, mount: Mount, folders: list[str]) -> None:
    """They are below the mount point of the hierarchy that has the memory controller."""
    assert [one.folder for one in memory_cgroups(cgroup, [mount])] == folders


def test_both_versions_are_read() -> None:
    """Memory is in one of them, and the other has no such files."""
    found = memory_cgroups(b"1:memory:/\n0::/\n", [mounted(V1, "/cg/memory"), mounted(V2, "/cg/unified")])

    assert [Cgroup("/cg/memory", V1), Cgroup("/cg/unified", V2)] == found
