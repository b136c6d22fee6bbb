"""The features that need more than Linux and Python, and what each of them needs: one table. No I/O."""

import attrs

from fanoutfs.only.file_systems import FILE_SYSTEMS

PLUGINS = {
    "nbdkit's ssh plugin": ("ssh", "--dump-plugin"),
    "nbdkit's curl plugin": ("curl", "--dump-plugin"),
}
"""The plugins of nbdkit that read sources, with the arguments that make it load one."""

FILTERS = {
    f"nbdkit's {name} filter": (f"--filter={name}", "null", "--dump-plugin")
    for name in ("multi-conn", "exportname", "extentlist")
}
"""The filters of nbdkit that export an image."""


@attrs.frozen
class Feature:
    """Something that can be done where all of these are there."""

    name: str
    needs: tuple[str, ...]
    each: bool = False
    """Each of these adds something: without one of them, the others still work."""
    extra: str = ""
    """What pip installs it with, if it consists of modules of Python."""


_QUESTIONS = tuple(dict.fromkeys(one.question.argv[0] for one in FILE_SYSTEMS.values() if one.question))
_PARTCLONES = tuple(dict.fromkeys(one.partclone for one in FILE_SYSTEMS.values()))

FEATURES = (
    Feature("images in a format, such as qcow2", ("nbdfuse", "qemu-nbd")),
    Feature("compressed images", ("xz", "gzip", "zstd", "bzip2", "lz4", "unzip"), each=True),
    Feature("--only used", ("sfdisk", "blkid", "partclone")),
    Feature("--only used, by file system", (*_PARTCLONES, *_QUESTIONS), each=True),
    Feature("nbd:// sources", ("nbdfuse", "nbdinfo")),
    Feature("ssh:// sources", ("nbdfuse", "nbdkit", "nbdkit's ssh plugin")),
    Feature("https:// sources", ("nbdfuse", "nbdkit", "nbdkit's curl plugin")),
    Feature("compressed images there", ("ssh", "curl"), each=True),
    Feature("mount --export", ("nbdkit", *FILTERS)),
    Feature(
        "mount --listen", ("hypercorn", "starlette", "prometheus_client"),
        extra="fanoutfs[service]",
    ),
    Feature("simulate --picture", ("matplotlib",), extra="fanoutfs[plot]"),
)  # fmt: skip

MODULES = frozenset(need for feature in FEATURES if feature.extra for need in feature.needs)

PROGRAMS = {
    "lsblk": "lsblk",
    **{
        need: "partclone.restore" if need == "partclone" else need
        for feature in FEATURES
        for need in feature.needs
        if need not in {*MODULES, *PLUGINS, *FILTERS}
    },
}
"""What is looked for in PATH, by the name that it is needed by."""


def package_of(need: str) -> str:
    """Return the name by which ``system/programs.py`` knows the packages of what a feature needs."""
    if need.startswith("partclone."):
        return "partclone"
    return "nbdkit" if need in FILTERS else need
