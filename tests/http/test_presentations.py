"""Presentation states asked for at a node's doors, with a real render process below them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, GrayscaleSoftcopyPresentationStateStorage, generate_uid

from tests.http.picture_doors import PictureDoors, picture_doors
from tests.rendering.test_films import seen
from tests.services.node_parts import encoded

IMAGE, STATE, OTHER = "imageForPrLUTs.dcm", "prLUTs.dcm", "overlay.dcm"
CINE = "04-xray/XA-rubo-96f.dcm"


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


async def test_a_film_is_drawn_as_a_state_wishes_each_of_its_frames(doors: PictureDoors, dicom_dir: Path) -> None:
    cine = await doors.take_in(dicom_dir / CINE)
    state = state_about(dicom_dir / CINE, frames=[1, 2, 3])
    state.ImageRotation, state.ImageHorizontalFlip = 90, "N"
    state.SoftcopyVOILUTSequence = [window_of(120, 240, state, frames=[1, 2]), window_of(60, 30, state, frames=[3])]
    await doors.parts.put(encoded(state))
    query = {"presentationUID": state.SOPInstanceUID, "viewport": "128,128"}

    film = await doors.get(f"{cine}/frames/1,2,3/rendered", "image/webp", quality="100", **query)

    assert (film.status_code, film.headers["content-type"]) == (200, "image/webp")
    shown, _ = seen(film.content, "image/webp")
    for number, frame in enumerate(shown, 1):
        alone = await doors.get(f"{cine}/frames/{number}/rendered", "image/png", **query)
        assert np.array_equal(frame[..., 0], imagecodecs.png_decode(alone.content))


async def test_a_film_whose_frames_would_differ_in_size_is_refused_by_name(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    cine = await doors.take_in(dicom_dir / CINE)
    state = state_about(dicom_dir / CINE, frames=[1, 2])
    state.DisplayedAreaSelectionSequence = [area_of(100, 100, state, [1]), area_of(50, 100, state, [2])]
    await doors.parts.put(encoded(state))

    film = await doors.get(f"{cine}/frames/1,2/rendered", "image/gif", presentationUID=state.SOPInstanceUID)

    assert (film.status_code, film.json()["type"]) == (422, "film-of-several-sizes")


def state_about(file: Path, frames: list[int]) -> Dataset:
    """A grayscale softcopy presentation state (PS3.3 A.33.1) about some frames of an image."""
    image, state = dcmread(file, stop_before_pixels=True), Dataset()
    state.file_meta = FileMetaDataset()
    state.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    state.SOPClassUID = state.file_meta.MediaStorageSOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    state.SOPInstanceUID = state.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    state.StudyInstanceUID, state.SeriesInstanceUID, state.Modality = image.StudyInstanceUID, generate_uid(), "PR"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate"):
        setattr(state, keyword, image.get(keyword, ""))
    series, one = Dataset(), Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    one.ReferencedFrameNumber = frames
    series.SeriesInstanceUID, series.ReferencedImageSequence = image.SeriesInstanceUID, [one]
    state.ReferencedSeriesSequence = [series]
    return state


def window_of(center: int, width: int, state: Dataset, frames: list[int]) -> Dataset:
    """An item of the Softcopy VOI LUT Sequence (C.11.8)."""
    item = about(state, frames)
    item.WindowCenter, item.WindowWidth = center, width
    return item


def area_of(columns: int, rows: int, state: Dataset, frames: list[int]) -> Dataset:
    """An item of the Displayed Area Selection Sequence (C.10.4)."""
    item = about(state, frames)
    item.DisplayedAreaTopLeftHandCorner, item.DisplayedAreaBottomRightHandCorner = [1, 1], [columns, rows]
    item.PresentationSizeMode, item.PresentationPixelAspectRatio = "SCALE TO FIT", [1, 1]
    return item


def about(state: Dataset, frames: list[int]) -> Dataset:
    item, one = Dataset(), Dataset()
    of_state = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = (
        of_state.ReferencedSOPClassUID,
        of_state.ReferencedSOPInstanceUID,
    )
    one.ReferencedFrameNumber = frames
    item.ReferencedImageSequence = [one]
    return item


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
