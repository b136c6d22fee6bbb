"""Whether a command can join a producer that reads a part of the source, or all of it. No I/O.

A copy of all that got a part would be no copy; a copy of a part that got all would write what the user wants
to keep.
"""


def refusal(path: str, read: str, wanted: str) -> str | None:
    """Return why a producer of ``path`` can't be joined, or None; parts as ``SourceSettings.part``."""
    if read == wanted:
        return None
    what = f"a part of it alone (--only {read})" if read else "all of it"
    same = f"use --only {read}" if read else "copy all of it"
    return f"the source {path} is being read already, {what}; wait until that has ended, or {same}"
