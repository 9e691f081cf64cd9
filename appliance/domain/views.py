"""Pictures that can be asked for: frozen and complete, so that a view is also a cache key and an ETag."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from appliance.domain.annotations import Annotation
from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import Window
from appliance.domain.voi import VoiChoice

Vector = tuple[float, float, float]
"""A point or a direction in patient coordinates (LPS, mm)."""
TransferPoint = tuple[float, float, float, float, float]
"""A value, its red, green and blue (0…1) and the opacity (0…1) of one millimetre of it."""
Light = tuple[float, float, float, float]
"""Ambient, diffuse and specular part (0…1) and the exponent of the gloss."""


class RenderingMethod(StrEnum):
    """PS3.18 Rendering Method."""

    VOLUME_RENDERED = "volume_rendered"
    MAXIMUM_IP = "maximum_ip"
    MINIMUM_IP = "minimum_ip"
    AVERAGE_IP = "average_ip"


STORED_VALUES: Literal["application/vnd.appliance.stored-values"] = "application/vnd.appliance.stored-values"
"""Media type of what is no picture: a frame's stored values, all bits of them, as docs/api.md says."""

ValueType = Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a picture becomes bytes."""

    media_type: Literal[
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/jxl",
        "image/jls",
        "image/avif",
        "image/gif",
        "video/mp4",
        "application/vnd.appliance.stored-values",
    ]
    quality: int | None = None
    """1 to 100 of a lossy encoding; None is lossless where the format can be, and the default of JPEG."""
    has_profile: bool = False
    """Whether colours carry the ICC profile of sRGB, in which they are."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the source, in source pixels; its corner may lie between pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Viewport:
    """The size in pixels that a picture must fit in, keeping its aspect; and the part of the source to show."""

    width: int
    height: int
    source: Region | None = None
    is_mirrored: bool = False
    """Left and right exchanged."""
    is_upside_down: bool = False


@dataclass(frozen=True, slots=True)
class SliceView:
    """One frame, windowed, sized and encoded."""

    instance_uid: InstanceUid
    frame_index: int
    """Counts from 0; the frame number of DICOM counts from 1."""
    encoding: Encoding
    window: Window | None = None
    viewport: Viewport | None = None
    invert: bool = False
    layers: bool = True
    """With the overlays and the shutter that the file lays over its pixels."""
    annotation: Annotation | None = None
    without_picture: bool = False
    """Of stored values: only what the lossless picture through the same window does not tell of them."""
    presentation: str | None = None
    """The key of the presentation state by which the image was described (``domain.presentations``)."""
    voi: VoiChoice | None = None
    """Which of the windows and tables of its file, where no ``window`` is asked for; None is the usual one."""


@dataclass(frozen=True, slots=True)
class FilmView:
    """Frames of one image as a moving picture."""

    view: SliceView
    """How each is seen, and how the film is encoded; its own frame does not count."""
    frame_indexes: tuple[int, ...]
    """Count from 0."""
    durations_ms: tuple[float, ...]
    """Of each of them."""


@dataclass(frozen=True, slots=True)
class Camera:
    """From where a plane or a volume is seen; parallel projection (PS3.18 Supplement 228)."""

    position: Vector
    look_at: Vector
    """For a plane: a point in it. The middle of the picture."""
    up: Vector
    field_of_view_mm: float
    """Height of what the picture shows; with perspective, of what it shows as far away as ``look_at``."""
    is_perspective: bool = False
    """Rays go out from ``position``, as in an eye, and are not parallel; nothing behind it is seen. Lengths in such a picture
    are true only as far away as ``look_at``."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """Another volume of the same frame of reference, laid over the picture in colours."""

    version: str
    """Of the series that it is."""
    volume: int | None = None
    """As for a plane."""
    window: Window | None = None
    """Where it has no colour and where all of it."""
    opacity: float = 0.5
    """0…1, where it is strongest."""


@dataclass(frozen=True, slots=True)
class PlaneView:
    """A plane through the volume of a series."""

    series_uid: SeriesUid
    camera: Camera
    size: tuple[int, int]
    """(width, height) in pixels."""
    encoding: Encoding
    window: Window | None = None
    slab_mm: float = 0.0
    method: RenderingMethod = RenderingMethod.AVERAGE_IP
    invert: bool = False
    interactive: bool = False
    gamma: float = 1.0
    """Grey or colour becomes itself to the power of 1 / gamma: above 1 what is dark becomes lighter."""
    filter: Literal["linear", "cubic"] = "linear"
    """Between voxels; "cubic" (Catmull-Rom) keeps edges sharper, overshoots beside them, and is slower."""
    fusion: Fusion | None = None
    curve: tuple[Vector, ...] = ()
    """Points (LPS, mm) of a line: instead of the plane the surface that is made when the line is moved along the camera's ``up``.

    Columns follow the line at equal lengths, the middle of it in the middle of the picture; rows go down along ``up``, the line
    itself in the middle. Lengths along the line and along ``up`` are true, and of one scale. Of the camera only ``up`` and the
    field of view count.
    """
    volume: int | None = None
    """Of a series that makes several volumes the number of one, counted from 0; None is the one of most slices."""
    voi: VoiChoice | None = None
    """Which of the windows and tables of its middle slice, where no ``window`` is asked for; None is the usual one."""


@dataclass(frozen=True, slots=True)
class VolumeView:
    """The volume of a series, projected or composited."""

    series_uid: SeriesUid
    camera: Camera
    size: tuple[int, int]
    """(width, height) in pixels."""
    encoding: Encoding
    method: RenderingMethod = RenderingMethod.VOLUME_RENDERED
    window: Window | None = None
    preset: str | None = None
    invert: bool = False
    interactive: bool = False
    gamma: float = 1.0
    """As for a plane."""
    clip: tuple[Vector, Vector] | None = None
    """Least and largest x, y, z (LPS, mm) of the box outside of which nothing is drawn."""
    points: tuple[TransferPoint, ...] = ()
    """A transfer function of its own, over values after the modality LUT; instead of ``preset``."""
    light: Light | None = None
    """Instead of that of the preset."""
    fusion: Fusion | None = None
    """Not of composited ones."""
    volume: int | None = None
    """As for a plane."""
    voi: VoiChoice | None = None
    """As for a plane; not of composited ones."""


@dataclass(frozen=True, slots=True)
class VolumeFilmView:
    """Planes or volumes one after the other: of one volume from several sides or places, or of several volumes."""

    planes: tuple[PlaneView, ...] = ()
    volumes: tuple[VolumeView, ...] = ()
    """Where there are no ``planes``."""
    duration_ms: float = 100.0
    """So long each is shown."""

    @property
    def frames(self) -> tuple[PlaneView | VolumeView, ...]:
        """All of one size and encoding."""
        return self.planes or self.volumes


@dataclass(frozen=True, slots=True)
class StoredValues:
    """What stored values, given as they are, are made of."""

    type: ValueType
    samples: int
    """1, or 3: red, green and blue."""
    sha256: str
    """In hexadecimal, of the values (row, column, sample), little endian."""
    is_without_picture: bool = False
    """The body is what a picture of the values does not tell of them."""


@dataclass(frozen=True, slots=True)
class PixelValue:
    """What is known of one pixel."""

    samples: tuple[int | float, ...]
    """As stored: one, or red, green and blue."""
    value: float | None
    """After the modality LUT; None of colours and of padding."""
    is_padding: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture and what is to be known of it."""

    body: bytes
    media_type: str
    size: tuple[int, int]
    """(width, height) in pixels, as encoded."""
    stages_ms: tuple[tuple[str, float], ...] = ()
    """What it cost: read, decode, draw, encode; milliseconds."""
    completeness: float = 1.0
    """Part of the volume that is in the picture, 0 to 1."""
    window: Window | None = None
    """Through which its grey was made; None of colours and of VOI LUTs."""
    is_coarse: bool = False
    """Drawn smaller or with larger steps than asked for, because of the time budget, or from a reduced volume."""
    reduction: tuple[int, int, int] = (1, 1, 1)
    """So many voxels along (slice, row, column) one sample of the volume is the mean of; above 1 where it is too large."""
    fused_reduction: tuple[int, int, int] = (1, 1, 1)
    """The same of the volume that is laid over it."""
    stored_values: StoredValues | None = None
    """Where the body is not a picture but these."""
