"""What has been counted since the mount began."""

import attrs


@attrs.define(eq=False)
class Counters:
    """Counters of the source, written by the producer, one read at a time; the engine adds readers."""

    bytes_read: int = 0
    reads: int = 0
    errors: int = 0
    changed: int = 0
    """Blocks whose content differed when they were read a second time. Counted only while a digest
    follower is connected."""
    written: bool = False
    """The source, a file, was written to since it was opened."""
    trouble: str = ""
    """The system's message for the last failed read of the source."""
    reading: float = 0.0
    """Seconds that reads of the source took, without pauses."""
    making: float = 0.0
    """Seconds spent on allocating memory for the ring, before these reads."""
    made: int = 0
    """Bytes of memory allocated."""
    delivered_before: int = 0
    """Bytes read by consumers that have left. A mount counts its own readers."""
    seconds: float = 0.0
    """Time that the source took, with the pauses that ``--read-rate`` asks for."""

    @property
    def rate(self) -> float:
        """Bytes per second while the source is read; 0 before it was."""
        return self.bytes_read / self.seconds if self.seconds > 0 else 0.0

    @property
    def memory_is_expensive(self) -> bool:
        """Whether allocating memory takes longer than reading as many bytes of the source."""
        return self.making * self.bytes_read > self.reading * self.made > 0
