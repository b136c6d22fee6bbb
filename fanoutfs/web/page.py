"""The files of the page, read once, and the headers that isolate it from other sites."""

from importlib.resources import files

import attrs

HEADERS = (
    # Nothing from other sites, no inline script or style, no frame around it, no form to other sites.
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""On every answer."""

MESSAGE = b"<!-- message -->"
"""The place in the login form for a message."""


@attrs.frozen
class StaticFile:
    """A file of the page."""

    content: bytes
    media_type: str


@attrs.frozen
class Page:
    """The page in memory: no request opens a file."""

    monitor: bytes
    login: bytes
    files: dict[str, StaticFile]
    """By name. They are public: the login form needs them."""

    @classmethod
    def read(cls) -> "Page":
        """Read it from the package."""
        folder = files("fanoutfs.web") / "files"
        kinds = {
            "monitor.css": "text/css",
            "monitor.js": "text/javascript",
            "circle.js": "text/javascript",
            "icon.svg": "image/svg+xml",
        }
        return cls(
            monitor=(folder / "monitor.html").read_bytes(),
            login=(folder / "login.html").read_bytes(),
            files={name: StaticFile((folder / name).read_bytes(), kind) for name, kind in kinds.items()},
        )

    def login_with(self, message: bytes) -> bytes:
        """Return the login form with a message."""
        return self.login.replace(MESSAGE, message)
