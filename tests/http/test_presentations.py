"""Presentation states asked for at a node's doors, with a real render process below them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from tests.http.picture_doors import PictureDoors, picture_doors

IMAGE, STATE, OTHER = "imageForPrLUTs.dcm", "prLUTs.dcm", "overlay.dcm"


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path) as opened:
        yield opened


async def test_an_image_is_drawn_as_a_state_of_its_study_wishes(doors: PictureDoors, dicom_dir: Path) -> None:
    image, state = [await doors.take_in(dicom_dir / "09-documents" / name) for name in (IMAGE, STATE)]
    uid = state.rpartition("/")[2]

    plain = await doors.get(f"{image}/rendered", "image/png")
    presented = await doors.get(f"{image}/frames/1/rendered", "image/png", presentationUID=uid)
    of_state = await doors.get(f"{state}/rendered", "image/png")

    expected = np.asarray(
        imagecodecs.png_decode((dicom_dir / "reference/weasis-expected_imgForPrLUT.png").read_bytes())
    )
    expected = expected[..., 0] if expected.ndim == 3 else expected
    assert np.abs(imagecodecs.png_decode(presented.content).astype(int) - expected).max() <= 1
    assert of_state.content == presented.content != plain.content
    assert presented.headers["ETag"] != plain.headers["ETag"]


async def test_a_state_that_cannot_be_applied_is_refused_with_the_reason(doors: PictureDoors, dicom_dir: Path) -> None:
    image, state, other = [await doors.take_in(dicom_dir / "09-documents" / name) for name in (IMAGE, STATE, OTHER)]
    state_uid, image_uid = state.rpartition("/")[2], image.rpartition("/")[2]

    of_another_study = await doors.get(f"{other}/rendered", presentationUID=state_uid)
    no_state = await doors.get(f"{image}/rendered", presentationUID=image_uid)
    no_uid = await doors.get(f"{image}/rendered", presentationUID="x")
    no_frame = await doors.get(f"{image}/frames/2/rendered", presentationUID=state_uid)

    statuses = [answer.status_code for answer in (of_another_study, no_state, no_uid, no_frame)]
    assert statuses == [404, 422, 400, 404]
    assert "no grayscale softcopy presentation state" in no_state.text
