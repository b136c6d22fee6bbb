"""Mount options for libfuse: only tested ones, because libfuse does not report what it refuses."""

from fanoutfs.errors import UsageError
from fanoutfs.settings import MountSettings

ALLOWED = ("ro", "nosuid", "nodev", "noexec", "noatime", "default_permissions", "allow_other")

ALWAYS = ("ro", "nosuid", "nodev", "default_permissions", "subtype=fanoutfs")


def mount_options(settings: MountSettings, source: str) -> set[str]:
    """Return the options for ``pyfuse3.init``. Raise UsageError for one that is not in ALLOWED."""
    options = set(ALWAYS)
    for option in settings.options:
        if option not in ALLOWED:
            raise UsageError(f"-o {option} is not supported; supported options: {', '.join(ALLOWED)}")
        options.add(option)
    if settings.allow_other:
        options.add("allow_other")
    # pyfuse3 takes ASCII alone, libfuse splits at commas.
    name = source.replace("\\", "\\\\").replace(",", "\\,") if source.isascii() else "fanoutfs"
    options.add(f"fsname={name}")
    return options
