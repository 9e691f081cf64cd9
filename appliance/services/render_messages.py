"""What the front and a render process say to each other: MessagePack of these, the picture's bytes as the body."""

from __future__ import annotations

from pathlib import Path

import msgspec

from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.domain.regions import Region
from appliance.domain.views import FilmView, PlaneView, SliceView, StoredValues, VolumeFilmView, VolumeView
from appliance.storage.instances import StoreSettings
from appliance.storage.render_cache import CacheFigures

SERIES_UNKNOWN = "series-unknown"
"""Key of the refusal of a process that was not told of the series, or was started again since."""


class RenderSettings(msgspec.Struct, frozen=True):
    """The first message."""

    store_directory: str
    key_file: str | None
    is_store_read_only: bool
    decoder_threads: int
    encoder_threads: int
    frame_cache_bytes: int
    texture_cache_bytes: int
    settled_wait_s: float
    floor_bytes: int
    render_cache_directory: str
    render_cache_bytes: int
    """0 for none."""
    processes: int
    """That share the render cache."""
    idle_release_s: float
    decode_memory_bytes: int
    software_only: bool = False
    """A graphics card is left alone, because processes that used it died."""

    def store(self) -> StoreSettings:
        return StoreSettings(
            Path(self.store_directory),
            Path(self.key_file) if self.key_file else None,
            self.floor_bytes,
            self.is_store_read_only,
        )


class DrawSlice(msgspec.Struct, frozen=True, tag=True):
    """``image`` has the one frame that is drawn, so that the message does not grow with the object."""

    viewer: str
    image: StoredImage
    view: SliceView
    is_kept: bool = False
    """Whether the picture itself is kept on the disk: a thumbnail."""


class ReadPixel(msgspec.Struct, frozen=True, tag=True):
    """What is stored of one pixel of the one frame of ``image``; ``row`` and ``column`` count from 0."""

    viewer: str
    image: StoredImage
    row: int
    column: int


class ReadWindow(msgspec.Struct, frozen=True, tag=True):
    """A window for a part of the one frame of ``image``: its first row and column, counted from 0, and how many there are."""

    viewer: str
    image: StoredImage
    row: int
    column: int
    rows: int
    columns: int


class ReadRegion(msgspec.Struct, frozen=True, tag=True):
    """What the values in a region of the one frame of ``image`` are; answered by ``RegionValues``."""

    viewer: str
    image: StoredImage
    region: Region


class MakeReady(msgspec.Struct, frozen=True, tag=True):
    """Of what came in, when there is nothing else to do: the frame decoded, and with a view its picture. Answered when it is."""

    image: StoredImage
    view: SliceView | None = None


class MakeVolumeReady(msgspec.Struct, frozen=True, tag=True):
    """Of a series that came in, when there is nothing else to do: what is kept of its volume. Answered when it is."""

    series: StoredSeries


class MakeReadyAhead(msgspec.Struct, frozen=True, tag=True):
    """Frames that a viewer is about to want, the next first, each the only one of its image. Answered at once."""

    viewer: str
    images: tuple[StoredImage, ...]
    anew: bool
    """Whether what was ahead of him before is not any more."""


class Forget(msgspec.Struct, frozen=True, tag=True):
    """Instances that are deleted: nothing of them stays in memory."""

    keys: tuple[str, ...]


class DrawFilm(msgspec.Struct, frozen=True, tag=True):
    """``images`` have the frames of the film, in order, and no others: several where one image is described in several ways."""

    viewer: str
    images: tuple[StoredImage, ...]
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


Ask = (
    DrawSlice
    | ReadPixel
    | ReadWindow
    | ReadRegion
    | DrawFilm
    | DrawPlane
    | DrawVolume
    | DrawVolumeFilm
    | KnowSeries
    | TellState
    | MakeReady
    | MakeVolumeReady
    | MakeReadyAhead
    | Forget
)


class PictureHead(msgspec.Struct, frozen=True):
    """All of a ``Picture`` but its bytes."""

    media_type: str
    size: tuple[int, int]
    stages_ms: tuple[tuple[str, float], ...]
    completeness: float
    is_coarse: bool
    window: Window | None = None
    reduction: tuple[int, int, int] = (1, 1, 1)
    fused_reduction: tuple[int, int, int] = (1, 1, 1)
    stored_values: StoredValues | None = None


class PixelSamples(msgspec.Struct, frozen=True):
    """The answer to ``ReadPixel``: one sample, or red, green and blue."""

    samples: tuple[int | float, ...]


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
    render_cache: CacheFigures
    made_ahead: int
    """Frames and pictures that were made before anybody asked."""
    waiting_ahead: int
    decoder_deaths: int
    contexts_lost: int
    fallback: str
    """Why software draws where there is, or was, a graphics card; empty where it does not."""
