"""What measuring asks of a node, on real files: scales as the headers say, regions against what pydicom and NumPy find."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import highdicom
import numpy as np
import pydicom
import pytest
import pytest_asyncio
from pydicom.pixels import apply_rescale, pixel_array

from appliance.domain.identifiers import AccountId, InstanceUid, MeasurementId, SeriesUid, StudyUid
from appliance.domain.measurements import Drawn, Measurement
from appliance.domain.measuring import Kind
from appliance.domain.reports import Writer
from tests.http.node_doors import ELSEWHERE
from tests.http.picture_doors import PictureDoors, picture_doors

pytestmark = pytest.mark.asyncio(loop_scope="module")

CT = "01-volumes/ct-chest-lidc-0314/080.dcm"
PET = "01-volumes/pet-qin-headneck-0024/150.dcm"
DX = "04-xray/DX-C3L-00277.dcm"
MAMMOGRAM = "04-xray/MG-GH133.dcm"
CR = "04-xray/CR-ModalitySequenceLUT.dcm"
US = "03-ultrasound/JPEGLosslessP14SV1_3s_2f_u_08_08.dcm"
WIDE_US = "03-ultrasound/I_000003.dcm"
COLOUR = "10-transfer-syntaxes/nema-us1/US1_UNC.dcm"
CAPTURE = "06-secondary-capture/photo-cookies.dcm"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path_factory.mktemp("node")) as opened:
        yield opened


async def frame_of(doors: PictureDoors, file: Path, frame: int = 1) -> str:
    return (await doors.take_in(file)).replace("/dicom-web/", "/api/") + f"/frames/{frame}"


async def scales(doors: PictureDoors, file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await doors.get(f"{await frame_of(doors, file)}/scales")).json()["scales"]
    return found


async def region(doors: PictureDoors, file: Path, kind: str, *numbers: float) -> dict[str, Any]:
    path = f"{await frame_of(doors, file)}/region"
    answer = await doors.get(path, kind=kind, points=",".join(f"{number:g}" for number in numbers))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("file", "basis", "keyword"),
    [
        (CT, "pixel-spacing", "PixelSpacing"),
        (DX, "detector", "ImagerPixelSpacing"),
        (CR, "detector", "ImagerPixelSpacing"),
        (MAMMOGRAM, "magnification", "ImagerPixelSpacing"),
    ],
)
async def test_a_millimetre_is_that_of_the_header_and_says_where_it_is_one(
    doors: PictureDoors, dicom_dir: Path, file: str, basis: str, keyword: str
) -> None:
    ds = pydicom.dcmread(dicom_dir / file, stop_before_pixels=True)
    between_rows, between_columns = map(float, ds[keyword].value)

    first = (await scales(doors, dicom_dir / file))[0]

    assert (first["basis"], first["part"]) == (basis, None)
    assert first["x"] == {"unit": "mm", "per_pixel": pytest.approx(between_columns)}
    assert first["y"] == {"unit": "mm", "per_pixel": pytest.approx(between_rows)}


@pytest.mark.parametrize("file", [US, WIDE_US])
async def test_an_ultrasound_has_the_scales_of_its_regions(doors: PictureDoors, dicom_dir: Path, file: str) -> None:
    ds = pydicom.dcmread(dicom_dir / file, stop_before_pixels=True)
    scan = next(one for one in ds.SequenceOfUltrasoundRegions if one.PhysicalUnitsXDirection == 3)

    found = await scales(doors, dicom_dir / file)

    assert {one["basis"] for one in found[:-1]} == {"ultrasound-region"}
    mine = next(one for one in found if one["part"] and one["x"]["unit"] == "mm")
    assert mine["part"] == [
        scan.RegionLocationMinX0,
        scan.RegionLocationMinY0,
        scan.RegionLocationMaxX1 + 1,
        scan.RegionLocationMaxY1 + 1,
    ]
    assert mine["x"]["per_pixel"] == pytest.approx(10 * abs(scan.PhysicalDeltaX))
    assert mine["y"]["per_pixel"] == pytest.approx(10 * abs(scan.PhysicalDeltaY))


async def test_a_photograph_has_pixels_and_nothing_else(doors: PictureDoors, dicom_dir: Path) -> None:
    assert [one["basis"] for one in await scales(doors, dicom_dir / CAPTURE)] == ["none"]


async def test_an_ellipse_on_a_ct_has_the_values_that_numpy_finds(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = pydicom.dcmread(dicom_dir / CT)
    values = apply_rescale(pixel_array(ds), ds)
    row, column = np.mgrid[:512, :512] + 0.5
    inside = ((column - 250) / 40) ** 2 + ((row - 300) / 25) ** 2 <= 1

    found = await region(doors, dicom_dir / CT, "ellipse", 210, 275, 290, 325)

    assert (found["count"], found["padding_count"], found["unit"]) == (int(inside.sum()), 0, "HU")
    assert found["mean"] == pytest.approx(values[inside].mean())
    assert found["standard_deviation"] == pytest.approx(values[inside].std())
    assert (found["minimum"], found["maximum"]) == (values[inside].min(), values[inside].max())
    (area,) = found["quantities"]
    spacing = float(ds.PixelSpacing[0]) * float(ds.PixelSpacing[1])
    assert area == {"name": "area", "value": pytest.approx(np.pi * 40 * 25 * spacing), "unit": "mm2"}


async def test_a_drawn_area_has_the_pixels_whose_centres_are_in_it(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = pydicom.dcmread(dicom_dir / CT)
    values = apply_rescale(pixel_array(ds), ds)
    row, column = np.mgrid[:512, :512] + 0.5
    inside = (column >= 100) & (row >= 100) & (column + row < 300.5)

    found = await region(doors, dicom_dir / CT, "freehand", 100, 100, 200.5, 100, 100, 200.5)

    assert found["count"] == int(inside.sum())
    assert found["mean"] == pytest.approx(values[inside].mean())


async def test_a_pet_has_its_uptake_beside_its_becquerels(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = pydicom.dcmread(dicom_dir / PET)
    isotope = ds.RadiopharmaceuticalInformationSequence[0]
    seconds = [
        int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:])
        for time in (str(isotope.RadiopharmaceuticalStartTime), str(ds.SeriesTime))
    ]
    left = float(isotope.RadionuclideTotalDose) * 0.5 ** (
        (seconds[1] - seconds[0]) / float(isotope.RadionuclideHalfLife)
    )
    values = apply_rescale(pixel_array(ds), ds)[40:60, 50:70]

    found = await region(doors, dicom_dir / PET, "rectangle", 50, 40, 70, 60)

    assert (found["unit"], found["count"]) == ("BQML", 400)
    assert found["mean"] == pytest.approx(values.mean())
    assert found["uptake"]["unit"] == "g/ml"
    assert found["uptake"]["maximum"] == pytest.approx(values.max() * float(ds.PatientWeight) * 1000 / left)


async def test_colours_are_counted_and_nothing_more(doors: PictureDoors, dicom_dir: Path) -> None:
    found = await region(doors, dicom_dir / COLOUR, "rectangle", 10, 10, 20, 30)

    assert (found["count"], found["mean"], found["uptake"]) == (200, None, None)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"kind": "length", "points": "0,0,1,1"}, "kind"),
        ({"points": "0,0,1,1"}, "kind"),
        ({"kind": "ellipse"}, "points"),
        ({"kind": "ellipse", "points": "0,0,1"}, "points"),
        ({"kind": "ellipse", "points": "0,0,1,a"}, "points"),
        ({"kind": "ellipse", "points": "0,0,1,1e9"}, "points"),
        ({"kind": "freehand", "points": ",".join(["1"] * 600)}, "points"),
    ],
)
async def test_a_region_that_is_none_is_refused(
    doors: PictureDoors, dicom_dir: Path, query: dict[str, str], parameter: str
) -> None:
    answer = await doors.get(f"{await frame_of(doors, dicom_dir / CT)}/region", **query)

    assert (answer.status_code, answer.json()["parameter"]) == (400, parameter)


@pytest.mark.parametrize("door", ["scales", "region?kind=ellipse&points=0,0,9,9"])
async def test_frames_that_are_not_there_are_not_measured(doors: PictureDoors, dicom_dir: Path, door: str) -> None:
    assert (await doors.client.get(f"{await frame_of(doors, dicom_dir / CT, 2)}/{door}")).status_code == 404


@pytest.mark.parametrize("door", ["scales", "region?kind=ellipse&points=0,0,9,9"])
async def test_who_may_not_look_measures_nothing(doors: PictureDoors, dicom_dir: Path, door: str) -> None:
    path = await frame_of(doors, dicom_dir / CT)

    answer = await doors.client.get(f"{path}/{door}", headers=doors.token(ELSEWHERE))

    assert answer.status_code in (403, 404)


def drawn(ds: pydicom.Dataset, kind: Kind, *points: tuple[float, float], frame: int = 1) -> Measurement:
    uids = StudyUid(ds.StudyInstanceUID), SeriesUid(ds.SeriesInstanceUID), InstanceUid(ds.SOPInstanceUID)
    at = datetime(2026, 11, 22, tzinfo=UTC)
    length_mm = 90.0 if kind is Kind.CALIBRATION else None
    text = "here" if kind is Kind.TEXT else ""
    who = Writer(AccountId(UUID(int=9)), "Ana Anić")
    return Measurement(MeasurementId(uuid4()), Drawn(*uids, frame, kind, points, text, length_mm), 1, who, at, at)


def told_of(doors: PictureDoors, ds: pydicom.Dataset, *measurements: Measurement) -> str:
    """The institution says that this was measured in the study; the address of what is made of it."""
    doors.measured[ds.StudyInstanceUID] = measurements
    return f"/api/studies/{ds.StudyInstanceUID}/measurements"


async def test_what_was_measured_is_given_as_dicom_with_the_numbers_of_the_pixels(
    doors: PictureDoors, dicom_dir: Path
) -> None:
    ds = pydicom.dcmread(dicom_dir / CT)
    await doors.take_in(dicom_dir / CT)
    box, line = drawn(ds, Kind.RECTANGLE, (200, 100), (240, 130)), drawn(ds, Kind.LENGTH, (0, 0), (30, 40))
    path = told_of(doors, ds, box, line, drawn(ds, Kind.TEXT, (5, 5)))

    report, state = await doors.get(f"{path}/sr"), await doors.get(f"{path}/gsps")

    content = highdicom.sr.srread(io.BytesIO(report.content)).content
    (region_group,), (line_group,) = content.get_planar_roi_measurement_groups(), content.get_image_measurement_groups()
    values = apply_rescale(pixel_array(ds), ds)[100:130, 200:240]
    told = [item.value for item in region_group.get_measurements() if item.name.meaning == "Attenuation Coefficient"]
    assert told == pytest.approx([values.mean(), values.std(), values.min(), values.max()])
    assert line_group.get_measurements()[0].value == pytest.approx(50 * float(ds.PixelSpacing[0]))
    assert report.headers["content-type"] == "application/dicom"
    assert len(pydicom.dcmread(io.BytesIO(state.content)).GraphicAnnotationSequence) == 3


async def test_a_known_length_counts_in_what_is_given(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = pydicom.dcmread(dicom_dir / CT, stop_before_pixels=True)
    await doors.take_in(dicom_dir / CT)
    known = drawn(ds, Kind.CALIBRATION, (0, 0), (30, 0))  # 30 pixels are 90 mm
    path = told_of(doors, ds, drawn(ds, Kind.LENGTH, (0, 0), (0, 10)), known)

    report = highdicom.sr.srread(io.BytesIO((await doors.get(f"{path}/sr")).content))

    (group,) = report.content.get_image_measurement_groups()
    assert group.get_measurements()[0].value == pytest.approx(30)


async def test_where_nothing_was_measured_there_is_nothing_to_give(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = pydicom.dcmread(dicom_dir / CT, stop_before_pixels=True)
    await doors.take_in(dicom_dir / CT)
    path = told_of(doors, ds)

    answers = [await doors.get(f"{path}/{form}") for form in ("sr", "gsps", "pdf")]

    assert [one.status_code for one in answers] == [409, 409, 404]
    assert [one.json()["type"] for one in answers] == ["nothing-measured", "nothing-measured", "no-such-form"]


async def test_a_state_of_colours_is_refused(doors: PictureDoors, dicom_dir: Path) -> None:
    ds = pydicom.dcmread(dicom_dir / COLOUR, stop_before_pixels=True)
    await doors.take_in(dicom_dir / COLOUR)
    path = told_of(doors, ds, drawn(ds, Kind.LENGTH, (0, 0), (30, 40)))

    assert (await doors.get(f"{path}/gsps")).json()["type"] == "colour-pictures"
    assert (await doors.get(f"{path}/sr")).status_code == 200
