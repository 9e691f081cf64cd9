"""What a demonstration shows when no folder was named: real images from inside pydicom's package, and the phantom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom

from provisioning.phantom import Phantom, write_files

REAL_IMAGES = (
    "CT_small.dcm",  # CT, 128 x 128, uncompressed
    "J2K_pixelrep_mismatch.dcm",  # CT, 512 x 512, JPEG 2000
    "MR_small.dcm",  # MR, 64 x 64
    "examples_overlay.dcm",  # MR, 300 x 484
    "JPEG2000.dcm",  # nuclear medicine, 1024 x 256, JPEG 2000
    "examples_palette.dcm",  # ultrasound, 350 x 800, palette colour
    "examples_rgb_color.dcm",  # ultrasound, 240 x 320, RGB
    "examples_ybr_color.dcm",  # ultrasound, many frames, JPEG
    "examples_jpeg2k.dcm",  # ultrasound, 480 x 640, JPEG 2000
)
"""Those of pydicom's test files that are a picture worth seeing, with a patient's name or number of their own."""


def real_images() -> list[Path]:
    """The images that came with pydicom; nothing is downloaded, so those that its package leaves out are left out."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    return [folder / name for name in REAL_IMAGES if (folder / name).is_file()]


def write_phantom(folder: Path) -> Iterator[Path]:
    """Writes the phantom for a demonstration, a file a slice."""
    return write_files(DEMONSTRATED, folder)


DEMONSTRATED = Phantom()
"""300 slices of 512 x 512, from the hips to the shoulders."""
