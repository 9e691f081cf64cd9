"""Volumes in a render process: loaded coarse first, drawn as soon as there is something, kept within a budget.

A volume loads on one background thread, decoding ahead on a few others, while slices are asked for and drawn: its first pass
is every 16th slice, after which planes and projections can be answered, coarse and saying so. Settled pictures wait for the
whole volume for a while. What is not used any more gives way to what is.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import ApplianceError, NotDrawable, Unavailable
from appliance.domain.geometry import Arrangement, LatticeSlice, VolumeGeometry, arranged, slices_of
from appliance.domain.grayscale import default_window, modality_values
from appliance.domain.image import ImageDescription, StoredImage, StoredSeries, Window
from appliance.rendering.renderer import Renderer
from appliance.rendering.texels import Texels, TexelScale, common_scale, scale_of_range, texels_of
from appliance.rendering.volume_textures import (
    FIRST_STRIDE,
    Preparation,
    VolumeLayout,
    VolumeTextures,
    coarse_first,
    gradients,
    laid_out,
)
from appliance.services.frames import Frames, Stopwatch
from appliance.services.gl_thread import GlThread

log = logging.getLogger(__name__)

_SHARE_OF_BUDGET = 0.35
"""Of the texture budget that the fine texture of one volume may take; the others and a second volume need the rest."""
_PREPARED_STRIDES = (FIRST_STRIDE, 4, 1)
"""Passes after which light and blocks are made of what is there, coarser ones first: each costs a part of the last one."""
_NEARLY = 0.99
_ROOM_WAIT_S = 5.0
"""For pictures of other volumes that are being drawn; then one more is loaded, beyond the budget if need be."""
_ROOM_LOOK_S = 0.01


_Key = tuple[str, str, int | None]
"""Series, its version, and which of its volumes."""


@dataclass(slots=True)
class Waiting:
    """A picture that waits for its volume: one of the two is called, once, on any thread.

    ``draw`` must call ``LoadedVolume.done`` when it has drawn.
    """

    needs_whole: bool
    draw: Callable[[LoadedVolume], None]
    refuse: Callable[[ApplianceError], None]
    is_due: bool = False


class LoadedVolume:
    """One volume, from nothing to whole."""

    def __init__(self, series: StoredSeries, number: int | None = None) -> None:
        self.series = series
        self.number = number
        """Which volume of the series; None is the one that is shown first."""
        self.watch = Stopwatch()
        self.textures: VolumeTextures | None = None
        self.generation = 0
        """Of the context that the textures are in."""
        self.scale = TexelScale(0, 1, True)
        self.usual_window = Window(0.5, 1)
        self.loaded = 0
        self.count = 1
        self.is_ended = False
        self.is_drawable = False
        self.refusal: ApplianceError | None = None
        self._waiting: list[Waiting] = []
        self._users = 0
        self.used_at = time.monotonic()
        """Seconds of the monotonic clock."""
        self._lock = threading.Lock()

    @property
    def key(self) -> _Key:
        return self.series.series_uid, self.series.version, self.number

    @property
    def image(self) -> ImageDescription:
        return self.series.images[0].description

    @property
    def completeness(self) -> float:
        """Part of the slices that are in the textures, 0 to 1."""
        part = self.loaded / self.count
        # Not whole before blocks and gradients were made of the last slice too.
        return part if self.is_ended else min(part, _NEARLY)

    @property
    def is_coarse(self) -> bool:
        return self.textures is not None and self.textures.layout.is_reduced

    @property
    def reduction(self) -> tuple[int, int, int]:
        return self.textures.layout.reduction if self.textures else (1, 1, 1)

    @property
    def size_bytes(self) -> int:
        return self.textures.layout.size_bytes if self.textures else 0

    @property
    def is_used(self) -> bool:
        """Whether a picture of it waits or is being drawn."""
        return self._users > 0

    def use(self) -> None:
        """It is not given back before as many ``done``."""
        with self._lock:
            self._users += 1

    def done(self) -> None:
        with self._lock:
            self._users -= 1
            self.used_at = time.monotonic()

    def when_ready(self, waiting: Waiting, wait_s: float) -> None:
        """``waiting`` is drawn as soon as the volume is as whole as it needs, or after ``wait_s`` with what is there."""
        with self._lock:
            self._waiting.append(waiting)
        if waiting.needs_whole and not self.is_ended:
            timer = threading.Timer(wait_s, self._come_due, (waiting,))
            timer.daemon = True
            timer.start()
        self.release()

    def release(self) -> None:
        """Pictures that can be drawn now are, and all are refused where there is no volume."""
        with self._lock:
            ready = [each for each in self._waiting if self._is_ready(each)]
            self._waiting = [each for each in self._waiting if each not in ready]
        for each in ready:
            if self.refusal is not None:
                self.done()
                each.refuse(self.refusal)
            else:
                each.draw(self)

    def _is_ready(self, waiting: Waiting) -> bool:
        if self.is_ended:
            return True
        return self.is_drawable and (waiting.is_due or not waiting.needs_whole)

    def _come_due(self, waiting: Waiting) -> None:
        waiting.is_due = True
        self.release()


class LoadedVolumes:
    """Volumes by series and version, the least recently used given back. For any thread."""

    def __init__(
        self, frames: Frames, gl_thread: GlThread, *, budget_bytes: int, threads: int, is_busy: Callable[[], bool]
    ) -> None:
        self._frames = frames
        self._gl = gl_thread
        self._budget_bytes = budget_bytes
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="volume-decoder")
        self._ahead = 2 * threads
        self._is_busy = is_busy
        self._volumes: OrderedDict[_Key, LoadedVolume] = OrderedDict()
        self._to_load: deque[LoadedVolume] = deque()
        self.is_loading = False
        self._wake = threading.Condition()
        threading.Thread(target=self._run, name="volumes", daemon=True).start()

    @property
    def size_bytes(self) -> int:
        return sum(volume.size_bytes for volume in list(self._volumes.values()))

    def wanted(self, series: StoredSeries, number: int | None = None) -> LoadedVolume:
        """Volume ``number`` of ``series``, loading if it is new, and in use: whoever wants it waits for it once (``when_ready``).

        None is the volume that is shown first. Nothing is refused here: where there is no such volume its waiters are told.
        """
        key = (series.series_uid, series.version, number)
        with self._wake:
            volume = self._volumes.get(key)
            if volume is None:
                volume = self._volumes[key] = LoadedVolume(series, number)
                self._to_load.append(volume)
                self._wake.notify()
            self._volumes.move_to_end(key)
            volume.use()
            return volume

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._to_load)
                volume = self._to_load.pop()  # the newest: who asked for it is looking
            self.is_loading = True
            try:
                self._load(volume)
            except ApplianceError as error:
                volume.refusal = error
                with self._wake:
                    self._volumes.pop(volume.key, None)
            self.is_loading = False
            volume.is_ended = True
            volume.release()

    def release_unused(self, for_s: float) -> None:
        """Volumes that nobody looked at for so long are given back."""
        before = time.monotonic() - for_s
        with self._wake:
            given_back = [
                self._volumes.pop(key)
                for key, volume in list(self._volumes.items())
                if volume.is_ended and not volume.is_used and volume.used_at < before
            ]
        self._free(given_back)

    def forget_lost(self) -> None:
        """The context is gone, and every volume that was in it. Those that are being loaded find out by themselves."""
        with self._wake:
            for key in [key for key, volume in self._volumes.items() if volume.is_ended]:
                del self._volumes[key]

    def _free(self, volumes: Sequence[LoadedVolume]) -> None:
        for volume in volumes:
            if volume.textures is not None:
                with contextlib.suppress(Unavailable):  # gone with their context
                    self._gl.run(_freeing(volume.textures), volume.generation)

    def _load(self, volume: LoadedVolume) -> None:
        arrangement = arranged([image.description for image in volume.series.images])
        geometry = arrangement.chosen(volume.number)
        info = self._gl.renderer.info
        layout = laid_out(
            geometry,
            largest_side=info.largest_volume_side,
            largest_bytes=min(info.largest_texture_bytes, int(self._budget_bytes * _SHARE_OF_BUDGET)),
        )
        self._make_room(layout.size_bytes)
        source = _Source(volume.series.images, arrangement, geometry, layout, self._frames)
        volume.scale, volume.usual_window = source.scale, source.usual_window()
        volume.count = layout.shape[0]
        volume.generation, volume.textures = self._gl.run(lambda _: (self._gl.generation, VolumeTextures(layout)))
        self._fill(volume, source, Preparation(layout))

    def _fill(self, volume: LoadedVolume, source: _Source, preparation: Preparation) -> None:
        textures = volume.textures
        assert textures is not None
        first_pass = -(-volume.count // FIRST_STRIDE)
        # Slice number so and so ends the pass after which each slice stands for so many.
        stride_after = {-(-volume.count // stride): stride for stride in _PREPARED_STRIDES}
        for number, (first, count, texels) in enumerate(self._decoded(volume, source), 1):
            if texels is not None:
                self._gl.run(_uploading(textures, first, count, texels), volume.generation)
                preparation.add(first, count, texels)
                volume.loaded += 1
            elif number <= first_pass:
                nothing = np.zeros(textures.layout.shape[1:], np.uint16)
                self._gl.run(_uploading(textures, first, count, nothing), volume.generation)
            if number in stride_after:
                self._prepare(volume, preparation, stride=stride_after[number])
                volume.is_drawable = True
                volume.release()
        if volume.loaded == 0:
            raise NotDrawable("None of the images of the volume can be decoded.", key="volume-not-decodable")

    def _prepare(self, volume: LoadedVolume, preparation: Preparation, *, stride: int) -> None:
        textures = volume.textures
        assert textures is not None
        half, blocks = preparation.half(), preparation.blocks()
        slopes = gradients(half, textures.layout, stride=max(1, stride // textures.layout.half_factors[0]))
        self._gl.run(lambda _: textures.upload_prepared(half, slopes, blocks), volume.generation)

    def _decoded(self, volume: LoadedVolume, source: _Source) -> Iterator[tuple[int, int, Texels | None]]:
        """(slice, for how many it stands, its texels or None where it cannot be decoded), coarse first."""
        order = coarse_first(volume.count)
        under_way: deque[tuple[int, int, Future[Texels | None]]] = deque()
        for first, count in itertools.islice(order, self._ahead):
            under_way.append((first, count, self._decoders.submit(source.texels, first, volume.watch)))
        while under_way:
            first, count, future = under_way.popleft()
            yield first, count, future.result()
            while self._is_busy():  # slices that somebody looks at go first
                time.sleep(0.002)
            following = next(order, None)
            if following is not None:
                future = self._decoders.submit(source.texels, following[0], volume.watch)
                under_way.append((*following, future))

    def _wait_for_pictures(self, wanted_bytes: int) -> None:
        """What is being drawn cannot be given back: that is waited for, where the rest would not make room enough."""
        until = time.monotonic() + _ROOM_WAIT_S
        while self._drawn_bytes() + wanted_bytes > self._budget_bytes and time.monotonic() < until:
            time.sleep(_ROOM_LOOK_S)

    def _drawn_bytes(self) -> int:
        with self._wake:
            return sum(volume.size_bytes for volume in self._volumes.values() if volume.is_used)

    def _make_room(self, wanted_bytes: int) -> None:
        """The volumes that were not used for longest are given back until ``wanted_bytes`` more fit."""
        self._wait_for_pictures(wanted_bytes)
        with self._wake:
            idle = [(key, each) for key, each in self._volumes.items() if each.is_ended and not each.is_used]
            given_back: list[LoadedVolume] = []
            size_bytes = self.size_bytes
            for key, volume in idle:
                if size_bytes + wanted_bytes <= self._budget_bytes:
                    break
                size_bytes -= volume.size_bytes
                del self._volumes[key]
                given_back.append(volume)
        self._free(given_back)


def _uploading(textures: VolumeTextures, first: int, count: int, texels: Texels) -> Callable[[Renderer], None]:
    return lambda _: textures.upload_fine(first, count, texels)


def _freeing(textures: VolumeTextures) -> Callable[[Renderer], None]:
    return lambda _: textures.free()


class _Source:
    """Texels of the slices of a layout, made of frames: read, decoded, brought to one scale, put on the lattice, reduced."""

    def __init__(
        self,
        images: Sequence[StoredImage],
        arrangement: Arrangement,
        geometry: VolumeGeometry,
        layout: VolumeLayout,
        frames: Frames,
    ) -> None:
        self._slices = [(images[ref.image_index], ref.frame_index) for ref in arrangement.slices]
        self._own = slices_of(geometry)
        self._lattice = geometry.lattice
        self._layout = layout
        self._frames = frames
        self.scale = self._common_scale() or self._found_scale()

    def usual_window(self) -> Window:
        """The file's window of the middle slice, or one found in it; of all slices where each has a rescale of its own."""
        image, frame = self._slices[self._own[len(self._own) // 2]]
        windows = image.description.frames[frame].windows
        if windows and windows[0].width > 0 and self.scale.keeps_stored:
            return windows[0]
        stride = max(1, len(self._own) // 8)
        values = [self._values(index)[::2, ::2].ravel() for index in self._own[::stride]]
        return default_window(np.concatenate(values), image.description.modality, image.description.value_unit)

    def texels(self, index: int, watch: Stopwatch) -> Texels | None:
        """Slice ``index`` of the fine texture, (rows, columns); None if an image of it cannot be read or decoded."""
        step = self._layout.reduction
        points = self._lattice[index * step[0] : (index + 1) * step[0]]
        try:
            planes = [self._at(point, watch) for point in points]
        except ApplianceError as error:
            log.warning("slice %d of a volume is left out: %s", index, error.message)
            return None
        plane = planes[0] if len(planes) == 1 else np.rint(np.mean(planes, axis=0)).astype(np.uint16)
        return _reduced(plane, step[1], step[2])

    def _at(self, point: LatticeSlice, watch: Stopwatch) -> Texels:
        below = self._texels(point.lower, watch)
        if point.is_gap:
            return np.full_like(below, below.min())
        if point.lower == point.upper:
            return below
        mixed = below * (1 - point.weight) + self._texels(point.upper, watch) * point.weight
        return np.asarray(np.rint(mixed), np.uint16)

    def _texels(self, index: int, watch: Stopwatch) -> Texels:
        image, frame = self._slices[index]
        stored = self._frames.stored_values(image, frame, watch)
        return texels_of(stored, image.description, frame, self.scale)

    def _values(self, index: int) -> NDArray[np.float64]:
        image, frame = self._slices[index]
        return modality_values(self._frames.stored_values(image, frame, Stopwatch()), image.description, frame)

    def _common_scale(self) -> TexelScale | None:
        own = (self._slices[index] for index in self._own)
        return common_scale([(image.description, frame) for image, frame in own])

    def _found_scale(self) -> TexelScale:
        ends = [(np.nanmin(values), np.nanmax(values)) for values in map(self._values, self._own)]
        return scale_of_range(float(min(low for low, _ in ends)), float(max(high for _, high in ends)))


def _reduced(plane: Texels, rows: int, columns: int) -> Texels:
    """The mean of each block of ``rows`` by ``columns``; the last, partly filled ones repeat their edge."""
    if (rows, columns) == (1, 1):
        return plane
    padded = np.pad(plane, ((0, -plane.shape[0] % rows), (0, -plane.shape[1] % columns)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return np.asarray(np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)), np.uint16)
