"""Volumetric presentation states as targets of ``renderedmpr`` and ``rendered3d`` (PS3.18 B.35), over real images."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import pytest_asyncio
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from tests.http.picture_doors import PictureDoors, numbers, picture_doors, series_of, told
from tests.http.test_volume_pictures import MR

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLANE = "1.2.840.10008.5.1.4.1.1.11.6"
COMPOSITING_PLANE = "1.2.840.10008.5.1.4.1.1.11.7"
VOLUME = "1.2.840.10008.5.1.4.1.1.11.9"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory, dicom_dir: Path) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("node")) as opened:
        await series_of(opened, dicom_dir / MR)
        yield opened


def images(dicom_dir: Path) -> list[Dataset]:
    return [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted((dicom_dir / MR).iterdir())]


def state(about: list[Dataset], sop_class: str, **attributes: object) -> Dataset:
    """A state of one input with no more than what drawing needs of it."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = UID(sop_class), generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = about[0].StudyInstanceUID, generate_uid()
    ds.PatientID, ds.Modality = about[0].PatientID, "PR"
    inputs, one = Dataset(), Dataset()
    inputs.VolumetricPresentationInputSetUID, inputs.PresentationInputType = generate_uid(), "VOLUME"
    inputs.ReferencedImageSequence = []
    for image in about:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        inputs.ReferencedImageSequence.append(reference)
    one.VolumetricPresentationInputNumber = 1
    one.VolumetricPresentationInputSetUID = inputs.VolumetricPresentationInputSetUID
    one.WindowCenter, one.WindowWidth, one.Crop = 300, 600, "NO"
    ds.VolumetricPresentationInputSetSequence, ds.VolumetricPresentationStateInputSequence = [inputs], [one]
    ds.GlobalCrop = "NO"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def coronal(about: list[Dataset], sop_class: str = PLANE, **attributes: object) -> Dataset:
    geometry: dict[str, object] = {
        "MultiPlanarReconstructionStyle": "PLANAR",
        "MPRThicknessType": "SLAB",
        "MPRSlabThickness": 8.0,
        "RenderingMethod": "MAXIMUM_IP",
        "MPRTopLeftHandCorner": [-80.0, 5.0, 90.0],
        "MPRViewWidthDirection": [1.0, 0.0, 0.0],
        "MPRViewWidth": 160.0,
        "MPRViewHeightDirection": [0.0, 0.0, -1.0],
        "MPRViewHeight": 80.0,
    }
    return state(about, sop_class, **{**geometry, **attributes})


def rendered(about: list[Dataset], **attributes: object) -> Dataset:
    geometry: dict[str, object] = {
        "RenderProjection": "ORTHOGRAPHIC",
        "ViewpointPosition": [0.0, -500.0, 0.0],
        "ViewpointLookAtPoint": [0.0, 0.0, 0.0],
        "ViewpointUpDirection": [0.0, 0.0, 1.0],
        "RenderFieldOfView": [-100.0, 100.0, 150.0, -50.0, 0.0, 1000.0],
        "RenderingMethod": "VOLUME_RENDERED",
    }
    return state(about, VOLUME, **{**geometry, **attributes})


async def stored(doors: PictureDoors, ds: Dataset) -> str:
    """The path of the state, stored."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    written = io.BytesIO()
    pydicom.dcmwrite(written, ds, enforce_file_format=True)
    await doors.parts.put(written.getvalue())
    levels = ("studies", ds.StudyInstanceUID, "series", ds.SeriesInstanceUID, "instances", ds.SOPInstanceUID)
    return "/".join(("/dicom-web", *levels))


async def test_a_volume_rendering_state_is_drawn_as_it_says(doors: PictureDoors, dicom_dir: Path) -> None:
    about = images(dicom_dir)
    path = await stored(doors, rendered(about))

    answer = await doors.get(f"{path}/rendered3D", "image/jpeg")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    study = path.partition("/series/")[0]
    said = await doors.get(
        f"{study}/rendered3d",
        "image/jpeg",
        renderingmethod="volume_rendered",
        viewpointposition="0,-500,50",
        viewpointlookat="0,0,50",
        viewpointup="0,0,1",
        fieldofview="200",
    )
    assert answer.content == said.content


async def test_a_planar_state_is_that_plane_through_its_window(doors: PictureDoors, dicom_dir: Path) -> None:
    path = await stored(doors, coronal(images(dicom_dir)))

    answer = await doors.get(f"{path}/renderedmpr", "image/png")

    place = told(answer.headers["rendered-place"])
    spacing = numbers(place["spacing"])
    assert spacing == pytest.approx([160 / 512] * 2)
    corner = np.array([-80.0, 5.0, 90.0]) + np.array([0.5, 0, -0.5]) * spacing[0]
    assert numbers(place["position"]) == pytest.approx(corner, abs=1e-2)
    assert numbers(place["across"]) + numbers(place["down"]) == [1, 0, 0, 0, 0, -1]
    assert answer.headers["rendered-window"] == "300,600,linear"
    study = path.partition("/series/")[0]
    said = await doors.get(
        f"{study}/renderedmpr",
        "image/png",
        viewpointposition="0,-95,50",
        viewpointlookat="0,5,50",
        viewpointup="0,0,1",
        fieldofview="80",
        viewport="512,256",
        mprslab="8",
        renderingmethod="maximum_ip",
        window="300,600",
    )
    assert answer.content == said.content


async def test_a_state_of_some_slices_shows_only_those(doors: PictureDoors, dicom_dir: Path) -> None:
    about = images(dicom_dir)
    whole, part = [await stored(doors, coronal(about[:count])) for count in (len(about), 12)]

    pictures = [await doors.get(f"{path}/renderedmpr", "image/png") for path in (whole, part)]

    assert pictures[0].status_code == pictures[1].status_code == 200
    assert pictures[0].content != pictures[1].content


async def test_a_viewpoint_that_is_asked_for_goes_before_that_of_the_state(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    path = await stored(doors, coronal(images(dicom_dir)))

    answer = await doors.get(f"{path}/renderedmpr", orientation="l")

    assert numbers(told(answer.headers["rendered-place"])["across"]) == [0, 1, 0]
    assert answer.headers["rendered-window"] == "300,600,linear"


async def test_a_box_crops_and_what_is_not_applied_is_told(doors: PictureDoors, dicom_dir: Path) -> None:
    box = Dataset()
    box.VolumeCroppingMethod, box.BoundingBoxCrop = "BOUNDING_BOX", [0.0, -500.0, -500.0, 500.0, 500.0, 500.0]
    plain, cropped, animated = [
        await stored(doors, rendered(images(dicom_dir), RenderingMethod="MAXIMUM_IP", **more))
        for more in (
            {},
            {"GlobalCrop": "YES", "VolumeCroppingSequence": [box]},
            {"PresentationAnimationStyle": "SWIVEL"},
        )
    ]

    answers = [await doors.get(f"{path}/rendered3d", "image/png") for path in (plain, cropped, animated)]

    assert answers[0].content == answers[2].content != answers[1].content
    assert "warning" not in answers[1].headers
    assert "animation" in answers[2].headers["warning"]


@pytest.mark.parametrize(
    "parameter",
    [
        "renderingmethod",
        "mprslab",
        "swivelrange",
        "animationrate",
        "renderedvolumetricmetadata",
        "volumeinputreference",
    ],
)
async def test_a_state_has_no_room_for_parameters_beside_the_viewpoint(
    doors: PictureDoors, dicom_dir: Path, parameter: str
) -> None:
    path = await stored(doors, coronal(images(dicom_dir)))

    answer = await doors.get(f"{path}/renderedmpr", **{parameter: "1"})

    assert (answer.status_code, answer.json()["parameter"]) == (400, parameter)


async def test_states_that_cannot_be_drawn_are_refused_with_the_reason(doors: PictureDoors, dicom_dir: Path) -> None:
    about = images(dicom_dir)
    absent = images(dicom_dir)
    absent[0].SOPInstanceUID = generate_uid()
    refused = {
        "presentation-of-other-kind": rendered(about),
        "presentation-not-drawn": coronal(about, COMPOSITING_PLANE),
        "presentation-damaged": coronal(about, MPRViewWidth=0.0),
        "not-presented": coronal(absent),
        "no-presentation": coronal(about, "1.2.840.10008.5.1.4.1.1.88.11"),
    }

    for key, ds in refused.items():
        answer = await doors.get(f"{await stored(doors, ds)}/renderedmpr")
        assert (answer.status_code, answer.json()["type"]) == (422, key)
