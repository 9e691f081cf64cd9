"""What has to be known of an instance to draw it, taken from its header once, when it is stored.

The render road never parses DICOM: an ``ImageDescription`` says where in the stored bytes each frame lies and how its
values are to be understood. It is kept beside the instance and travels to the render process as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from appliance.domain.identifiers import InstanceUid, SeriesUid

DESCRIPTION_VERSION = 5
"""Of what an ``ImageDescription`` says of a file; raised whenever that becomes more, or something else.

Instances that an older program described are described again from their bytes (``services.reconciliation``). The first version
knew no overlays, shutters, profiles, videos or presentation LUTs, and refused images that this one draws; the second knew no
VOI LUTs of single frames and no bitmap shutters, and refused 8 bit pixels in big endian words; the third did not
say how a projection lies, nor of which side it is; the fourth did not say how much lossy steps had taken.
"""

PixelKind = Literal["integer", "float", "double"]
"""The attribute that holds the pixels: Pixel Data, Float Pixel Data or Double Float Pixel Data (PS3.3 C.7.6.24, 25)."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How one frame's pixels are stored (PS3.3 C.7.6.3.1)."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    photometric_interpretation: str
    planar_configuration: int = 0
    kind: PixelKind = "integer"
    padding: tuple[int, int] | None = None
    """Stored values from the first to the last, both included, that are no image (PS3.3 C.7.5.1.1.2)."""
    is_swapped: bool = False
    """Whether every two bytes of the object's pixel data are exchanged: 8 bits a pixel in words, big endian (PS3.5 §7.3)."""


@dataclass(frozen=True, slots=True)
class LookUpTable:
    """A table of a Modality, VOI or Palette LUT (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5)."""

    first_mapped: int
    bits: int
    values: bytes
    """Little-endian unsigned, 16 bit an entry."""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A window over values after the modality LUT (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: Literal["linear", "linear-exact", "sigmoid"] = "linear"
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class FramePlane:
    """Where a frame lies in the patient (PS3.3 C.7.6.2), in LPS millimetres."""

    position_mm: tuple[float, float, float] | None = None
    """Centre of the first pixel (row 0, column 0)."""
    orientation: tuple[float, float, float, float, float, float] | None = None
    """Direction in which the column index grows, then that in which the row index grows: unit vectors."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Distance between rows first, then between columns, in the patient (Pixel Spacing)."""
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Overlay:
    """A plane of single bits over one frame (PS3.3 C.9.2)."""

    rows: int
    columns: int
    first_row: int = 0
    """Row of the frame, counted from 0, on which its first row lies; may be outside."""
    first_column: int = 0
    place: tuple[int, int] | None = None
    """(offset, length) of its bytes, counted as those of frames are; None where the bits are elsewhere."""
    first_bit: int = 0
    """Of the first byte, the lowest bit being 0."""
    embedded_bit: int | None = None
    """The bit of each stored pixel in which it lies, a use that was retired."""
    bits: bytes = b""
    """The bits themselves, the lowest of each byte first, where they are of another object than the frame."""
    group: int = 0x6000


@dataclass(frozen=True, slots=True)
class Shutter:
    """What of a frame is shown: the inside of all its shapes (PS3.3 C.7.6.11, C.7.6.15)."""

    rectangle: tuple[int, int, int, int] | None = None
    """(first row, last row, first column, last column), counted from 0, all shown."""
    circle: tuple[float, float, float] | None = None
    """(row, column, radius) in pixels, the centre of the first pixel being (0, 0)."""
    polygon: tuple[tuple[float, float], ...] = ()
    """(row, column) of its corners; three at least, or none."""
    bitmap: Overlay | None = None
    """Its bits are covered (PS3.3 C.7.6.15)."""
    grey: int = 0
    """What covers the rest, 0…255."""


@dataclass(frozen=True, slots=True)
class DisplayedArea:
    """The part of a frame that a presentation state shows (PS3.3 C.10.4), in source pixels: (0, 0) is the outer corner of
    the first pixel."""

    x: float
    y: float
    width: float
    height: float
    pixel_aspect_ratio: float = 1.0
    """Height of a pixel over its width, as shown."""
    magnification: float = 1.0
    """Pixels of the picture for one of the frame, where no size is asked for."""


@dataclass(frozen=True, slots=True)
class Graphic:
    """A figure or a text of a presentation state (PS3.3 C.10.5)."""

    kind: Literal["POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE", "TEXT"]
    points: tuple[tuple[float, float], ...]
    """(column, row). In pixels (0, 0) is the outer corner of the frame's first one; relative ones are 0…1 of the picture.

    CIRCLE: centre, a point on it. ELLIPSE: the ends of the long axis, then those of the short one. TEXT: corners of its box,
    or its anchor."""
    is_relative: bool = False
    is_filled: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class FrameDescription:
    """One frame: where its bytes are, where it lies, how its values are meant."""

    fragments: tuple[tuple[int, int], ...]
    """(offset, length) in bytes of the stored object. Native pixels have one; encapsulated ones one or more.

    For a deflated object they count in the inflated one. For frames that do not begin at a byte (1 bit allocated),
    ``first_bit`` says where in the first byte."""
    first_bit: int = 0
    plane: FramePlane = field(default_factory=FramePlane)
    rescale_slope: float = 1.0
    rescale_intercept: float = 0.0
    windows: tuple[Window, ...] = ()
    stream_index: int = 0
    """Which picture it is, in the order of display from 0, of a video whose ``fragments`` are those of all its frames."""
    overlays: tuple[Overlay, ...] = ()
    shutter: Shutter | None = None
    voi_luts: tuple[int, ...] | None = None
    """Places of its VOI LUTs among those of the image; None where all of them are meant."""


@dataclass(frozen=True, slots=True)
class LossyStep:
    """A lossy compression that the pixels went through, perhaps long before they came here."""

    method: str
    """A defined term, ISO_10918_1 (JPEG) and the like (PS3.3 C.7.6.1.1.5.1); empty where the file does not say."""
    ratio: float | None
    """Bytes before over bytes after; None where the file does not say."""


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """An image instance, ready to be drawn."""

    instance_uid: InstanceUid
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    pixel_format: PixelFormat
    frames: tuple[FrameDescription, ...]
    pixel_aspect_ratio: float = 1.0
    """Height of a pixel over its width, as shown; from spacing or from Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7)."""
    value_unit: str = ""
    """Rescale Type or Units: HU, BQML, ... Empty where the file does not say and the modality does not tell."""
    modality_lut: LookUpTable | None = None
    voi_luts: tuple[LookUpTable, ...] = ()
    palette: tuple[LookUpTable, LookUpTable, LookUpTable] | None = None
    presentation_inverse: bool = False
    """Presentation LUT Shape INVERSE (PS3.3 C.11.4); MONOCHROME1 is in the photometric interpretation."""
    is_lossy: bool = False
    frame_of_reference_uid: str | None = None
    instance_number: int | None = None
    frame_time_ms: float | None = None
    presentation_lut: LookUpTable | None = None
    """Of the Presentation LUT Sequence (PS3.3 C.11.4): from the output of the VOI LUT to P-values."""
    icc_profile: tuple[int, int] | None = None
    """(offset, length) of the profile of its colours, counted as places of frames are (PS3.3 C.11.15)."""
    patient_orientation: tuple[str, str] | None = None
    """Where rows go to the right and columns down, in letters: A, PL, FR (Patient Orientation, PS3.3 C.7.6.1.1.1)."""
    laterality: str = ""
    """R, L, U (unpaired) or B (both) where the image, or else its series, says so (PS3.3 C.7.3.1, C.8.11.7)."""
    lossy_steps: tuple[LossyStep, ...] = ()
    """As far as the file tells them, in the order in which they were made (PS3.3 C.7.6.1.1.5)."""
    displayed_area: DisplayedArea | None = None
    """This and what follows are of a presentation state (``domain.presentations``), and never of a file."""
    quarter_turns: int = 0
    """How often the picture is turned clockwise by 90 degrees, before it is mirrored."""
    is_mirrored: bool = False
    """Left and right are exchanged."""
    graphics: tuple[Graphic, ...] = ()

    @property
    def is_colour(self) -> bool:
        """Whether its picture has three channels."""
        return self.pixel_format.samples_per_pixel == 3 or self.palette is not None


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image and the key under which its bytes are kept."""

    key: str
    """SHA-256 of the original bytes, in hexadecimal."""
    description: ImageDescription


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """The images of a series as they are kept now; another ``version`` when one came or went."""

    series_uid: SeriesUid
    version: str
    images: tuple[StoredImage, ...]
