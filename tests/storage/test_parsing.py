"""What is read from headers: sound, odd and broken ones."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from appliance.domain.errors import NotDicom, TooLarge
from appliance.domain.image import LossyStep
from appliance.domain.voi import luts_of
from appliance.storage.decoding import decode_frame
from appliance.storage.instances import SpoolReference, open_spooled
from appliance.storage.parsing import parse
from appliance.storage.stream import BeyondHead, Head, InMemory, inflated
from tests.services.node_parts import ct_slice, encoded

BEYOND_THE_LIMITS = {
    "2026-05-06-Deeply-Nested-Sequence.dcm": "nested-too-deeply",
    "TC0265_depth_100.dcm": "nested-too-deeply",
    "2026-05-26-oob-monochrome-46341.dcm": "too-many-pixels",  # 46341 squared is just more than 2^31
    "2026-05-26-oob-monochrome-65535.dcm": "too-many-pixels",
    "3gb-bulk-data-truncated.dcm": "too-many-pixels",
    "TC0339_mf_nf_million.dcm": "too-many-frames",
}


def parsed(data: bytes):
    return parse(InMemory(data))


def refusal_of(data: bytes) -> NotDicom:
    with pytest.raises(NotDicom) as refusal:
        parsed(data)
    return refusal.value


def test_a_header_tells_patient_study_series_and_image():
    found = parsed(encoded(ct_slice(7, z=2.5)))

    assert (found.patient.person_name, found.patient.birth_date, found.patient.sex) == ("Muster^Eva", "1970-01-31", "F")
    assert (found.study.study_uid, found.study.date, found.study.time) == ("1.2.3", "2026-11-22", "10:54:00")
    assert (found.series.modality, found.series.body_part, found.instance.number) == ("CT", "CHEST", 7)
    frame = found.image.frames[0]
    assert frame.plane.position_mm == (0, 0, 2.5)
    assert frame.plane.pixel_spacing_mm == (0.5, 0.25)
    assert (frame.rescale_slope, frame.rescale_intercept) == (1, -1024)
    assert (frame.windows[0].center, frame.windows[0].width) == (35, 350)
    assert (found.image.pixel_aspect_ratio, found.image.value_unit) == (2.0, "HU")


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20261122", "105400.123", ("2026-11-22", "10:54:00")),
        ("2026.11.22", "10:54:00", ("2026-11-22", "10:54:00")),
        ("20261301", "25", (None, None)),
        ("", "", (None, None)),
        ("20260229", "2359", (None, "23:59:00")),
    ],
)
def test_dates_and_times_that_are_none_are_none(date, time, expected):
    ds = ct_slice()
    ds["StudyDate"]._value, ds["StudyTime"]._value = date, time

    found = parsed(encoded(ds))

    assert (found.study.date, found.study.time) == expected


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("chrRuss.dcm", "Люкceмбypг"),
        ("chrGerm.dcm", "Äneas^Rüdiger"),
        ("chrH31.dcm", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
def test_names_keep_their_characters(dicom_dir, file, name):
    assert parsed((dicom_dir / "12-charsets" / file).read_bytes()).patient.person_name == name


def test_a_data_set_without_meta_and_preamble_is_accepted():
    buffer = BytesIO()
    ds = ct_slice()
    del ds.file_meta
    ds.save_as(buffer, implicit_vr=True, little_endian=True)

    found = parsed(buffer.getvalue())

    assert found.instance.transfer_syntax_uid == ImplicitVRLittleEndian
    assert decode_frame(found.image, 0, InMemory(buffer.getvalue())).shape == (4, 6)


def test_a_deflated_object_is_inflated():
    ds = ct_slice(value=9)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = encoded(ds)

    found = parsed(data)

    assert decode_frame(found.image, 0, InMemory(data)).tolist() == [[9] * 6] * 4


def test_a_deflated_bomb_is_refused(monkeypatch):
    monkeypatch.setattr("appliance.storage.parsing._LONGEST_INFLATED_BYTES", 1_000_000)
    ds = ct_slice()
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = encoded(ds)
    start = 144 + struct.unpack_from("<L", data, 140)[0]
    deflater = zlib.compressobj(wbits=-15)

    bomb = data[:start] + deflater.compress(bytes(50_000_000)) + deflater.flush()

    assert refusal_of(bomb).key == "too-large"


def test_a_deflated_data_set_that_would_begin_beyond_the_end_is_refused(tmp_path):
    file = tmp_path / "cut.dcm"
    file.write_bytes(b"short")

    with open_spooled(SpoolReference(str(file), 5, None)) as reader, pytest.raises(NotDicom):
        inflated(reader, 60_000, 1 << 20)


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_without_its_uids_an_object_is_refused(missing):
    ds = ct_slice()
    delattr(ds, missing)

    refusal = refusal_of(encoded(ds))

    assert (refusal.key, refusal.fields["attribute"]) == ("unreadable-dicom", missing)


def test_a_uid_that_is_none_is_refused_and_not_repeated():
    ds = ct_slice()
    ds["StudyInstanceUID"]._value = "../../etc/Muster"

    refusal = refusal_of(encoded(ds))

    assert "Muster" not in refusal.message
    assert refusal.key == "unreadable-dicom"


def test_the_uid_of_the_meta_information_stands_in_for_a_missing_one():
    ds = ct_slice()
    del ds.SOPInstanceUID

    assert parsed(encoded(ds)).instance.instance_uid == "1.2.3.1.1"


@pytest.mark.parametrize("cut", [200, 300, 500])
def test_a_header_that_is_cut_is_refused(cut):
    assert refusal_of(encoded(ct_slice())[:cut]).key == "unreadable-dicom"


def test_pixel_data_that_is_cut_is_stored_and_not_drawn():
    found = parsed(encoded(ct_slice())[:-1])

    assert found.image is None
    assert found.not_drawable_reason == "the pixel data has 47 bytes, expected 48"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Rows", 0),
        ("BitsAllocated", 12),
        ("BitsStored", 17),
        ("PhotometricInterpretation", "RGB"),
        ("PhotometricInterpretation", "CMYK"),
        ("NumberOfFrames", -1),
    ],
)
def test_attributes_that_contradict_are_named(keyword, value):
    ds = ct_slice()
    setattr(ds, keyword, value)

    assert keyword in parsed(encoded(ds)).not_drawable_reason


def test_padding_is_signed_where_pixels_are():
    ds = ct_slice()
    ds.PixelRepresentation = 1
    ds.add_new("PixelPaddingValue", "SS", -2000)
    ds.add_new("PixelPaddingRangeLimit", "SS", -1024)

    assert parsed(encoded(ds)).image.pixel_format.padding == (-2000, -1024)


def group(**values: object) -> Sequence:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


def test_functional_groups_give_each_frame_its_place_and_rescale():
    ds = ct_slice()
    ds.NumberOfFrames = 2
    ds.PixelData = np.arange(48, dtype="<u2").tobytes()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        delattr(ds, keyword)
    shared, frames = Dataset(), [Dataset(), Dataset()]
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    shared.PixelMeasuresSequence = group(PixelSpacing=[2, 3], SliceThickness=4)
    for z, frame in enumerate(frames):
        frame.PlanePositionSequence = group(ImagePositionPatient=[1, 2, z])
        frame.PixelValueTransformationSequence = group(RescaleSlope=z + 1, RescaleIntercept=-z, RescaleType="US")
        frame.FrameVOILUTSequence = group(WindowCenter=z, WindowWidth=10)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = Sequence([shared]), Sequence(frames)

    image = parsed(encoded(ds)).image

    assert [frame.plane.position_mm for frame in image.frames] == [(1, 2, 0), (1, 2, 1)]
    assert {frame.plane.orientation for frame in image.frames} == {(0, 1, 0, 0, 0, -1)}
    assert image.frames[1].plane.pixel_spacing_mm == (2, 3)
    assert [(frame.rescale_slope, frame.windows[0].center) for frame in image.frames] == [(1, 0), (2, 1)]


def item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def encapsulated(items: list[bytes], frames: int, extended: list[int] | None = None) -> bytes:
    """A CT slice whose pixel data is these items, the first of them the offset table."""
    ds = ct_slice()
    ds.NumberOfFrames = frames
    if extended:
        ds.ExtendedOffsetTable = struct.pack(f"<{len(extended)}Q", *extended)
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    del ds.PixelData
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    head = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    return buffer.getvalue() + head + b"".join(map(item, items)) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def fragments_of(data: bytes) -> list[list[bytes]]:
    image = parsed(data).image
    return [[data[offset : offset + length] for offset, length in frame.fragments] for frame in image.frames]


A, B, C = b"\xff\xd8AA", b"BBBB", b"\xff\xd8CC"


@pytest.mark.parametrize(
    ("table", "frames", "extended", "expected"),
    [
        (b"", 1, None, [[A, B, C]]),
        (b"", 3, None, [[A], [B], [C]]),
        (b"", 2, None, [[A, B], [C]]),
        (struct.pack("<2L", 0, 24), 2, None, [[A, B], [C]]),
        (struct.pack("<2L", 0, 12), 2, None, [[A], [B, C]]),
        (struct.pack("<2L", 0, 13), 2, None, [[A, B], [C]]),
        (b"", 2, [0, 12], [[A], [B, C]]),
    ],
    ids=["one-frame", "fragment-each", "by-marker", "table", "table-first", "table-that-points-nowhere", "extended"],
)
def test_fragments_are_given_to_frames(table, frames, extended, expected):
    assert fragments_of(encapsulated([table, A, B, C], frames, extended)) == expected


def test_fragments_that_fit_no_frames_are_not_drawn():
    assert "3 fragments of pixel data for 4 frames" in parsed(encapsulated([b"", A, B, C], 4)).not_drawable_reason


def test_a_fragment_that_is_cut_is_not_drawn_and_a_missing_delimiter_is_forgiven():
    data = encapsulated([b"", A, B], 2)

    assert parsed(data[:-10]).not_drawable_reason == "the pixel data ends in the middle of a fragment"
    assert len(parsed(data[:-8]).image.frames) == 2


@pytest.mark.parametrize("folder", ["14-malformed", "15-hostile", "13-dicomdir", "09-documents"])
def test_odd_and_hostile_files_are_parsed_or_refused_and_nothing_else(dicom_dir, folder):
    for file in sorted((dicom_dir / folder).rglob("*")):
        if file.is_file():
            try:
                found = parsed(file.read_bytes())
            except NotDicom as refusal:
                assert refusal.key in ("not-dicom", "unreadable-dicom", "dicomdir"), file.name
            except TooLarge as refusal:
                assert refusal.key == BEYOND_THE_LIMITS[file.name]
            else:
                assert (found.image is None) != (found.not_drawable_reason is None)


def with_other_ids() -> Dataset:
    """A CT slice with Other Patient IDs Sequence: an insurance number, and two items that say nothing."""
    ds = ct_slice()
    ds.OtherPatientIDsSequence = Sequence()
    for issuer, value in (("INSURER", "99"), ("", "98"), ("INSURER", "")):
        item = Dataset()
        item.PatientID, item.IssuerOfPatientID, item.TypeOfPatientID = value, issuer, "TEXT"
        ds.OtherPatientIDsSequence.append(item)
    return ds


def test_other_patient_ids_count_with_their_issuer_only():
    assert parsed(encoded(with_other_ids())).patient.other_ids == (("INSURER", "99"),)


def test_the_head_of_an_uncompressed_object_says_as_much_as_the_whole():
    ds = ct_slice()
    ds.Rows = ds.Columns = 512
    ds.PixelData = bytes(512 * 512 * 2)
    data = encoded(ds)

    assert parse(Head(data[: 128 * 1024], len(data))) == parse(InMemory(data))


@pytest.mark.parametrize("length", [0, 200, 400])
def test_a_head_that_is_too_short_is_no_refusal(length):
    data = encoded(ct_slice())

    with pytest.raises(BeyondHead):
        parse(Head(data[:length], len(data)))


def test_frames_have_the_voi_luts_of_their_functional_groups():
    ds = ct_slice()
    ds.NumberOfFrames = 3
    ds.PixelData = ds.PixelData * 3
    of_all, own = voi_lut("for all", 7), voi_lut("of one", 9)
    ds.SharedFunctionalGroupsSequence = Sequence([frame_luts(of_all)])
    ds.PerFrameFunctionalGroupsSequence = Sequence([Dataset(), frame_luts(own, of_all), Dataset()])

    image = parsed(encoded(ds)).image

    assert [[table.explanation for table in luts_of(image, n)] for n in range(3)] == [
        ["for all"],
        ["of one", "for all"],
        ["for all"],
    ]
    assert len(image.voi_luts) == 2


def frame_luts(*tables: Dataset) -> Dataset:
    """Frame VOI LUT With LUT Macro (PS3.3 C.7.6.16.2.10b)."""
    voi, functional = Dataset(), Dataset()
    voi.VOILUTSequence = Sequence(list(tables))
    functional.FrameVOILUTSequence = Sequence([voi])
    return functional


def voi_lut(explanation: str, highest: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [2, 0, 8]
    item.LUTExplanation = explanation
    item.add_new("LUTData", "US", [0, highest])
    return item


@pytest.mark.parametrize(
    ("file", "orientation", "side"),
    [
        ("04-xray/MG-GH133.dcm", ("P", "FL"), "R"),
        ("04-xray/DX-highdicom.dcm", ("L", "F"), "L"),
        ("04-xray/RG3_J2KR.dcm", ("R", "F"), "R"),
        ("04-xray/XA-rubo-96f.dcm", None, ""),
    ],
)
def test_a_projection_says_in_letters_how_it_lies_and_of_which_side_it_is(dicom_dir, file, orientation, side):
    image = parsed((dicom_dir / file).read_bytes()).image

    assert (image.patient_orientation, image.laterality) == (orientation, side)


@pytest.mark.parametrize(
    ("file", "steps"),
    [
        ("06-secondary-capture/PM5644-960x540_JPEG-Baseline_YBR422.dcm", (LossyStep("ISO_10918_1", 20.414),)),
        ("06-secondary-capture/photo-cookies.dcm", (LossyStep("ISO_10918_1", None),)),
        ("10-transfer-syntaxes/nema-us1/US1_J2KI.dcm", (LossyStep("", 16),)),
        # A ratio of 0.08, in which nothing was compressed, says nothing.
        ("11-pixel-encodings/SC_rgb_small_odd_jpeg.dcm", (LossyStep("ISO_10918_1", None),)),
        ("04-xray/MG-GH133.dcm", ()),
    ],
)
def test_what_was_lost_in_coding_is_told_as_far_as_the_file_tells(dicom_dir, file, steps):
    assert parsed((dicom_dir / file).read_bytes()).image.lossy_steps == steps


def test_each_lossy_step_is_told_in_its_order():
    ds = ct_slice(1)
    ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", [4, 10]
    ds.LossyImageCompressionMethod = ["ISO_10918_1", "ISO_15444_1"]

    assert parsed(encoded(ds)).image.lossy_steps == (LossyStep("ISO_10918_1", 4), LossyStep("ISO_15444_1", 10))


def test_what_says_no_direction_for_people_is_none():
    ds = ct_slice(1)
    ds.PatientOrientation = ["CR", "V"]  # of an animal, PS3.3 C.7.6.1.1.1

    assert parsed(encoded(ds)).image.patient_orientation is None
