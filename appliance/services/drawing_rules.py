"""Which rules pictures are drawn by: another version wherever the same view of the same bytes may be another picture.

It is part of what pictures are kept under, on the disk, in browsers and in their addresses, so that none that an older program
drew is met again. It is found from the program itself, since a number that somebody has to raise is forgotten.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from appliance import domain, rendering, services, storage

_LIBRARIES = ("numpy", "pyvips", "pyvips-binary", "imagecodecs", "av")
_SUFFIXES = frozenset({".py", ".glsl", ".json"})
_LETTERS = 16


def _rules() -> str:
    digest = hashlib.sha256(" ".join(version(name) for name in _LIBRARIES).encode())
    for file in _files():
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:_LETTERS]


def _files() -> list[Path]:
    """All that has a say in what a picture shows; what decides of bytes only, or of who may look, has none."""
    packages = [Path(package.__path__[0]) for package in (domain, rendering)]
    files = [file for package in packages for file in sorted(package.rglob("*")) if file.suffix in _SUFFIXES]
    decoding = [Path(storage.__path__[0]) / name for name in ("decoding.py", "image_module.py", "video.py")]
    drawing = [
        Path(services.__path__[0]) / name for name in ("loaded_volumes.py", "render_process.py", "volume_slices.py")
    ]
    return [*files, *decoding, *drawing]


DRAWING_RULES = _rules()
"""In hexadecimal."""
