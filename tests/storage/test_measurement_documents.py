"""Measurements as DICOM, read by strangers: highdicom takes the report apart, DCMTK reads both."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import highdicom
import pydicom
import pytest

from appliance.domain.attributes import Attributes
from appliance.domain.errors import Conflict
from appliance.domain.identifiers import AccountId, InstanceUid, MeasurementId, SeriesUid, StudyUid
from appliance.domain.measurements import Drawn, Measurement
from appliance.domain.measuring import Basis, Kind, Point, Quantity
from appliance.domain.regions import RegionValues
from appliance.domain.reports import Writer
from appliance.storage.measurement_documents import Measured, measurement_report, presentation_state

CT = "01-volumes/ct-chest-lidc-0314/080.dcm"
AT = datetime(2026, 11, 22, 10, 54, tzinfo=UTC)
ANA = Writer(AccountId(UUID(int=5)), "Ana Marija Anić")
VALUES = RegionValues(3149, 0, -512.0 / 3, 401.23456789, -1024.0, 187.0)


@pytest.fixture
def ct(dicom_dir: Path) -> pydicom.Dataset:
    return pydicom.dcmread(dicom_dir / CT, stop_before_pixels=True)


def said(ct: pydicom.Dataset) -> Attributes:
    return Attributes(ct.to_json_dict())


def one(ct: pydicom.Dataset, number: int, kind: Kind, *points: Point, text: str = "", **changes: Any) -> Measured:
    uids = StudyUid(ct.StudyInstanceUID), SeriesUid(ct.SeriesInstanceUID), InstanceUid(ct.SOPInstanceUID)
    length_mm = 25.0 if kind is Kind.CALIBRATION else None
    measurement = Measurement(
        MeasurementId(UUID(int=number)), Drawn(*uids, 1, kind, points, text, length_mm), 1, ANA, AT, AT
    )
    made = Measured(measurement, ct.SOPClassUID, 512, 512, 1, False, Basis.PIXEL_SPACING, (), None, "HU")
    return replace(made, **changes)


@pytest.fixture
def measured(ct: pydicom.Dataset) -> list[Measured]:
    length, angle = Quantity("length", 123.456789012345678, "mm"), Quantity("angle", 25.5, "deg")
    region = {"quantities": (Quantity("area", 2454.4, "mm2"),), "values": VALUES}
    return [
        one(ct, 1, Kind.LENGTH, (10.5, 20.0), (100.0, 20.0), text="Čvor", quantities=(length,)),
        one(ct, 2, Kind.COBB, (0.0, 0.0), (10.0, 0.0), (0.0, 5.0), (10.0, 9.0), quantities=(angle,)),
        one(ct, 3, Kind.ELLIPSE, (210.0, 275.0), (290.0, 325.0), **region),
        one(ct, 4, Kind.FREEHAND, (1.0, 1.0), (9.0, 1.0), (1.0, 9.0), **region),
        one(ct, 5, Kind.ARROW, (50.0, 50.0), (80.0, 80.0), text="here"),
    ]


def dcmtk(program: str, data: bytes, tmp_path: Path) -> str:
    file = tmp_path / "document.dcm"
    file.write_bytes(data)
    done = subprocess.run([program, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
    # Its checker of values knows no UTF-8, and says so.
    assert not [line for line in complaints if "does not support this Specific Character Set" not in line]
    return done.stdout


def test_a_stranger_finds_each_measurement_with_its_place_and_its_number(
    ct: pydicom.Dataset, measured: list[Measured]
) -> None:
    report = highdicom.sr.srread(io.BytesIO(measurement_report(measured, said(ct), ANA)))

    (ellipse, outline) = report.content.get_planar_roi_measurement_groups()
    found = {item.name.meaning: item.value for item in ellipse.get_measurements()}
    assert ellipse.roi.value.tolist() == [[210, 300], [290, 300], [250, 275], [250, 325]]
    assert ellipse.roi.graphic_type.value == "ELLIPSE"
    assert found["Area"] == pytest.approx(2454.4)
    means = [item for item in ellipse.get_measurements() if item.name.meaning == "Attenuation Coefficient"]
    assert [item.value for item in means] == pytest.approx([-512 / 3, 401.23456789, -1024, 187])
    assert {item.unit.value for item in means} == {"[hnsf'U]"}
    assert outline.roi.value.tolist()[0] == outline.roi.value.tolist()[-1]
    lines = report.content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in lines] == ["Čvor", "cobb"]
    assert [group.get_measurements()[0].name.meaning for group in lines] == ["Length", "Cobb angle"]
    assert lines[0].get_measurements()[0].value == pytest.approx(123.456789012)


def test_the_report_is_of_the_patient_and_the_study_and_says_who_made_it(
    ct: pydicom.Dataset, measured: list[Measured]
) -> None:
    report = pydicom.dcmread(io.BytesIO(measurement_report(measured, said(ct), ANA)))

    assert (report.PatientID, report.StudyInstanceUID) == (ct.PatientID, ct.StudyInstanceUID)
    assert report.SeriesInstanceUID != ct.SeriesInstanceUID
    assert "Anić^Ana Marija" in str(report)


def test_dcmtk_reads_the_report_without_a_complaint(
    ct: pydicom.Dataset, measured: list[Measured], tmp_path: Path
) -> None:
    text = dcmtk("dsrdump", measurement_report(measured, said(ct), ANA), tmp_path)

    assert "Cobb angle" in text and "Measurement Group" in text


def test_arrows_and_texts_are_no_measurements(ct: pydicom.Dataset, measured: list[Measured]) -> None:
    with pytest.raises(Conflict) as caught:
        measurement_report(measured[-1:], said(ct), ANA)

    assert caught.value.key == "nothing-measured"


def test_a_presentation_state_has_every_figure_with_its_words(
    ct: pydicom.Dataset, measured: list[Measured], tmp_path: Path
) -> None:
    data = presentation_state(measured, said(ct), ANA)

    state = pydicom.dcmread(io.BytesIO(data))
    graphics = [
        (graphic.GraphicType, len(graphic.GraphicData) // 2)
        for item in state.GraphicAnnotationSequence
        for graphic in item.get("GraphicObjectSequence", [])
    ]
    texts = [item.TextObjectSequence[0].UnformattedTextValue for item in state.GraphicAnnotationSequence]
    assert graphics == [
        ("POLYLINE", 2),
        ("POLYLINE", 2),
        ("POLYLINE", 2),
        ("ELLIPSE", 4),
        ("POLYLINE", 4),
        ("POLYLINE", 2),
    ]
    assert texts[0] == "Čvor\r\n123.46 mm"
    assert "Mean -170.67 HU, SD 401.23" in texts[2]
    assert dcmtk("dcmdump", data, tmp_path)


def test_where_a_millimetre_is_not_the_patients_the_words_say_so(ct: pydicom.Dataset) -> None:
    length = one(
        ct, 1, Kind.LENGTH, (0.0, 0.0), (9.0, 0.0), basis=Basis.DETECTOR, quantities=(Quantity("length", 9.0, "mm"),)
    )

    state = pydicom.dcmread(io.BytesIO(presentation_state([length], said(ct), ANA)))

    assert state.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue == "9.00 mm\r\n(detector)"


def test_colours_have_no_grayscale_state(ct: pydicom.Dataset) -> None:
    coloured = one(ct, 1, Kind.ARROW, (0.0, 0.0), (9.0, 0.0), is_colour=True)

    with pytest.raises(Conflict) as caught:
        presentation_state([coloured], said(ct), ANA)

    assert caught.value.key == "colour-pictures"
