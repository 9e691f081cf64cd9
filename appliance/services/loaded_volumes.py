"""Volumes in a render process: loaded coarse first, drawn as soon as there is something, kept within a budget.

A volume loads on one background thread, decoding ahead on a few others, while slices are asked for and drawn. What it was kept
as in the render cache, or the first pass of its slices, is a coarse volume that is drawn at once, saying so; a finer one follows,
then the whole (``rendering.coarse_volumes``). Settled pictures wait for the whole volume for a while. What is not used any more
gives way to what is.
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
from math import prod

import numpy as np

from appliance.domain.errors import ApplianceError, NotDrawable, Unavailable
from appliance.domain.geometry import Box, VolumeGeometry, arranged, cropped
from appliance.domain.image import ImageDescription, StoredSeries, Window
from appliance.domain.views import PlaneView, VolumeView
from appliance.domain.voi import Voi
from appliance.rendering.close_ups import grown, seen_part
from appliance.rendering.coarse_volumes import CoarseVolume, Pass, coarse_first, coarse_volume, passes
from appliance.rendering.renderer import Renderer
from appliance.rendering.texels import Texels, TexelScale
from appliance.rendering.volume_textures import (
    Preparation,
    VolumeLayout,
    VolumeTextures,
    gradients,
    laid_out,
    thinned,
    usual_range,
)
from appliance.services.frames import Frames, Stopwatch
from appliance.services.gl_thread import GlThread
from appliance.services.volume_slices import Part, Read, VolumeSlices

log = logging.getLogger(__name__)

_SHARE_OF_BUDGET = 0.35
"""Of the texture budget that the fine texture of one volume may take; the others and a second volume need the rest."""
_NEARLY = 0.99
_ROOM_WAIT_S = 5.0
"""For pictures of other volumes that are being drawn; then one more is loaded, beyond the budget if need be."""
_ROOM_LOOK_S = 0.01


_Key = tuple[str, str, int | None, Box | None]
"""Series, its version, which of its volumes, and which part of that."""


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

    def __init__(
        self, series: StoredSeries, number: int | None = None, box: Box | None = None, whole: LoadedVolume | None = None
    ) -> None:
        self.series = series
        self.number = number
        """Which volume of the series; None is the one that is shown first."""
        self.box = box
        """Which part of it is loaded, for close-ups; None is all."""
        self.whole = whole
        """The volume of which it is a part."""
        self.geometry: VolumeGeometry | None = None
        self.layout: VolumeLayout | None = None
        """Of the textures when it is whole."""
        self.watch = Stopwatch()
        self.textures: VolumeTextures | None = None
        """What is drawn: of a coarse volume until all is there. Changed on the thread of the context only, between pictures."""
        self.growing: VolumeTextures | None = None
        """Those of the whole volume, while slices come into them."""
        self.generation = 0
        """Of the context that the textures are in."""
        self.scale = TexelScale(0, 1, True)
        self.usual_voi: Voi = Window(0.5, 1)
        self.middle = series.images[0].description, 0
        """The slice, image and frame, whose windows and VOI LUTs are those of the volume."""
        self.usual_range: float | None = None
        """Of the texels of the volume, also of one that is a part of it: light is reckoned by it. None until all are there."""
        self.loaded = 0
        self.count = 1
        self.is_ended = False
        self.is_drawable = whole is not None
        """Before a part is there its whole is drawn."""
        self.refusal: ApplianceError | None = None
        self._waiting: list[Waiting] = []
        self._users = 0
        self.used_at = time.monotonic()
        """Seconds of the monotonic clock."""
        self._lock = threading.Lock()

    @property
    def key(self) -> _Key:
        return self.series.series_uid, self.series.version, self.number, self.box

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
        return sum(textures.layout.size_bytes for textures in self.held)

    @property
    def held(self) -> tuple[VolumeTextures, ...]:
        """All textures that it has."""
        return tuple(dict.fromkeys(each for each in (self.textures, self.growing) if each is not None))

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
        return self._wanted(LoadedVolume(series, number))

    def _wanted(self, new: LoadedVolume) -> LoadedVolume:
        with self._wake:
            volume = self._volumes.get(new.key)
            if volume is None:
                volume = self._volumes[new.key] = new
                self._to_load.append(volume)
                self._wake.notify()
            self._volumes.move_to_end(volume.key)
            volume.use()
            return volume

    def close_up(self, whole: LoadedVolume, view: PlaneView | VolumeView) -> LoadedVolume | None:
        """The part of ``whole`` that ``view`` shows, finer than that is; None where there is nothing finer to be seen.

        In use, loading if it is new. While the camera moves only what is there.
        """
        geometry, layout = whole.geometry, whole.layout
        if geometry is None or layout is None or not whole.is_ended or not _may_show_more(view, layout):
            return None
        seen = seen_part(view, geometry)
        if seen is None:
            return None
        with self._wake:
            for key, volume in self._volumes.items():
                is_there = volume.is_ended or not view.interactive
                if key[:3] == whole.key[:3] and volume.box and volume.box.holds(seen) and is_there:
                    volume.use()
                    self._volumes.move_to_end(key)
                    return volume
        if view.interactive:
            return None
        more, less = grown(seen, geometry), self._reduction(geometry, seen)
        box = more if self._reduction(geometry, more) == less else seen
        return (
            self._wanted(LoadedVolume(whole.series, whole.number, box, whole))
            if less < prod(layout.reduction)
            else None
        )

    def _reduction(self, geometry: VolumeGeometry, box: Box) -> int:
        return prod(self._layout(cropped(geometry, box)).reduction)

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
                self._free([volume])
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
            for textures in volume.held:
                with contextlib.suppress(Unavailable):  # gone with their context
                    self._gl.run(_freeing(textures), volume.generation)

    def _load(self, volume: LoadedVolume) -> None:
        geometry, slices, layout = self._slices(volume)
        self._make_room(layout.size_bytes, volume.whole)
        volume.geometry, volume.layout, volume.scale = geometry, layout, slices.scale
        volume.usual_voi = volume.whole.usual_voi if volume.whole else slices.usual_voi()
        volume.middle = volume.whole.middle if volume.whole else slices.middle
        volume.count = layout.shape[0]
        volume.generation = self._gl.run(lambda _: self._gl.generation)
        shown = self._show_kept(volume, slices, layout)
        volume.growing = self._gl.run(lambda _: VolumeTextures(layout), volume.generation)
        self._fill(volume, slices, layout, shown)

    def _slices(
        self, volume: LoadedVolume, read: Read | None = None
    ) -> tuple[VolumeGeometry, VolumeSlices, VolumeLayout]:
        """Where ``volume`` lies, its slices, and how it lies in its textures. Raises NotDrawable where there is none."""
        images, whole, box = volume.series.images, volume.whole, volume.box
        arrangement = arranged([image.description for image in images])
        geometry = arrangement.chosen(volume.number)
        part = Part(box, whole.scale) if whole and box else None
        if part:
            geometry = cropped(geometry, part.box)
        layout = self._layout(geometry)
        slices = VolumeSlices(images, arrangement, geometry, layout, self._frames, read=read, part=part)
        return geometry, slices, layout

    def _layout(self, geometry: VolumeGeometry) -> VolumeLayout:
        info = self._gl.renderer.info
        return laid_out(
            geometry,
            largest_side=info.largest_volume_side,
            largest_bytes=min(info.largest_texture_bytes, int(self._budget_bytes * _SHARE_OF_BUDGET)),
        )

    def make_ready(self, series: StoredSeries, read: Read) -> Iterator[int]:
        """What is kept of the volume of ``series`` is there, or will be; a slice a step, of those that were not.

        ``read`` gives the values. Raises ApplianceError at the first step for what is no volume.
        """
        _, slices, _ = self._slices(LoadedVolume(series), read)
        yield from slices.keep()

    def _show_kept(self, volume: LoadedVolume, slices: VolumeSlices, layout: VolumeLayout) -> Pass | None:
        """The pass as which the volume was kept, if that is drawn now."""
        kept = slices.kept(self._decoders)
        if kept is None or slices.kept_pass is None:
            return None
        self._show(volume, coarse_volume(kept, layout, slices.kept_pass))
        return slices.kept_pass

    def _fill(self, volume: LoadedVolume, slices: VolumeSlices, layout: VolumeLayout, shown: Pass | None) -> None:
        """All slices are in the textures, and what is there meanwhile is shown, where it is more than ``shown``."""
        whole, preparation = volume.growing, Preparation(layout)
        assert whole is not None
        coarse = () if volume.whole else passes(volume.count)[:-1]
        decoded, first = self._decoded(volume, slices), []
        if shown is None and coarse:
            # New pages of memory cost more than all else: those of the whole are touched after the first picture.
            shown = coarse[0]
            first = list(itertools.islice(decoded, len(shown.slices(volume.count))))
            thin = np.stack([thinned(texels, layout.half_factors[1:]) for _, texels in first])
            self._show(volume, coarse_volume(thin, layout, shown))
        ends = {len(one.slices(volume.count)): one for one in coarse if shown is None or one.stride < shown.stride}
        for come, (number, texels) in enumerate(itertools.chain(first, decoded), 1):
            self._gl.run(_uploading(whole, number, texels), volume.generation)
            preparation.add(number, 1, texels)
            at = ends.get(come)
            if at is not None:
                self._show(volume, coarse_volume(preparation.thin()[at.first :: at.stride], layout, at))
        if volume.loaded == 0:
            raise NotDrawable("None of the images of the volume can be decoded.", key="volume-not-decodable")
        half, blocks = preparation.half(), preparation.blocks()
        volume.usual_range = volume.whole.usual_range if volume.whole else usual_range(half)
        slopes = gradients(half, layout, volume.usual_range)
        self._gl.run(lambda _: whole.upload_prepared(half, slopes, blocks), volume.generation)
        self._exchange(volume, whole)
        volume.growing = None

    def _show(self, volume: LoadedVolume, coarse: CoarseVolume) -> None:
        """``coarse`` is drawn from now on."""
        self._exchange(volume, self._gl.run(lambda _: coarse.uploaded(), volume.generation))
        volume.is_drawable = True
        volume.release()

    def _exchange(self, volume: LoadedVolume, textures: VolumeTextures) -> None:
        """``textures`` are drawn from now on, and those that were are gone: between pictures, not within one."""
        done: Future[None] = Future()

        def exchange(_: Renderer) -> None:
            try:
                self._gl.check(volume.generation)
                before, volume.textures = volume.textures, textures
                if before is not None:
                    before.free()
                done.set_result(None)
            except ApplianceError as error:  # handed to the thread that waits
                done.set_exception(error)

        if volume.textures is None:
            volume.textures = textures
        else:
            self._gl.picture(f"volume {volume.series.series_uid}", exchange)
            done.result()

    def _decoded(self, volume: LoadedVolume, slices: VolumeSlices) -> Iterator[tuple[int, Texels]]:
        """Each slice and its texels, coarse first. Where it cannot be decoded nothing is made up for it."""
        nothing = np.zeros(slices.shape, np.uint16)
        order = coarse_first(volume.count)
        under_way: deque[tuple[int, Future[Texels | None]]] = deque()
        for number in itertools.islice(order, self._ahead):
            under_way.append((number, self._decoders.submit(slices.texels, number, volume.watch)))
        while under_way:
            number, future = under_way.popleft()
            texels = future.result()
            volume.loaded += texels is not None
            yield number, nothing if texels is None else texels
            while self._is_busy():  # slices that somebody looks at go first
                time.sleep(0.002)
            following = next(order, None)
            if following is not None:
                under_way.append((following, self._decoders.submit(slices.texels, following, volume.watch)))

    def _wait_for_pictures(self, wanted_bytes: int, whole: LoadedVolume | None) -> None:
        """What is being drawn cannot be given back: that is waited for, where the rest would not make room enough.

        Not for the ``whole`` of which a part is wanted: the picture of both waits for that part.
        """
        until = time.monotonic() + _ROOM_WAIT_S
        while self._drawn_bytes(whole) + wanted_bytes > self._budget_bytes and time.monotonic() < until:
            time.sleep(_ROOM_LOOK_S)

    def _drawn_bytes(self, whole: LoadedVolume | None) -> int:
        with self._wake:
            return sum(each.size_bytes for each in self._volumes.values() if each.is_used and each is not whole)

    def _make_room(self, wanted_bytes: int, whole: LoadedVolume | None) -> None:
        """The volumes that were not used for longest are given back until ``wanted_bytes`` more fit."""
        self._wait_for_pictures(wanted_bytes, whole)
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


def _may_show_more(view: PlaneView | VolumeView, layout: VolumeLayout) -> bool:
    """Whether pixels lie nearer to one another than texels along an axis that was reduced."""
    texels_mm = np.linalg.norm(layout.texture_to_patient[:3, :3], axis=0)[::-1] / layout.shape
    pixel_mm = view.camera.field_of_view_mm / view.size[1]
    return any(each > 1 and side_mm > pixel_mm for each, side_mm in zip(layout.reduction, texels_mm, strict=True))


def _uploading(textures: VolumeTextures, number: int, texels: Texels) -> Callable[[Renderer], None]:
    return lambda _: textures.upload_fine(number, 1, texels)


def _freeing(textures: VolumeTextures) -> Callable[[Renderer], None]:
    return lambda _: textures.free()
