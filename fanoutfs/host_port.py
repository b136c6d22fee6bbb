"""``HOST``, ``HOST:PORT``, and ``[ADDRESS]:PORT`` for IPv6, as text and as values. No I/O."""

import re

_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@,]+))(?::(\d{1,5}))?", re.ASCII)


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Return the host, without brackets, and the port, or None for the port.

    Raises ValueError, whose text continues a sentence that begins with what was parsed.
    """
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise ValueError("names no host; write HOST, HOST:PORT, or [ADDRESS]:PORT for IPv6")
    port = None if found[3] is None else int(found[3])
    if port is not None and not 0 < port < 65536:  # noqa: PLR2004 (ports)
        raise ValueError(f"has the invalid port {port}; ports are 1 to 65535")
    return found[1] or found[2], port


def format_host_port(host: str, port: int | None = None) -> str:
    """Return the text that ``parse_host_port`` reads."""
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"
