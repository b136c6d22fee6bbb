"""What it means that a source has changed since it was opened. No I/O, no clock.

- A different file or disk at its path, or more bytes than it had: nothing is read any more. What was read
  before belongs to one image, and what would be read now to a different one.
- Fewer bytes: what was cut off can't be read, so no copy gets done. What is left is as it was.
- A file that was written to: a warning. Many programs touch a file without changing what matters. With
  ``--strict-source`` nothing is read any more.
"""

import attrs


@attrs.frozen
class Stamp:
    """A source at one moment."""

    size: int
    """Bytes."""
    modified: int = 0
    """When a file was written to, in nanoseconds; 0 for a disk, which has no such time."""


@attrs.define(eq=False)
class ChangeWatch:
    """The changes of one source."""

    _first: Stamp
    strict: bool = False
    """Whether a source that was written to may not be read on."""
    was_written: bool = attrs.field(default=False, init=False)
    """A file was written to since it was opened, and its size told nobody. It stays."""
    _had_other_size: bool = attrs.field(default=False, init=False)
    _ended: str = attrs.field(default="", init=False)
    """Why nothing may be read for good."""

    def look(self, now: Stamp, *, replaced: bool = False) -> str:
        """Compare with what the source is now; return why nothing may be read, empty if it may.

        ``replaced``: its path names a different file or disk.
        """
        self._had_other_size |= now.size != self._first.size
        if now.modified != self._first.modified and not self._had_other_size:
            self.was_written = True
        if replaced:
            self._ended = "the source was replaced: a different file or disk is at its path"
        elif self.strict and now.modified != self._first.modified and not self._ended:
            self._ended = "the source was written to since it was opened"
        if not self._ended and now.size > self._first.size:
            return f"the source has grown from {self._first.size} to {now.size} bytes since it was opened"
        return self._ended
