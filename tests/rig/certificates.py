"""A self-signed certificate, which is also its own CA."""

import subprocess
from pathlib import Path

COMMAND = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def make_certificate(cert: Path, key: Path, name: str = "localhost") -> None:
    """Write a certificate for the host ``name``, valid for two days, and its key."""
    named = ("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    subprocess.run([*COMMAND, *named, "-keyout", key, "-out", cert], check=True, capture_output=True)
