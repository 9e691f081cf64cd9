"""The Basic Profile on real objects of many kinds: what identifies is gone, what is seen is there."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.domain.anonymity import Dates, LeftOut, Pseudonymity, reason_left_out
from appliance.domain.attributes import Attributes
from appliance.storage.deidentification import anonymised, deidentify, new_uid, profile
from appliance.storage.dicom_json import metadata_of
from appliance.storage.stream import InMemory
from appliance.storage.structure import DataSetLimits

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "dicom"
KINDS = {
    "JPEG-LS slice": "01-volumes/ct-chest-lidc-0314/000.dcm",
    "enhanced multi-frame": "02-enhanced-multiframe/dcmqi-legacy-converted-ct.dcm",
    "deflated segmentation": "08-seg-parametric/liver.dcm",
    "JPEG lossless mammogram": "04-xray/MG-GH133.dcm",
    "implicit slice": "01-volumes/ct-head-variable-tilt-ge/000.dcm",
    "JPEG XL": "10-transfer-syntaxes/other/ct1_jxl.dcm",
    "deflated frames": "10-transfer-syntaxes/other/liver_deflate.dcm",
    "dose": "07-radiotherapy/rtdose.dcm",
    "big endian dose": "07-radiotherapy/rtdose_expb.dcm",
    "UIDs in the meta information only": "11-pixel-encodings/JLSL_RGB_ILV0.dcm",
    "delimiters as elements": "06-secondary-capture/FreezePattern.dcm",
}
REMOVED = Pseudonymity(b"k" * 32, Dates.REMOVED)
SHIFTED = Pseudonymity(b"k" * 32, Dates.SHIFTED, shift_days=400)
IDENTITIES = ("PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName", "StationName", "InstitutionName")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def copy_of(data: bytes, how: Pseudonymity = REMOVED) -> bytes:
    made = anonymised(InMemory(data), how, DataSetLimits())
    place = made.pixels
    return made.head + (data[place.offset : place.offset + place.length] if place else b"") + made.tail


@pytest.mark.parametrize("name", KINDS)
def test_pixels_stay_bit_for_bit_and_nothing_else_that_says_who(name: str) -> None:
    data = (REAL / KINDS[name]).read_bytes()
    original = pydicom.dcmread(io.BytesIO(data), force=True)

    written = copy_of(data)

    made = pydicom.dcmread(io.BytesIO(written))
    assert made.PixelData.rstrip(b"\0") == original.PixelData.rstrip(b"\0")
    for keyword in UIDS:
        if uid := original.get(keyword):
            assert str(uid).encode() not in written
    for keyword in IDENTITIES:
        before = str(original.get(keyword) or "")
        after = " ".join(
            str(element.value) for element in made.iterall() if element.VR in ("PN", "LO", "SH", "LT", "ST")
        )
        assert len(before) < 4 or before not in after, keyword
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert not any(element.tag.is_private for element in made.iterall())


def test_an_object_of_ambiguous_words_is_decoded_as_before() -> None:
    data = (REAL / KINDS["implicit slice"]).read_bytes()

    made = pydicom.dcmread(io.BytesIO(copy_of(data)))

    assert (made.pixel_array == pydicom.dcmread(io.BytesIO(data)).pixel_array).all()


def test_the_table_is_the_standards() -> None:
    table = profile()

    assert len(table) == 617
    assert table[0x00100010] == ("Z", False)  # Patient's Name
    assert table[0x00100020] == ("Z/D", False)  # Patient ID
    assert table[0x00080018] == ("U", False)  # SOP Instance UID
    assert table[0x00080020] == ("Z", True)  # Study Date
    assert table[0x00081030] == ("X", False)  # Study Description
    assert table[0x00081140] == ("X/Z/U*", False)  # Referenced Image Sequence


def test_references_within_the_copy_go_on_pointing_at_each_other() -> None:
    ds, item = Dataset(), Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.SOPInstanceUID, item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID = (
        "1.2.3",
        "1.2.4",
        "1.2.840.10008.5.1.4.1.1.2",
    )
    ds.ReferencedImageSequence = Sequence([item])

    deidentify(ds, REMOVED)

    assert ds.SOPInstanceUID == new_uid("1.2.3", REMOVED)
    (referenced,) = ds.ReferencedImageSequence
    assert referenced.ReferencedSOPInstanceUID == new_uid("1.2.4", REMOVED)
    assert referenced.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"


def test_nobody_gets_the_same_uids_with_another_key() -> None:
    assert new_uid("1.2.3", REMOVED) != new_uid("1.2.3", Pseudonymity(b"l" * 32, Dates.REMOVED))
    assert len(new_uid("1.2.3", REMOVED)) <= 64


def test_dates_are_emptied_or_all_moved_alike() -> None:
    def made(how: Pseudonymity) -> Dataset:
        ds = Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.StudyDate, ds.StudyTime, ds.AcquisitionDateTime = "20240229", "101500", "20240301101500.5+0100"
        deidentify(ds, how)
        return ds

    assert (made(REMOVED).StudyDate, made(REMOVED).StudyTime) == ("", "")
    assert made(SHIFTED).StudyDate == "20230125"
    assert made(SHIFTED).StudyTime == "101500"
    assert made(SHIFTED).AcquisitionDateTime == "20230126101500.5+0100"


def test_a_date_that_is_none_is_taken_away_also_where_dates_are_moved() -> None:
    ds = Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.StudyDate = "born in May"

    deidentify(ds, SHIFTED)

    assert ds.StudyDate == ""


def test_a_text_that_repeats_a_name_is_emptied() -> None:
    ds = Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.PatientName, ds.ManufacturerModelName, ds.Manufacturer = "Kovač^Ana", "lent to Mrs Kovač", "Maker"

    deidentify(ds, REMOVED)

    assert (ds.ManufacturerModelName, ds.Manufacturer) == ("", "Maker")


@pytest.mark.parametrize(
    ("file", "reasons"),
    [
        ("03-ultrasound/US-PAL-8-10x-echo.dcm", {LeftOut.WRITTEN_ON}),
        ("06-secondary-capture/photo-cookies.dcm", {LeftOut.WRITTEN_ON, LeftOut.RECOGNISABLE}),
        ("01-volumes/ct-chest-lidc-0314/000.dcm", {None}),
    ],
)
def test_ultrasound_and_captures_are_left_out_and_slices_are_not(file: str, reasons: set[LeftOut | None]) -> None:
    ds = pydicom.dcmread(REAL / file, stop_before_pixels=True)
    attributes = Attributes(metadata_of(ds, "1.2.840.10008.1.2.1", None))

    assert reason_left_out(attributes, is_drawable=True, is_video=False) in reasons
