"""The benchmark of truth judges as it says it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.rendering.renderer import Renderer
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory
from benchmarks import truth


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    opened = Renderer()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("name", "kind", "note"),
    [
        ("11-pixel-encodings/SC_rgb_rle.dcm", "equal", ""),
        ("10-transfer-syntaxes/nema-ct1/CT1_RLE.dcm", "within 1", ""),
        ("10-transfer-syntaxes/nema-ct1/CT1_J2KR.dcm", "within 1", "DCMTK refuses; transcoded"),
        ("05-nuclear/PET-GH610-tiny-slope.dcm", "explained", "DCMTK rounds rescaled values"),
        ("15-hostile/TC0295_rows_zero.dcm", "refused", "Rows is 0"),
        ("15-hostile/TC0277_missing_delim.dcm", "not compared", "nobody else reads it"),
    ],
)
def test_files_are_judged_by_what_others_make_of_them(
    dicom_dir: Path, renderer: Renderer, name: str, kind: str, note: str
) -> None:
    verdict = truth._judged(dicom_dir, name, renderer, frames=1)

    assert verdict.kind == kind
    assert note in verdict.note


def test_a_picture_that_is_wrong_is_unexplained(dicom_dir: Path, renderer: Renderer) -> None:
    path = dicom_dir / "05-nuclear/PET-GH610-tiny-slope.dcm"
    reader = InMemory(path.read_bytes())
    image = parse(reader).image
    assert image is not None
    ours = truth._drawn(path, replace(image, pixel_aspect_ratio=1.0), 0, reader)

    verdict = truth._frame_judged(replace(ours, pixels=np.roll(ours.pixels, 1, axis=0)), renderer)

    assert verdict.kind == "unexplained"
    assert verdict.opengl > 1
