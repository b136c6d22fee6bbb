"""How long a test waits for what should happen at once."""

HANG_SECONDS = 60.0
"""Only a bound on a hang: nothing takes this long, however busy the machine is, and no test is about it."""
