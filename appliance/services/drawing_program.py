"""The program that draws, as a part of the names of what it leaves on the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from appliance import domain, rendering


def _program() -> bytes:
    """Another one for each program that draws: pictures from before a mended shader are not met again."""
    digest = hashlib.sha256()
    for package in (domain, rendering):
        for file in sorted(Path(package.__path__[0]).rglob("*")):
            if file.suffix in {".py", ".glsl"}:
                digest.update(file.read_bytes())
    return digest.digest()


PROGRAM = _program()
