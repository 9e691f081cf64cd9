"""Stored values of every real file that pydicom decodes, against the digest of what pydicom made of it."""

import hashlib
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import DataElement, dcmread, dcmwrite

from appliance.domain.errors import NotDrawable, TooLarge
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat
from appliance.storage.decoding import decode_frame, new_room, read_frame
from appliance.storage.parsing import image_of, parse, read_header
from appliance.storage.stream import InMemory
from appliance.storage.transcoding import decoded_frame
from appliance.storage.transfer_syntaxes import EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN
from tests.services.node_parts import ct_slice

LOSSY = "lossy: two decoders may round differently"
EXPLAINED = {
    "10-transfer-syntaxes/nema-nm1/NM1_JPLY_repaired.dcm": LOSSY,
    "03-ultrasound/IM00001.fragmented_no_bot_jpeg_baseline.50.dcm": LOSSY,
    "03-ultrasound/I_000003.dcm": LOSSY,
    "03-ultrasound/I_000031-64f.dcm": LOSSY,
    "06-secondary-capture/PM5644-960x540_JPEG-Baseline_YBR422.dcm": LOSSY,
    "06-secondary-capture/PM5644-960x540_JPEG-Baseline_YBRFull.dcm": LOSSY,
    "15-hostile/TC0265_depth_100.dcm": "beyond the limit of nesting",
    "15-hostile/TC0289_buf_10x.dcm": "pydicom makes ten frames of the surplus, the file says one",
    "15-hostile/TC0329_rgb_spp1.dcm": "RGB with one sample contradicts itself and is not drawn",
}


def image_and_reader(path: Path) -> tuple[ImageDescription, InMemory]:
    reader = InMemory(path.read_bytes())
    return image_of(read_header(reader), InstanceUid("1.2"), "1.2"), reader


def is_equal(path: Path, expected: dict) -> bool:
    image, reader = image_and_reader(path)
    frames = [decode_frame(image, n, reader) for n in range(len(image.frames))]
    array = np.stack(frames) if len(frames) > 1 else frames[0]
    dtype = np.dtype(expected["array_dtype"])
    digest = hashlib.sha256(np.ascontiguousarray(array.astype(dtype)).tobytes()).hexdigest()
    return array.dtype == dtype.newbyteorder("=") and digest == expected["array_sha256"]


def test_all_real_files_decode_to_the_values_that_pydicom_finds(dicom_dir):
    listed = json.loads((dicom_dir / "manifest.json").read_text())["files"]
    decodable = [file for file in listed if file.get("decodable") == "yes"]

    different = set()
    for file in decodable:
        try:
            if not is_equal(dicom_dir / file["path"], file):
                different.add(file["path"])
        except (NotDrawable, TooLarge):
            different.add(file["path"])

    print(f"{len(decodable)} files: {len(decodable) - len(different)} equal, {len(different)} explained")
    assert different == set(EXPLAINED)


def test_values_come_to_lie_in_the_memory_that_is_given(dicom_dir):
    rooms = []

    def room(size_bytes):
        rooms.append(np.full(size_bytes, 0xAB, np.uint8))
        return rooms[-1]

    files = sorted((dicom_dir / "11-pixel-encodings").glob("*.dcm"))
    compared = 0
    for file in files:
        try:
            image, reader = image_and_reader(file)
            expected = decode_frame(image, 0, reader)
        except (NotDrawable, TooLarge):
            continue
        values = read_frame(image, 0, reader, room)
        assert values.dtype == expected.dtype, file
        assert np.array_equal(values, expected), file
        assert np.may_share_memory(values, rooms[-1]), file
        compared += 1

    print(f"{compared} of {len(files)} files")
    assert compared > 40


def test_a_frame_of_which_bytes_are_missing_is_refused_and_not_filled_up(dicom_dir):
    image, reader = image_and_reader(dicom_dir / "11-pixel-encodings/SC_rgb.dcm")
    cut = InMemory(reader.read_at(0, reader.size_bytes - 500))

    with pytest.raises(NotDrawable) as refusal:
        read_frame(image, 0, cut, new_room)

    assert refusal.value.key == "pixel-data-damaged"


@pytest.mark.parametrize(
    ("lossy", "truth", "tolerance"),
    [
        ("nema-nm1/NM1_JPLY.dcm", "nema-nm1/NM1_UNC.dcm", 36),
        ("nema-xa1/XA1_JPLY.dcm", "nema-xa1/XA1_UNC.dcm", 116),
        ("nema-us1/US1_J2KI.dcm", "nema-us1/US1_UNC.dcm", 124),
        ("nema-ct1/CT1_JLSN.dcm", "nema-ct1/CT1_UNC.explicit-le.dcm", 4),
        ("nema-nm1/NM1_JPLY_repaired.dcm", "nema-nm1/NM1_UNC.dcm", 36),
    ],
)
def test_lossy_streams_are_near_their_originals(dicom_dir, lossy, truth, tolerance):
    folder = dicom_dir / "10-transfer-syntaxes"
    ours, original = (decode_frame(*_first(folder / name)).astype(int) for name in (lossy, truth))

    assert np.abs(ours - original).max() <= tolerance


def _first(path: Path) -> tuple[ImageDescription, int, InMemory]:
    image, reader = image_and_reader(path)
    return image, 0, reader


@pytest.mark.parametrize(
    "name",
    [
        "liver_deflate.dcm",
        "ct1_jxl.dcm",
        "CTImage.jpeg-full-progression.55.dcm",
        "CTImage.jpeg-spectral-selection.53.dcm",
    ],
)
def test_syntaxes_that_pydicom_has_no_decoder_for_are_decoded(dicom_dir, name):
    image, reader = image_and_reader(dicom_dir / "10-transfer-syntaxes/other" / name)

    values = decode_frame(image, 0, reader)

    assert values.shape == (image.pixel_format.rows, image.pixel_format.columns)
    assert values.max() > values.min()


@pytest.mark.parametrize(
    "name",
    [
        "14-malformed/invalid_compression.dcm",
        "15-hostile/TC0321_encap_empty_bot.dcm",
        "15-hostile/TC0325_encap_10k_frags.dcm",
        "15-hostile/TC0955_jpegls_zero_comp.dcm",
        "15-hostile/TC0957_jpegls_huge_near.dcm",
        "15-hostile/TC0961_jpegls_truncated.dcm",
        "11-pixel-encodings/JPEG2000-embedded-sequence-delimiter.dcm",
    ],
)
def test_broken_streams_are_refused_by_name(dicom_dir, name):
    image, reader = image_and_reader(dicom_dir / name)

    with pytest.raises(NotDrawable) as refusal:
        decode_frame(image, 0, reader)

    assert refusal.value.key == "pixel-data-damaged"


def native(data: bytes, form: PixelFormat, first_bit: int = 0, syntax: str = EXPLICIT_LITTLE_ENDIAN) -> np.ndarray:
    frame = FrameDescription(((0, len(data)),), first_bit)
    image = ImageDescription(InstanceUid("1.2"), "1.2", syntax, "OT", form, (frame,))
    return decode_frame(image, 0, InMemory(data))


GREY_12 = PixelFormat(1, 4, 1, 16, 12, 11, True, "MONOCHROME2")


def test_bits_above_bits_stored_are_no_pixels_and_the_sign_is_extended():
    words = np.array([0x0FFF, 0x7001, 0xF800, 0x07FF], "<u2")

    assert native(words.tobytes(), GREY_12).tolist() == [[-1, 1, -2048, 2047]]


def test_a_single_bit_above_bits_stored_is_found():
    """Frames without any are taken as they are."""
    words = np.array([0, 5, 0x0FFF, 0x1003], "<u2")
    unsigned = replace(GREY_12, is_signed=False)

    assert native(words.tobytes(), unsigned).tolist() == [[0, 5, 4095, 3]]
    assert native(words[:4].tobytes(), replace(unsigned, bits_stored=13, high_bit=12)).tolist() == [[0, 5, 4095, 4099]]
    assert native(np.array([0, -5, 2047, -2048], "<i2").tobytes(), GREY_12).tolist() == [[0, -5, 2047, -2048]]


def test_a_high_bit_above_bits_stored_is_shifted_down():
    words = np.array([0xFFF3, 0x001F, 0x8000, 0x7FF0], "<u2")

    assert native(words.tobytes(), replace(GREY_12, high_bit=15)).tolist() == [[-1, 1, -2048, 2047]]


def test_big_endian_words_are_turned():
    words = np.array([1, 2, 3, 0x0FFE], ">u2")

    assert native(words.tobytes(), GREY_12, syntax=EXPLICIT_BIG_ENDIAN).tolist() == [[1, 2, 3, -2]]


@pytest.mark.parametrize("rows", [3, 4], ids=["odd frames", "even frames"])
def test_8_bit_pixels_in_big_endian_words_are_those_that_pydicom_reads(rows):
    ds = ct_slice()
    stored = np.arange(3 * rows * 5, dtype=np.uint8)
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.PixelRepresentation = rows, 5, 3, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    even = np.append(stored, np.zeros(len(stored) % 2, np.uint8))
    ds["PixelData"] = DataElement("PixelData", "OW", even.reshape(-1, 2)[:, ::-1].tobytes())
    ds.file_meta.TransferSyntaxUID = EXPLICIT_BIG_ENDIAN
    out = BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=False, enforce_file_format=True)
    reader = InMemory(out.getvalue())

    image = parse(reader).image
    assert image is not None

    ours = np.stack([decode_frame(image, n, reader) for n in range(3)])
    assert np.array_equal(ours, dcmread(BytesIO(out.getvalue())).pixel_array)
    assert np.array_equal(ours.ravel(), stored)
    assert b"".join(decoded_frame(image, n, reader) for n in range(3)) == stored.tobytes()


def test_single_bits_begin_within_a_byte():
    form = PixelFormat(2, 3, 1, 1, 1, 0, False, "MONOCHROME2")

    assert native(bytes([0b0111_1000, 0b1]), form, first_bit=3).tolist() == [[1, 1, 1], [1, 0, 1]]


@pytest.mark.parametrize(("planar", "data"), [(0, bytes([1, 2, 3, 4, 5, 6])), (1, bytes([1, 4, 2, 5, 3, 6]))])
def test_both_planar_configurations_give_the_same_pixels(planar, data):
    form = PixelFormat(1, 2, 3, 8, 8, 7, False, "RGB", planar)

    assert native(data, form).tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_ybr_becomes_rgb():
    # PS3.3 C.7.6.3.1.2: red is Y 76, Cb 85, Cr 255; grey has both chrominances in the middle.
    form = PixelFormat(1, 2, 3, 8, 8, 7, False, "YBR_FULL")

    red, grey = native(bytes([76, 85, 255, 100, 128, 128]), form)[0].tolist()

    assert grey == [100, 100, 100]
    assert red == [254, 0, 0]


def test_partial_range_ybr_becomes_rgb_of_the_whole_range():
    # PS3.3 C.7.6.3.1.2, YBR_PARTIAL_422: black is 16, white 235.
    form = PixelFormat(1, 2, 3, 8, 8, 7, False, "YBR_PARTIAL_422")

    assert native(bytes([16, 235, 128, 128]), form).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_lossy_htj2k_does_not_wrap_around(dicom_dir):
    folder = dicom_dir / "10-transfer-syntaxes/other"
    lossy, lossless = (
        decode_frame(*_first(folder / name)).astype(int) for name in ("HTJ2K_08_RGB.dcm", "HTJ2KLossless_08_RGB.dcm")
    )

    assert np.abs(lossy - lossless).max() <= 4


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"])
def test_jpeg_2000_of_part_2_is_decoded_where_each_frame_has_its_own_components(dicom_dir, syntax):
    image, reader = image_and_reader(dicom_dir / "10-transfer-syntaxes/nema-ct1/CT1_J2KR.dcm")
    expected = decode_frame(image, 0, reader)

    assert np.array_equal(decode_frame(replace(image, transfer_syntax_uid=syntax), 0, reader), expected)


def test_jpeg_2000_with_components_of_other_frames_is_refused():
    volume = imagecodecs.jpeg2k_encode(np.zeros((4, 4, 3), np.uint8))
    form = PixelFormat(4, 4, 1, 8, 8, 7, False, "MONOCHROME2")

    with pytest.raises(NotDrawable, match="a picture of 4x4x3, expected 4x4"):
        native(volume, form, syntax="1.2.840.10008.1.2.4.92")


def test_an_object_shorter_than_its_description_is_refused():
    frame = FrameDescription(((0, 8),))
    image = ImageDescription(InstanceUid("1.2"), "1.2", EXPLICIT_LITTLE_ENDIAN, "OT", GREY_12, (frame,))

    with pytest.raises(NotDrawable, match="shorter"):
        decode_frame(image, 0, InMemory(b"1234567"))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.109", "1.2.840.10008.1.2.4.94", "1.2.3"])
def test_unknown_syntaxes_are_refused_by_name(syntax):
    image = ImageDescription(InstanceUid("1.2"), "1.2", syntax, "OT", GREY_12, (FrameDescription(((0, 8),)),))

    with pytest.raises(NotDrawable, match=syntax):
        decode_frame(image, 0, InMemory(bytes(8)))
