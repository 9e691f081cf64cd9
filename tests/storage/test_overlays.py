"""Overlays and shutters of headers: of real files, and of data sets made here attribute by attribute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite

from appliance.domain.image import ImageDescription, Shutter
from appliance.domain.masks import COVERED, DRAWN, mask_of
from appliance.storage.decoding import decode_frame, decode_overlay
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory


def described(data: bytes) -> tuple[ImageDescription, InMemory]:
    reader = InMemory(data)
    image = parse(reader).image
    assert image is not None
    return image, reader


def mask(data: bytes, frame_index: int = 0) -> np.ndarray | None:
    image, reader = described(data)
    return mask_of(image, frame_index, lambda overlay: decode_overlay(image, frame_index, overlay, reader))


def picture(*, frames: int = 1, stored: np.ndarray | None = None) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.3", "1.2.3.1", "OT"
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SamplesPerPixel = 3, 5, frames, 1
    ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored, ds.HighBit = "MONOCHROME2", 16, 12, 11
    ds.PixelRepresentation = 0
    ds.PixelData = (np.zeros((frames, 3, 5), "<u2") if stored is None else stored).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def add_overlay(
    ds: Dataset, bits: np.ndarray, *, group: int = 0x6000, frames: int = 1, first: int | None = None
) -> None:
    rows, columns = bits.shape[-2:]
    ds.add_new((group, 0x0010), "US", rows)
    ds.add_new((group, 0x0011), "US", columns)
    ds.add_new((group, 0x0040), "CS", "G")
    ds.add_new((group, 0x0050), "SS", [1, 1])
    ds.add_new((group, 0x0100), "US", 1)
    ds.add_new((group, 0x0102), "US", 0)
    if frames > 1:
        ds.add_new((group, 0x0015), "IS", frames)
    if first is not None:
        ds.add_new((group, 0x0051), "US", first)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    ds.add_new((group, 0x3000), "OW", packed + b"\0" * (len(packed) % 2))


def encoded(ds: Dataset, *, syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    out = DicomBytesIO()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


BITS = np.array([[1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0]], bool)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
def test_the_bits_of_an_overlay_are_found_where_they_lie(syntax: str) -> None:
    ds = picture()
    add_overlay(ds, BITS)

    assert np.array_equal(mask(encoded(ds, syntax=syntax)) == DRAWN, BITS)


def test_an_overlay_in_the_bits_above_the_pixels_is_drawn_and_is_no_pixel() -> None:
    stored = np.arange(15, dtype="<u2").reshape(1, 3, 5) | BITS.astype("<u2") << 14
    ds = picture(stored=stored)
    for element, vr, value in ((0x10, "US", 3), (0x11, "US", 5), (0x100, "US", 16), (0x102, "US", 14)):
        ds.add_new((0x6002, element), vr, value)
    data = encoded(ds)
    image, reader = described(data)

    assert np.array_equal(mask(data) == DRAWN, BITS)
    assert decode_frame(image, 0, reader).ravel().tolist() == list(range(15))


def test_frames_of_an_overlay_lie_over_the_frames_from_its_first_on() -> None:
    ds = picture(frames=4)
    add_overlay(ds, np.stack([BITS, ~BITS]), frames=2, first=2)
    data = encoded(ds)

    assert mask(data, 0) is None
    assert np.array_equal(mask(data, 1) == DRAWN, BITS)
    assert np.array_equal(mask(data, 2) == DRAWN, ~BITS)
    assert mask(data, 3) is None


def test_a_single_overlay_lies_over_every_frame() -> None:
    ds = picture(frames=2)
    add_overlay(ds, BITS)
    data = encoded(ds)

    assert np.array_equal(mask(data, 1) == DRAWN, BITS)


def test_an_overlay_with_too_few_bits_is_left_out() -> None:
    ds = picture()
    add_overlay(ds, BITS)
    ds[0x6000, 0x0010].value = 300

    assert mask(encoded(ds)) is None


def test_all_shapes_of_a_shutter_are_read() -> None:
    ds = picture()
    ds.ShutterShape = ["RECTANGULAR", "CIRCULAR", "POLYGONAL"]
    ds.ShutterUpperHorizontalEdge, ds.ShutterLowerHorizontalEdge = 1, 3
    ds.ShutterLeftVerticalEdge, ds.ShutterRightVerticalEdge = 2, 4
    ds.CenterOfCircularShutter, ds.RadiusOfCircularShutter = [2, 3], 2
    ds.VerticesOfThePolygonalShutter = [1, 1, 1, 5, 3, 5]
    ds.ShutterPresentationValue = 0x8000

    image, _ = described(encoded(ds))

    polygon = ((0.0, 0.0), (0.0, 4.0), (2.0, 4.0))
    assert image.frames[0].shutter == Shutter((0, 2, 1, 3), (1.0, 2.0, 2.0), polygon, grey=0x80)


def test_a_bitmap_of_the_image_itself_covers_and_is_not_drawn() -> None:
    ds = picture()
    add_overlay(ds, BITS)
    ds.ShutterShape, ds.ShutterOverlayGroup, ds.ShutterPresentationValue = "BITMAP", 0x6000, 0x4000
    data = encoded(ds)
    image, _ = described(data)

    assert np.array_equal(mask(data) == COVERED, BITS)
    assert not (mask(data) == DRAWN).any()
    assert (image.frames[0].overlays, image.frames[0].shutter.grey) == ((), 0x40)


def test_a_bitmap_shutter_without_its_overlay_covers_nothing() -> None:
    ds = picture()
    ds.ShutterShape, ds.ShutterOverlayGroup = "BITMAP", 0x6002

    assert mask(encoded(ds)) is None


def test_the_shutter_of_a_real_angiogram_covers_what_is_beside_its_edges(dicom_dir: Path) -> None:
    covered = mask((dicom_dir / "04-xray/XA-private-sequence.dcm").read_bytes()) == COVERED

    assert covered[:117].all()
    assert not covered[117:907].any()
    assert covered[907:].all()


def test_four_overlays_of_a_real_file_are_drawn(dicom_dir: Path) -> None:
    image, _ = described((dicom_dir / "09-documents/overlay.dcm").read_bytes())

    assert [overlay.embedded_bit for overlay in image.frames[0].overlays] == [15, 14, None, None]
