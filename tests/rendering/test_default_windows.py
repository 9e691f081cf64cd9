"""Real files of which the window was taken away: what is in them must be seen all the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.domain.identifiers import InstanceUid
from appliance.domain.views import Encoding, SliceView
from appliance.rendering.slices import drawn_plainly, planned
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import image_of, read_header
from appliance.storage.stream import InMemory

# file, largest part of the picture that may be black and white: that of its empty background, as looked at
FILES = [
    ("04-xray/RG3_J2KR", 0.02, 0.45),  # CR, a leg: the air of MONOCHROME1 and the label are the rest
    ("04-xray/CR-ModalitySequenceLUT", 0.5, 0.02),
    ("04-xray/MG-GH133", 0.7, 0.02),
    ("04-xray/DX-C3L-00277", 0.02, 0.02),
    ("04-xray/DX-highdicom", 0.02, 0.02),
    ("04-xray/XA-rubo-96f", 0.25, 0.02),
    ("04-xray/XA-private-sequence", 0.25, 0.02),
    ("04-xray/RF-KarstenHilbert", 0.2, 0.15),
    ("11-pixel-encodings/gdcm-CR-MONO1-10-chest", 0.02, 0.02),
    ("05-nuclear/PET-acrin-1", 0.75, 0.02),
    ("05-nuclear/PET-GH610-tiny-slope", 0.25, 0.02),
    ("01-volumes/pet-qin-headneck-0024/150", 0.4, 0.02),
    ("05-nuclear/NM-MONO2-16-13x-heart", 0.6, 0.02),
    ("03-ultrasound/GREYSCALE_IMAGE", 0.65, 0.02),
    ("02-enhanced-multiframe/BRMULTI", 0.02, 0.02),
    ("10-transfer-syntaxes/nema-ct1/CT1_UNC.explicit-le", 0.55, 0.05),
]


@pytest.mark.parametrize(("file", "black", "white"), FILES)
def test_a_picture_without_a_window_is_neither_black_nor_white(
    dicom_dir: Path, file: str, black: float, white: float
) -> None:
    reader = InMemory((dicom_dir / f"{file}.dcm").read_bytes())
    image = image_of(read_header(reader), InstanceUid("1.2"), "1.2")
    frames = tuple(replace(frame, windows=()) for frame in image.frames)
    image = replace(image, frames=frames, voi_luts=(), pixel_aspect_ratio=1.0)
    view = SliceView(image.instance_uid, 0, Encoding("image/png"))

    pixels = drawn_plainly(decode_frame(image, 0, reader), image, 0, view, planned(image, view))

    assert np.mean(pixels == 0) <= black
    assert np.mean(pixels == 255) <= white
    assert len(np.unique(pixels)) > 40
