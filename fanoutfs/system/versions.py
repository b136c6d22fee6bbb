"""The versions of what fanoutfs works with; nothing of it is imported, which would take a while."""

import ctypes
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

UNKNOWN = "of unknown version"
MISSING = "not installed"


def versions() -> str:
    """Return a line with the versions of pyfuse3, libfuse, Python and the kernel."""
    return (
        f"pyfuse3 {package_version('pyfuse3')}, libfuse {libfuse_version()}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    )


def package_version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN if find_spec(package) else MISSING


def libfuse_version() -> str:
    """Return the version of the libfuse that pyfuse3 is linked with, or why that is not known."""
    spec = find_spec("pyfuse3")
    if spec is None or spec.origin is None:
        return UNKNOWN
    try:
        # Its symbols are looked for in the libraries that it needs, too.
        library = ctypes.CDLL(spec.origin)
        library.fuse_pkgversion.restype = ctypes.c_char_p
        return str(library.fuse_pkgversion().decode())
    except OSError:
        # The library is missing, or a different one than at the installation.
        return MISSING
    except AttributeError:
        return UNKNOWN
