"""What has been counted since the mount began."""

import attrs


@attrs.define(eq=False)
class Statistics:
    """Counters of the source; written by the producer's thread, one read at a time."""

    bytes_read: int = 0
    reads: int = 0
    errors: int = 0
