"""Whether pictures are right: every decodable real file drawn, beside DCMTK, beside a third opinion, beside shipped pictures.

A file takes the whole road: parsed as at an upload, its frames decoded, drawn by OpenGL and by the NumPy reference, at 1:1. The
same frame with the same window is drawn by DCMTK (``dcmj2pnm`` of Debian's package dcmtk). Where DCMTK has no decoder, or comes
to something else, two witnesses are heard, neither of which shares code with ours:

- *transcoded*: pixels that pydicom decodes with gdcm, OpenJPEG, CharLS or Pillow, written natively and drawn by DCMTK;
- *pydicom*: the same pixels, through pydicom's own modality LUT, VOI LUT and windows in NumPy.

A difference from DCMTK counts as explained only if the property of the file that causes it is in ``EXPLANATIONS`` **and** a
witness comes within 1 of our picture. The files are those of ``APPLIANCE_TEST_DICOM`` or ``../shared/dicom``.

JSON: ``{"truth": {files, compared, equal, within_1, explained, not_compared, unexplained, refused, opengl, notes, references}}``:
files by what became of them, the largest difference between OpenGL and NumPy, and the shipped outputs of others.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.config
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.pixels import pixel_array as pydicom_pixels
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from appliance.domain.errors import ApplianceError
from appliance.domain.grayscale import chosen_voi
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import ImageDescription, Window
from appliance.domain.masks import Mask, mask_of, masked, shutter_grey
from appliance.domain.views import Encoding, SliceView
from appliance.rendering.renderer import Renderer
from appliance.rendering.slices import drawn_plainly, planned
from appliance.storage.attributes import text_of
from appliance.storage.decoding import decode_frame, decode_overlay
from appliance.storage.parsing import image_of, read_header
from appliance.storage.stream import InMemory
from appliance.storage.transfer_syntaxes import CODECS, EXPLICIT_BIG_ENDIAN, Codec
from benchmarks import references

Say = Callable[[str], None]
Picture = NDArray[np.uint8]

_ROOT = Path(__file__).resolve().parent.parent
_PNG = Encoding("image/png")
_QUICK_STRIDE = 16
"""Of the slices of one volume, which are alike, the quick run takes every so many."""
_JPEG_XL = ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112")
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


@dataclass(frozen=True)
class Drawn:
    """One frame of a file, as the appliance draws it, and all that a witness needs to draw it too."""

    path: Path
    image: ImageDescription
    frame_index: int
    window: Window | None
    stored: NDArray[Any]
    mask: Mask | None
    pixels: Picture

    @cached_property
    def ds(self) -> Dataset:
        """As pydicom reads it, which refuses more than we do."""
        return pydicom.dcmread(self.path, force=True)


@dataclass(frozen=True)
class Explanation:
    """Why DCMTK draws a kind of file differently, and how that kind is known."""

    reason: str
    applies: Callable[[Drawn], bool]


def _is_fractional(ours: Drawn) -> bool:
    frame = ours.image.frames[ours.frame_index]
    return not (frame.rescale_slope.is_integer() and frame.rescale_intercept.is_integer())


def _has_rescale_of_frame(ours: Drawn) -> bool:
    """Whether the frame's rescale stands in its functional groups and not in the data set."""
    frame = ours.image.frames[ours.frame_index]
    return "RescaleSlope" not in ours.ds and (frame.rescale_slope, frame.rescale_intercept) != (1.0, 0.0)


EXPLANATIONS = (
    Explanation("DCMTK does not read the rescale of a frame's functional groups", _has_rescale_of_frame),
    Explanation("DCMTK rounds rescaled values to whole numbers before the window", _is_fractional),
    Explanation(
        "DCMTK takes the photometric interpretation RGB of a lossy JPEG for true though its stream says YCbCr",
        lambda ours: (
            ours.image.pixel_format.photometric_interpretation == "RGB"
            and CODECS[ours.image.transfer_syntax_uid] is Codec.JPEG
        ),
    ),
    Explanation(
        "DCMTK turns YBR_FULL into RGB by integer tables, which round twice",
        lambda ours: ours.image.pixel_format.photometric_interpretation.startswith("YBR_FULL"),
    ),
    Explanation(
        "DCMTK does not turn the bytes of 32 bit pixels in big endian",
        lambda ours: (
            ours.image.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN and ours.image.pixel_format.bits_allocated == 32
        ),
    ),
)
"""The first that applies is given."""


@dataclass
class Verdict:
    """What became of a file."""

    path: str
    kind: str
    """equal, within 1, explained, unexplained, refused, or not compared."""
    note: str = ""
    opengl: int = 0
    """The largest difference between the picture of OpenGL and that of NumPy."""


@dataclass
class Tally:
    verdicts: list[Verdict] = field(default_factory=list)

    def of(self, kind: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.kind == kind]


def dicom_folder() -> Path:
    return Path(os.environ.get("APPLIANCE_TEST_DICOM", _ROOT.parent / "shared" / "dicom"))


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    folder = dicom_folder()
    renderer = Renderer()
    tally = Tally()
    files = list(_files(folder, quick=quick))
    for number, name in enumerate(files):
        if number % 100 == 0:
            say(f"{number} of {len(files)} files")
        tally.verdicts.append(_judged(folder, name, renderer, frames=1 if quick else 3))
    renderer.close()
    say("references")
    return {"truth": {**_figures(tally), "references": _references(folder)}}


def _references(folder: Path) -> dict[str, int]:
    """How many outputs that others shipped there are, and how many of them we come to."""
    pictures = [references.is_near(one, references.picture_difference(folder, one)) for one in references.PICTURES]
    planes = [references.volume_planes(folder, name) for name in references.VOLUMES]
    segments = [references.segment_counts(folder, file) for file in references.SEGMENTATIONS]
    counts = [len(names) for names in references.SEGMENTATIONS.values()]
    agreeing = sum(pictures) + sum(found == looked_for for looked_for, found in planes)
    agreeing += sum(count for count, (ours, theirs) in zip(counts, segments, strict=True) if ours == theirs)
    return {"files": len(pictures) + len(planes) + sum(counts), "agreeing": agreeing}


def _files(folder: Path, *, quick: bool) -> Iterator[str]:
    """Those that hold pixels which someone can decode, and those that only we may be able to."""
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    volumes: Counter[str] = Counter()
    for file in listed:
        path = str(file["path"])
        if file["kind"] != "dicom" or file.get("decodable") in ("no pixel data", None):
            continue
        if path.startswith("01-"):
            volumes[str(Path(path).parent)] += 1
            if quick and volumes[str(Path(path).parent)] % _QUICK_STRIDE != 1:
                continue
        yield path


def _judged(folder: Path, name: str, renderer: Renderer, *, frames: int) -> Verdict:
    path = folder / name
    reader = InMemory(path.read_bytes())
    try:
        header = read_header(reader)  # and not ``parse``: samples of codecs have no UIDs, and are pictures all the same
        image = image_of(header, InstanceUid("1.2"), text_of(header.ds, "SOPClassUID"))
        image = replace(image, pixel_aspect_ratio=1.0)  # DCMTK writes pixels as they are stored
        indices = sorted({0, len(image.frames) // 2, len(image.frames) - 1} if frames > 1 else {0})
        verdicts = [_frame_judged(_drawn(path, image, index, reader), renderer) for index in indices]
    except ApplianceError as error:
        return Verdict(name, "refused", error.message)
    worst = max(verdicts, key=lambda verdict: _SEVERITY.index(verdict.kind))
    return Verdict(name, worst.kind, worst.note, max(verdict.opengl for verdict in verdicts))


_SEVERITY = ("equal", "within 1", "explained", "not compared", "unexplained")


def _drawn(path: Path, image: ImageDescription, frame_index: int, reader: InMemory) -> Drawn:
    stored = decode_frame(image, frame_index, reader)
    voi = None if image.is_colour else chosen_voi(stored, image, frame_index, None)
    window = voi if isinstance(voi, Window) else None
    view = SliceView(image.instance_uid, frame_index, _PNG, window)
    mask = mask_of(image, frame_index, lambda overlay: decode_overlay(image, frame_index, overlay, reader))
    pixels = drawn_plainly(stored, image, frame_index, view, planned(image, view), mask=mask)
    return Drawn(path, image, frame_index, window, stored, mask, pixels)


def _frame_judged(ours: Drawn, renderer: Renderer) -> Verdict:
    view = SliceView(ours.image.instance_uid, ours.frame_index, _PNG, ours.window)
    by_card = renderer.slices.draw(
        ours.stored, ours.image, ours.frame_index, view, planned(ours.image, view), mask=ours.mask
    )
    opengl = _difference(ours.pixels, by_card)
    dcmtk = _dcmtk(ours.path, ours)
    if dcmtk is not None and (distance := _distance(ours, dcmtk)) <= 1:
        return Verdict("", "equal" if distance == 0 else "within 1", "", opengl)
    witnesses = list(_witnesses(ours))
    if dcmtk is None:
        for witness, picture in witnesses:
            if (distance := _distance(ours, picture)) <= 1:
                return Verdict("", "equal" if distance == 0 else "within 1", f"DCMTK refuses; {witness}", opengl)
    found = f"DCMTK {'refuses' if dcmtk is None else _distance(ours, dcmtk)}"
    found += "".join(f", {witness} {_distance(ours, picture)}" for witness, picture in witnesses)
    if dcmtk is None and not witnesses:
        return Verdict("", "not compared", "nobody else reads it", opengl)
    agreed = [witness for witness, picture in witnesses if _distance(ours, picture) <= 1]
    for explanation in EXPLANATIONS:
        if agreed and explanation.applies(ours):
            return Verdict("", "explained", f"{explanation.reason} ({found})", opengl)
    return Verdict("", "unexplained", found, opengl)


def _distance(ours: Drawn, other: Picture) -> int:
    """The largest difference outside of padding, whose grey the standard leaves open."""
    pixels = ours.pixels
    if pixels.ndim == 3 and other.ndim == 2:
        other = np.repeat(other[..., np.newaxis], 3, axis=2)
    if pixels.ndim == 2 and other.ndim == 3:
        pixels = np.repeat(pixels[..., np.newaxis], 3, axis=2)
    if pixels.shape != other.shape:
        return 256
    difference = np.abs(pixels.astype(int) - other)
    if ours.image.pixel_format.padding is not None and not ours.image.is_colour:
        low, high = ours.image.pixel_format.padding
        difference = difference[(ours.stored < low) | (ours.stored > high)]
    return int(difference.max(initial=0))


def _difference(one: Picture, other: Picture) -> int:
    return int(np.abs(one.astype(int) - other).max(initial=0))


# DCMTK


def _dcmtk(path: Path, ours: Drawn, frame_index: int | None = None) -> Picture | None:
    """The frame as DCMTK draws it with our window; None where it refuses."""
    number = ours.frame_index if frame_index is None else frame_index
    command = ["dcmj2pnm", "-q", "+op", "+F", str(number + 1), *_window_arguments(ours), str(path)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    return _pnm(done.stdout) if done.returncode == 0 else None


def _window_arguments(ours: Drawn) -> list[str]:
    if ours.image.is_colour:
        return []
    window = ours.window
    if window is None:
        return ["+Wl", "1"]
    center, width, function = window.center, window.width, "+Wfl"
    if window.function == "linear-exact":  # the same line, written as LINEAR (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2)
        center, width = center + 0.5, width + 1
    elif window.function == "sigmoid":
        function = "+Wfs"
    return ["+Ww", repr(center), repr(width), function]


def _pnm(data: bytes) -> Picture | None:
    """A binary or ASCII PGM or PPM."""
    parts = data.split(None, 4)
    if len(parts) < 5 or parts[0] not in (b"P2", b"P3", b"P5", b"P6"):
        return None
    width, height = int(parts[1]), int(parts[2])
    channels = 3 if parts[0] in (b"P3", b"P6") else 1
    if parts[0] in (b"P5", b"P6"):
        values = np.frombuffer(data[-width * height * channels :], np.uint8)
    else:
        values = np.array(parts[4].split(), np.uint8)
    return values.reshape((height, width) if channels == 1 else (height, width, 3))


# Witnesses


def _witnesses(ours: Drawn) -> Iterator[tuple[str, Picture]]:
    try:
        values = _decoded_by_others(ours)
    except Exception:  # a witness that cannot speak, for whatever reason, is no witness
        return
    for name, draw in (("transcoded", _transcoded), ("pydicom", _through_pydicom)):
        try:
            picture = draw(ours, values)
        except Exception:
            continue
        if picture is not None:
            yield name, picture if ours.mask is None else masked(picture, ours.mask, _grey_of_shutter(ours))


def _grey_of_shutter(ours: Drawn) -> int:
    return shutter_grey(ours.image, ours.frame_index)


def _decoded_by_others(ours: Drawn) -> NDArray[Any]:
    """The frame's stored values, colours in RGB, by decoders that are not ours."""
    syntax = str(ours.ds.file_meta.get("TransferSyntaxUID", ""))
    by_hand = _BY_HAND.get(syntax)
    if by_hand is not None and (syntax != RLELossless or ours.image.pixel_format.bits_allocated == 1):
        count = int(ours.ds.get("NumberOfFrames", 1))
        return by_hand(ours, pydicom.encaps.get_frame(ours.ds.PixelData, ours.frame_index, number_of_frames=count))
    for keyword, usual in (("PixelRepresentation", 0), ("SamplesPerPixel", 1)):
        if keyword not in ours.ds:
            setattr(ours.ds, keyword, usual)
    return np.asarray(pydicom_pixels(ours.ds, index=ours.frame_index))


def _jpeg_xl(ours: Drawn, data: bytes) -> NDArray[Any]:
    """By ``djxl`` of Debian's package libjxl-tools, another build of libjxl than that of our decoder."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "frame.jxl"), Path(folder, "frame.pgm")
        source.write_bytes(data)
        subprocess.run(["djxl", str(source), str(target)], check=True, capture_output=True, timeout=120)
        # PGM of more than 8 bits is big endian; its largest value is that of the stream, not of 16 bits.
        magic, width, height, largest = target.read_bytes().split(None, 4)[:4]
        kind = ">u2" if int(largest) > 255 else "u1"
        area = int(width) * int(height) * (3 if magic == b"P6" else 1)
        values = np.frombuffer(target.read_bytes()[-area * np.dtype(kind).itemsize :], kind)
    return values.reshape(ours.stored.shape).astype(ours.stored.dtype)


def _inflated(ours: Drawn, data: bytes) -> NDArray[Any]:
    return _native(ours, zlib.decompress(data, -zlib.MAX_WBITS))


def _run_lengths(ours: Drawn, data: bytes) -> NDArray[Any]:
    """RLE of one bit (PS3.5 annex G), which pydicom refuses, in plain Python."""
    unpacked, at = bytearray(), int.from_bytes(data[4:8], "little")
    while at < len(data) - 1:
        count, at = data[at], at + 1
        if count < 128:
            unpacked += data[at : at + count + 1]
            at += count + 1
        elif count > 128:
            unpacked += data[at : at + 1] * (257 - count)
            at += 1
    return _native(ours, bytes(unpacked))


def _native(ours: Drawn, data: bytes) -> NDArray[Any]:
    form = ours.image.pixel_format
    if form.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[: form.rows * form.columns].reshape(form.rows, form.columns)
    return np.frombuffer(data, ours.stored.dtype).reshape(ours.stored.shape)


_BY_HAND: dict[str, Callable[[Drawn, bytes], NDArray[Any]]] = {
    **dict.fromkeys(_JPEG_XL, _jpeg_xl),
    _DEFLATED_FRAMES: _inflated,
    RLELossless: _run_lengths,
}
"""What pydicom has no decoder for."""


_COLOURS = ("Red", "Green", "Blue")
_IMAGE_KEYWORDS = (
    *("SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "ModalityLUTSequence", "VOILUTSequence", "PresentationLUTShape"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _COLOURS),
)
"""What DCMTK needs to draw a frame."""


def _transcoded(ours: Drawn, values: NDArray[Any]) -> Picture | None:
    """``values`` written as a native file of one frame, drawn by DCMTK."""
    if values.dtype.kind == "f":
        return None
    ds = Dataset()
    for keyword in _IMAGE_KEYWORDS:
        if keyword in ours.ds:
            ds.add(ours.ds[keyword])
    if values.ndim == 2 and not ours.image.is_colour:
        frame = ours.image.frames[ours.frame_index]
        if ours.image.modality_lut is None:
            ds.RescaleSlope, ds.RescaleIntercept = repr(frame.rescale_slope)[:16], repr(frame.rescale_intercept)[:16]
            ds.RescaleType = "US"
    ds.NumberOfFrames = 1
    ds.SOPInstanceUID, ds.SOPClassUID = "1.2.3", "1.2.840.10008.5.1.4.1.1.7"
    if values.ndim == 3:
        ds.PhotometricInterpretation, ds.PlanarConfiguration = "RGB", 0
    if values.dtype.itemsize * 8 != ds.BitsAllocated:
        ds.BitsAllocated = ds.BitsStored = values.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes()
    ds.PixelData += b"\0" * (len(ds.PixelData) % 2)
    ds["PixelData"].VR = "OW"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        content = DicomBytesIO()
        pydicom.dcmwrite(content, ds, enforce_file_format=True, little_endian=True, implicit_vr=False)
        file.write(content.getvalue())
        file.flush()
        return _dcmtk(Path(file.name), ours, 0)


def _through_pydicom(ours: Drawn, values: NDArray[Any]) -> Picture | None:
    """``values`` through the grey-scale pipeline of pydicom, or its palette."""
    ds, image = ours.ds, ours.image
    if values.ndim == 3:
        shift = max(image.pixel_format.bits_stored - 8, 0)
        return np.asarray(values >> shift, np.uint8)
    if image.palette is not None:
        colours = apply_color_lut(values, ds)[..., :3]
        return np.asarray(colours >> (8 * (colours.dtype.itemsize - 1)), np.uint8)
    if image.modality_lut is not None:
        after = np.asarray(apply_modality_lut(values, ds), np.float64)
    else:
        frame = image.frames[ours.frame_index]
        after = values.astype(np.float64) * frame.rescale_slope + frame.rescale_intercept
    window = ours.window
    if window is None:
        after = after.astype(np.int64)
        grey = apply_voi_lut(after, ds).astype(np.float64) / ((1 << image.voi_luts[0].bits) - 1)
    else:
        given = Dataset()
        given.PhotometricInterpretation, given.BitsStored, given.PixelRepresentation = "MONOCHROME2", 16, 0
        given.WindowCenter, given.WindowWidth = window.center, window.width
        given.VOILUTFunction = window.function.upper().replace("-", "_")
        given.RescaleSlope, given.RescaleIntercept = 1, 0
        grey = apply_windowing(after, given) / 65535.0
    if image.presentation_inverse or image.pixel_format.photometric_interpretation == "MONOCHROME1":
        grey = 1 - grey
    return np.asarray(np.rint(np.clip(grey, 0, 1) * 255), np.uint8)


# Figures


def _figures(tally: Tally) -> dict[str, Any]:
    refused, not_compared = tally.of("refused"), tally.of("not compared")
    return {
        "files": len(tally.verdicts),
        "compared": len(tally.verdicts) - len(refused) - len(not_compared),
        "equal": len(tally.of("equal")),
        "within_1": len(tally.of("within 1")),
        "explained": len(tally.of("explained")),
        "not_compared": len(not_compared),
        "unexplained": len(tally.of("unexplained")),
        "refused": len(refused),
        "opengl": max((verdict.opengl for verdict in tally.verdicts), default=0),
        "notes": [
            {"file": v.path, "kind": v.kind, "note": v.note} for v in tally.verdicts if v.kind != "equal" and v.note
        ],
    }


def show(figures: dict[str, Any]) -> None:
    truth = figures["truth"]
    for name, value in truth.items():
        if name != "notes":
            print(f"{name:>12} {value}")
    for note in truth["notes"]:
        print(f"{note['kind']:>12}  {note['file']}: {note['note']}")
