"""What the front and a render process say to each other: MessagePack of these, the picture's bytes as the body."""

from __future__ import annotations

from pathlib import Path

import msgspec

from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.domain.views import FilmView, PlaneView, SliceView, StoredValues, VolumeFilmView, VolumeView
from appliance.storage.instances import StoreSettings

SERIES_UNKNOWN = "series-unknown"
"""Key of the refusal of a process that was not told of the series, or was started again since."""


class RenderSettings(msgspec.Struct, frozen=True):
    """The first message."""

    store_directory: str
    key_file: str | None
    decoder_threads: int
    encoder_threads: int
    frame_cache_bytes: int
    texture_cache_bytes: int
    settled_wait_s: float

    def store(self) -> StoreSettings:
        return StoreSettings(Path(self.store_directory), Path(self.key_file) if self.key_file else None)


class DrawSlice(msgspec.Struct, frozen=True, tag=True):
    """``image`` has the one frame that is drawn, so that the message does not grow with the object."""

    viewer: str
    image: StoredImage
    view: SliceView


class DrawFilm(msgspec.Struct, frozen=True, tag=True):
    """``image`` has the frames of the film and no others."""

    viewer: str
    image: StoredImage
    film: FilmView


class DrawPlane(msgspec.Struct, frozen=True, tag=True):
    viewer: str
    version: str
    view: PlaneView


class DrawVolume(msgspec.Struct, frozen=True, tag=True):
    viewer: str
    version: str
    view: VolumeView


class DrawVolumeFilm(msgspec.Struct, frozen=True, tag=True):
    viewer: str
    versions: tuple[str, ...]
    """Of the series of each frame."""
    film: VolumeFilmView


class KnowSeries(msgspec.Struct, frozen=True, tag=True):
    """Sent once for each version, before the first picture of it."""

    series: StoredSeries


class TellState(msgspec.Struct, frozen=True, tag=True):
    pass


Ask = DrawSlice | DrawFilm | DrawPlane | DrawVolume | DrawVolumeFilm | KnowSeries | TellState


class PictureHead(msgspec.Struct, frozen=True):
    """All of a ``Picture`` but its bytes."""

    media_type: str
    size: tuple[int, int]
    stages_ms: tuple[tuple[str, float], ...]
    completeness: float
    is_coarse: bool
    window: Window | None = None
    reduction: tuple[int, int, int] = (1, 1, 1)
    stored_values: StoredValues | None = None


class ProcessState(msgspec.Struct, frozen=True):
    media_types: tuple[str, ...]
    """Of the pictures that its libraries can make."""
    film_types: tuple[str, ...]
    vendor: str
    renderer: str
    version: str
    is_software: bool
    largest_texture_side: int
    largest_volume_side: int
    frame_cache_bytes: int
    texture_cache_bytes: int
