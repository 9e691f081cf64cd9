"""Pictures, volumes and segmentations that other programs made of real files, and how near the appliance comes to them.

They lie in ``reference/`` beside the files. ``dcmtk`` is DCMTK 3.6.7, ``dicomts`` dicom.ts in a browser, ``orthanc`` Orthanc,
``weasis`` Weasis; volumes are of dcm2niix and dicom2nifti, segmentations of dcmqi.
"""

from __future__ import annotations

import gzip
import itertools
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray

from appliance.domain.grayscale import modality_values
from appliance.domain.image import ImageDescription, Window
from appliance.domain.masks import mask_of
from appliance.domain.presentations import presented_as
from appliance.domain.views import Encoding, Region, SliceView, Viewport
from appliance.rendering.slices import drawn_plainly, planned
from appliance.storage.decoding import decode_frame, decode_overlay
from appliance.storage.parsing import parse, read_header
from appliance.storage.presentation_states import presentation_of
from appliance.storage.stream import InMemory


@dataclass(frozen=True)
class Picture:
    """A picture that others drew of a frame."""

    reference: str
    file: str
    window: Literal["file", "lut", "range", "stored"]
    """The file's first; its VOI LUT; from the least to the largest value; 0 to 255."""
    tolerance: int = 1
    """Largest difference of 255."""
    region: tuple[int, int, int, int] | None = None
    """x, y, width, height."""
    frame: int = 0
    state: str = ""
    """The presentation state that it was drawn by."""
    with_overlays: bool = True
    has_coloured_overlays: bool = False
    """What is in colour are overlays, which we draw in white."""
    mean_tolerance: float | None = None
    """Of lossy JPEG, whose colours are interpolated differently at edges: the mean difference instead of the largest."""


PICTURES = (
    Picture("dcmtk/lidc-080-win1", "01-volumes/ct-chest-lidc-0314-original/080.implicit-le", "file"),
    Picture("dcmtk/ge-tilt-014-win1", "01-volumes/ct-head-variable-tilt-ge/014", "file"),
    Picture("dcmtk/overlay-mr-win1", "11-pixel-encodings/examples_overlay", "file"),
    Picture("dcmtk/overlay-mr-win1-no-overlay", "11-pixel-encodings/examples_overlay", "file", with_overlays=False),
    Picture("dcmtk/nonsquare-mr-win1", "11-pixel-encodings/explicit_mr_16bit_mono2_non-square_pal_icon", "file"),
    Picture("dcmtk/cr-modality-lut", "04-xray/CR-ModalitySequenceLUT", "range"),
    Picture("dcmtk/mlut_18", "11-pixel-encodings/mlut_18", "range"),
    Picture("dcmtk/cr-mono1-minmax", "11-pixel-encodings/gdcm-CR-MONO1-10-chest", "range"),
    Picture("dcmtk/signed-9bit-minmax", "11-pixel-encodings/signed-raw-9bit", "range"),
    Picture("dcmtk/vlut_04", "11-pixel-encodings/vlut_04", "lut"),
    Picture("dcmtk/dx-voilut1-clip", "04-xray/DX-C3L-00277", "lut", region=(700, 0, 600, 505)),
    Picture("dcmtk/dx-win1-clip", "04-xray/DX-C3L-00277", "file", region=(700, 0, 600, 505)),
    Picture("dcmtk/mg-sigmoid-win1-clip", "04-xray/MG-GH133", "file", 5, (900, 1200, 600, 600)),
    Picture("dcmtk/mg-voilut1-clip", "04-xray/MG-GH133", "lut", 5, (900, 1200, 600, 600)),
    Picture("dcmtk/us-palette", "03-ultrasound/examples_palette", "file"),
    Picture("dcmtk/pm5644-palette16", "06-secondary-capture/PM5644-960x540_Palette_16", "file"),
    Picture("dcmtk/color-pl", "03-ultrasound/color-pl", "file", 0),
    Picture("dcmtk/ybr422-raw", "03-ultrasound/YBR_422", "file", 2),
    Picture("dcmtk/ybr-rle", "03-ultrasound/YBR_FULL-RLE", "file", 2),
    Picture(
        "dcmtk/pm5644-jpeg-ybr422", "06-secondary-capture/PM5644-960x540_JPEG-Baseline_YBR422", "file",
        mean_tolerance=1.0,
    ),
    Picture("dcmtk/gsps-overlay", "09-documents/overlay", "file", state="09-documents/prOverlay", with_overlays=False),
    Picture(
        "weasis-expected_overlay", "09-documents/overlay", "file", state="09-documents/prOverlay",
        has_coloured_overlays=True,
    ),
    Picture("weasis-expected_imgForPrLUT", "09-documents/imageForPrLUTs", "file", state="09-documents/prLUTs"),
    Picture("dicomts-NM1_RLE-minmax", "10-transfer-syntaxes/nema-nm1/NM1_RLE", "range"),
    Picture("dicomts-CT1_RLE-minmax", "10-transfer-syntaxes/nema-ct1/CT1_RLE", "range"),
    Picture("dicomts-XA1_JLSL", "10-transfer-syntaxes/nema-xa1/XA1_JLSL", "range"),
    Picture("dicomts-US1_J2KI", "10-transfer-syntaxes/nema-us1/US1_J2KI", "file"),
    Picture("dicomts-US-PAL-8-10x-echo", "03-ultrasound/US-PAL-8-10x-echo", "file"),
    Picture("dicomts-BRMULTI-frame0", "02-enhanced-multiframe/BRMULTI", "range"),
    Picture("dicomts-BRMULTI-frame11", "02-enhanced-multiframe/BRMULTI", "range", frame=11),
    Picture("orthanc-ColorTestMalaterre", "11-pixel-encodings/ColorTestMalaterre", "file", 0),
    Picture("orthanc-KarstenHilbertRF", "04-xray/RF-KarstenHilbert", "stored"),
)  # fmt: skip

VOLUMES = {
    "dcm-qa-ts.nii": ("10-transfer-syntaxes/dcm-qa-ts/*.dcm", 9),
    "dcm-qa-12bit-2.nii": ("11-pixel-encodings/12bitUnsigned.dcm", 1),
    "dcm-qa-12bit-3.nii": ("11-pixel-encodings/12bitUnsigned_0x0F0F.dcm", 1),
    "dcm-qa-12bit-4.nii": ("11-pixel-encodings/12bitSigned_0x0F0F.dcm", 1),
    "dcm-qa-enh-siemens.nii": ("02-enhanced-multiframe/6_*.dcm", 1),
    "d2n-siemens-multiframe.nii.gz": ("02-enhanced-multiframe/d2n-siemens-multiframe.dcm", 1),
    "d2n-hyperfine.nii.gz": ("02-enhanced-multiframe/d2n-hyperfine.dcm", 1),
    "d2n-philips-enhanced-fmri.nii.gz": ("02-enhanced-multiframe/d2n-philips-enhanced-fmri.dcm", 1),
    "d2n-non-isotropic.nii.gz": ("11-pixel-encodings/d2n-non-isotropic-*.dcm", 1),
}
"""By the reference the files that it was made of, and how often the files have all of it."""

SEGMENTATIONS = {
    "08-seg-parametric/liver": ("liver_seg",),
    "08-seg-parametric/partial_overlaps": ("partial_overlaps-1", "partial_overlaps-2", "partial_overlaps-3"),
    "08-seg-parametric/sparse-labelmap-noppv": ("sparse_labelmap_noppv_seg",),
}

_NIFTI_TYPES = {4: "<i2", 16: "<f4", 64: "<f8", 512: "<u2"}


def picture_difference(folder: Path, one: Picture) -> float:
    """The largest difference, or the mean where ``one`` is held to that; 256 for another size."""
    pixels, expected = _drawn(folder, one), _png(folder / "reference" / f"{one.reference}.png")
    if one.has_coloured_overlays:
        is_overlay = expected.max(axis=2) > expected.min(axis=2)
        expected = np.where(is_overlay, 255, expected[..., 0])
    if expected.ndim > pixels.ndim:
        expected = expected[..., 0]
    elif expected.ndim == 3:
        expected = expected[..., : pixels.shape[-1]]
    if pixels.shape[:2] != expected.shape[:2]:
        return 256
    if not one.with_overlays and one.state:  # what lies under them only
        keep = _drawn(folder, replace(one, with_overlays=True)) == pixels
        pixels, expected = pixels[keep], expected[keep]
    difference = np.abs(pixels.astype(int) - expected)
    return float(difference.max() if one.mean_tolerance is None else difference.mean())


def is_near(one: Picture, difference: float) -> bool:
    return difference <= (one.tolerance if one.mean_tolerance is None else one.mean_tolerance)


def _png(path: Path) -> NDArray[Any]:
    return np.asarray(imagecodecs.png_decode(path.read_bytes())).astype(int)


def _drawn(folder: Path, one: Picture) -> NDArray[np.uint8]:
    reader = InMemory((folder / f"{one.file}.dcm").read_bytes())
    image = parse(reader).image
    assert image is not None
    if one.state:
        state = presentation_of(read_header(InMemory((folder / f"{one.state}.dcm").read_bytes())))
        image = presented_as(image, one.frame, state)
    image = replace(image, pixel_aspect_ratio=1.0)  # others write pixels as they are stored, not in their aspect
    if one.window == "lut":
        assert image.voi_luts
        image = replace(image, frames=tuple(replace(frame, windows=()) for frame in image.frames))
    stored = decode_frame(image, one.frame, reader)
    window = Window(127.5, 255, "linear-exact") if one.window == "stored" else None
    if one.window == "range" and not image.is_colour:
        window = _range_window(modality_values(stored, image, one.frame))
    viewport = Viewport(*one.region[2:], Region(*one.region)) if one.region else None
    view = SliceView(image.instance_uid, one.frame, Encoding("image/png"), window, viewport)
    mask = None
    if one.with_overlays:
        mask = mask_of(image, one.frame, lambda overlay: decode_overlay(image, one.frame, overlay, reader))
    return drawn_plainly(stored, image, one.frame, view, planned(image, view), mask=mask)


def _range_window(values: NDArray[Any]) -> Window:
    low, high = float(values.min()), float(values.max())
    return Window((low + high) / 2, high - low, "linear-exact")


def volume_planes(folder: Path, name: str) -> tuple[int, int]:
    """How many planes of a reference volume were looked for, and how many of them our values hold exactly."""
    pattern, times = VOLUMES[name]
    planes = _nifti_planes(folder / "reference" / name)
    rows, columns = planes[0].shape
    ours = Counter(
        _digest(tile)
        for path in sorted(folder.glob(pattern))
        for values in _values(path)
        for tile in _tiles(values, rows, columns)
    )
    found = 0
    for flips in itertools.product((1, -1), repeat=2):  # programs differ in which way the axes go
        theirs = Counter(_digest(plane[:: flips[0], :: flips[1]]) for plane in planes)
        found = max(found, sum(min(count, ours[key] // times) for key, count in theirs.items()))
    return len(planes), found


def _digest(plane: NDArray[Any]) -> bytes:
    return np.round(plane.astype(np.float64), 2).tobytes()


def _values(path: Path) -> Iterator[NDArray[Any]]:
    reader = InMemory(path.read_bytes())
    image: ImageDescription | None = parse(reader).image
    assert image is not None
    for number in range(len(image.frames)):
        yield modality_values(decode_frame(image, number, reader), image, number)


def _tiles(values: NDArray[Any], rows: int, columns: int) -> Iterator[NDArray[Any]]:
    """The pictures of a mosaic; the whole where it is none."""
    for row in range(0, values.shape[0] - rows + 1, rows):
        for column in range(0, values.shape[1] - columns + 1, columns):
            yield values[row : row + rows, column : column + columns]


def _nifti_planes(path: Path) -> list[NDArray[Any]]:
    """Planes, (rows, columns), of a NIfTI-1 file (https://nifti.nimh.nih.gov/nifti-1)."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    dimensions = struct.unpack_from("<8h", data, 40)
    kind, offset = struct.unpack_from("<h", data, 70)[0], int(struct.unpack_from("<f", data, 108)[0])
    slope, intercept = struct.unpack_from("<2f", data, 112)
    columns, rows, *others = dimensions[1 : 1 + dimensions[0]]
    count = int(np.prod(others))
    values = np.frombuffer(data, _NIFTI_TYPES[kind], count * rows * columns, offset).reshape(count, rows, columns)
    return list(values * (slope or 1.0) + intercept)


def segment_counts(folder: Path, file: str) -> tuple[Counter[int], Counter[int]]:
    """Pixels of each segment as we decode them, and as dcmqi has them."""
    path = folder / f"{file}.dcm"
    reader = InMemory(path.read_bytes())
    image = parse(reader).image
    assert image is not None
    ours: Counter[int] = Counter()
    groups = pydicom.dcmread(path, stop_before_pixels=True).PerFrameFunctionalGroupsSequence
    for number, group in enumerate(groups):
        values = decode_frame(image, number, reader)
        if "SegmentIdentificationSequence" in group:
            segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            ours[segment] += int(values.astype(bool).sum())
        else:  # a label map: the values are the segments
            ours.update(values[values > 0].tolist())
    theirs: Counter[int] = Counter()
    for name in SEGMENTATIONS[file]:
        head, _, body = (folder / "reference" / f"{name}.nrrd").read_bytes().partition(b"\n\n")
        assert b"type: short" in head
        labels = np.frombuffer(gzip.decompress(body), "<i2")
        theirs.update(labels[labels > 0].tolist())
    return +ours, theirs
