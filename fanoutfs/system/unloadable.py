"""Why a module of Python can't be loaded, and what to install."""

from fanoutfs.system.programs import install


def unloadable(error: ImportError) -> str:
    """Return the line on a module, or its library, that is missing; empty if none is."""
    text = str(error)
    if "libfuse3" in text:
        return f"libfuse can't be loaded: {text}; install it with: {install('libfuse')}; see: fanoutfs doctor"
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("fanoutfs"):
        return (
            f"the Python package {error.name} is not installed; install fanoutfs again; see: fanoutfs doctor"
        )
    return ""
