"""Pictures of real files against those that other programs drew of them (``reference/`` beside the files).

``dcmtk`` is DCMTK 3.6.7, ``dicomts`` dicom.ts in a browser, ``orthanc`` Orthanc. *file* is the file's first window, *lut* its VOI
LUT, *range* a window from the least to the largest value.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from appliance.domain.grayscale import modality_values
from appliance.domain.image import Window
from appliance.domain.views import Encoding, Region, SliceView, Viewport
from appliance.rendering.slices import drawn_plainly, planned
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory

# reference, file, window, region (x, y, width, height) or None, largest difference of 255
PICTURES = [
    ("dcmtk/lidc-080-win1", "01-volumes/ct-chest-lidc-0314-original/080.implicit-le", "file", None, 1),
    ("dcmtk/ge-tilt-014-win1", "01-volumes/ct-head-variable-tilt-ge/014", "file", None, 1),
    ("dcmtk/overlay-mr-win1-no-overlay", "11-pixel-encodings/examples_overlay", "file", None, 1),
    ("dcmtk/nonsquare-mr-win1", "11-pixel-encodings/explicit_mr_16bit_mono2_non-square_pal_icon", "file", None, 1),
    ("dcmtk/cr-modality-lut", "04-xray/CR-ModalitySequenceLUT", "range", None, 1),
    ("dcmtk/mlut_18", "11-pixel-encodings/mlut_18", "range", None, 1),
    ("dcmtk/cr-mono1-minmax", "11-pixel-encodings/gdcm-CR-MONO1-10-chest", "range", None, 1),
    ("dcmtk/signed-9bit-minmax", "11-pixel-encodings/signed-raw-9bit", "range", None, 1),
    ("dcmtk/vlut_04", "11-pixel-encodings/vlut_04", "lut", None, 1),
    ("dcmtk/dx-voilut1-clip", "04-xray/DX-C3L-00277", "lut", (700, 0, 600, 505), 1),
    ("dcmtk/dx-win1-clip", "04-xray/DX-C3L-00277", "file", (700, 0, 600, 505), 1),
    ("dcmtk/mg-sigmoid-win1-clip", "04-xray/MG-GH133", "file", (900, 1200, 600, 600), 5),
    ("dcmtk/mg-voilut1-clip", "04-xray/MG-GH133", "lut", (900, 1200, 600, 600), 5),
    ("dcmtk/us-palette", "03-ultrasound/examples_palette", "file", None, 1),
    ("dcmtk/pm5644-palette16", "06-secondary-capture/PM5644-960x540_Palette_16", "file", None, 1),
    ("dcmtk/color-pl", "03-ultrasound/color-pl", "file", None, 0),
    ("dicomts-NM1_RLE-minmax", "10-transfer-syntaxes/nema-nm1/NM1_RLE", "range", None, 1),
    ("dicomts-US-PAL-8-10x-echo", "03-ultrasound/US-PAL-8-10x-echo", "file", None, 1),
    ("orthanc-ColorTestMalaterre", "11-pixel-encodings/ColorTestMalaterre", "file", None, 0),
]


@pytest.mark.parametrize(("reference", "file", "window", "region", "tolerance"), PICTURES)
def test_pictures_agree_with_those_of_others(
    dicom_dir: Path, reference: str, file: str, window: str, region: Any, tolerance: int
) -> None:
    reader = InMemory((dicom_dir / f"{file}.dcm").read_bytes())
    image = parse(reader).image
    assert image is not None
    # DCMTK writes pixels as they are stored, not in their aspect
    image = replace(image, pixel_aspect_ratio=1.0)
    if window == "lut":
        image = replace(image, frames=tuple(replace(frame, windows=()) for frame in image.frames))
        assert image.voi_luts
    stored = decode_frame(image, 0, reader)
    asked = _range_window(modality_values(stored, image, 0)) if window == "range" else None
    viewport = Viewport(*region[2:], Region(*region)) if region else None
    view = SliceView(image.instance_uid, 0, Encoding("image/png"), asked, viewport)

    pixels = drawn_plainly(stored, image, 0, view, planned(image, view))

    expected = np.asarray(imagecodecs.png_decode((dicom_dir / "reference" / f"{reference}.png").read_bytes()))
    if expected.ndim > pixels.ndim:
        expected = expected[..., 0]
    assert pixels.shape[:2] == expected.shape[:2]
    assert np.abs(pixels.astype(int) - expected[..., : pixels.shape[-1]]).max() <= tolerance


def _range_window(values: np.ndarray) -> Window:
    low, high = float(values.min()), float(values.max())
    return Window((low + high) / 2, high - low, "linear-exact")
