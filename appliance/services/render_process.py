"""A render process: reads, decodes, draws and encodes what the front asks for. ``python -m appliance.services.render_process``.

    main thread      takes requests and puts them into queues
    slice workers    a slice each: read, decode, draw, encode, answer; viewers in turn, the newest first
    volume thread    loads volumes in the background (``loaded_volumes``)
    gl thread        owns the context (``gl_thread``)
    films            draws and encodes moving pictures, one at a time
    encoders         encode planes and volumes, so that the next can be drawn meanwhile

What nobody waits for any more is dropped before it is begun.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import ApplianceError, Conflict, NotDrawable, TooLarge
from appliance.domain.grayscale import chosen_window
from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.domain.views import (
    STORED_VALUES,
    Encoding,
    PlaneView,
    RenderingMethod,
    SliceView,
    VolumeFilmView,
    VolumeView,
)
from appliance.rendering.annotations import annotated
from appliance.rendering.encoders import encode, media_types
from appliance.rendering.films import film_types, opened_film
from appliance.rendering.renderer import Renderer
from appliance.rendering.slices import LARGEST_SIDE, Pixels, drawn_plainly, planned
from appliance.rendering.stored_values import encoded_values
from appliance.rendering.transfer_functions import transfer_function_of
from appliance.services import journal
from appliance.services.children import Request, serve_requests
from appliance.services.fair_queue import FairQueue
from appliance.services.frames import Frames, Stopwatch
from appliance.services.gl_thread import GlThread
from appliance.services.loaded_volumes import LoadedVolume, LoadedVolumes, Waiting
from appliance.services.render_messages import (
    SERIES_UNKNOWN,
    Ask,
    DrawFilm,
    DrawPlane,
    DrawSlice,
    DrawVolume,
    DrawVolumeFilm,
    KnowSeries,
    PictureHead,
    ProcessState,
    RenderSettings,
)
from appliance.storage.instances import open_store

log = logging.getLogger(__name__)

_CT_PROJECTION_WINDOW = Window(400, 1400, explanation="Projection")
_MOST_FILM_PIXELS = 64_000_000
"""Of all frames of a film; in colour they take three bytes each until it is encoded."""
_MOST_SERIES = 256
"""Manifests that a process remembers; the front sends one again when it is asked to."""
_LONGEST_LOADING_S = 120.0
"""So long a film waits for a volume of its; then it is drawn of what is there, and says so."""
_INTERACTIVE_BUDGET_MS = 70.0
"""For drawing while the camera moves: with reading back, encoding and the line, about ten pictures a second."""
_FEWEST_INTERACTIVE_PIXELS = 96 * 96
_FIRST_GUESS_MS_PER_PIXEL = 60.0 / (256 * 256)
_FORGETTING = 0.5
"""Weight of the newest frame in what a pixel is held to cost."""


class RenderProcess:
    """Holds the queues and the caches. ``handle`` is called on the main thread and never blocks for long."""

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings
        self._gl = GlThread()
        self._frames = Frames(open_store(settings.store()), settings.frame_cache_bytes)
        self._slices: FairQueue[tuple[Request, DrawSlice]] = FairQueue()
        self._busy = 0
        self._busy_lock = threading.Lock()
        self._volumes = LoadedVolumes(
            self._frames,
            self._gl,
            budget_bytes=settings.texture_cache_bytes,
            threads=settings.decoder_threads,
            is_busy=lambda: self._busy > 0,
        )
        self._encoders = ThreadPoolExecutor(settings.encoder_threads, thread_name_prefix="encoder")
        # One at a time and not by the slice workers, which somebody waits for picture by picture.
        self._films = ThreadPoolExecutor(1, thread_name_prefix="films")
        self._series: OrderedDict[str, StoredSeries] = OrderedDict()
        self._ms_per_pixel: dict[str, float] = {}
        for number in range(settings.decoder_threads):
            threading.Thread(target=self._draw_slices, name=f"slices-{number}", daemon=True).start()

    def handle(self, request: Request) -> None:
        ask = msgspec.msgpack.decode(request.message.header, type=Ask)
        if isinstance(ask, DrawSlice):
            with self._busy_lock:
                self._busy += 1
            self._slices.put(ask.viewer, (request, ask))
        elif isinstance(ask, DrawFilm):
            self._films.submit(_answered, request, lambda: self._film(request, ask))
        elif isinstance(ask, DrawVolumeFilm):
            _refuse_film(ask.film)
            series = [self._known(version) for version in ask.versions]
            self._films.submit(_answered, request, lambda: self._volume_film(request, ask, series))
        elif isinstance(ask, DrawPlane | DrawVolume):
            self._wait_for_volume(request, ask)
        elif isinstance(ask, KnowSeries):
            self._know(ask.series)
            request.answer(b"")
        else:
            # The context may still be opening: not on this thread.
            self._encoders.submit(lambda: request.answer(msgspec.msgpack.encode(self._state())))

    def _know(self, series: StoredSeries) -> None:
        self._series[series.version] = series
        self._series.move_to_end(series.version)
        if len(self._series) > _MOST_SERIES:
            self._series.popitem(last=False)

    def _state(self) -> ProcessState:
        info = self._gl.renderer.info
        return ProcessState(
            media_types=media_types(),
            film_types=film_types(),
            vendor=info.vendor,
            renderer=info.renderer,
            version=info.version,
            is_software=info.is_software,
            largest_texture_side=info.largest_texture_side,
            largest_volume_side=info.largest_volume_side,
            frame_cache_bytes=self._frames.size_bytes,
            texture_cache_bytes=self._volumes.size_bytes,
        )

    # Slices

    def _draw_slices(self) -> None:
        while True:
            request, ask = self._slices.take()
            try:
                if not request.is_cancelled:
                    _answered(request, lambda request=request, ask=ask: self._slice(request, ask))  # type: ignore[misc]
            finally:
                with self._busy_lock:
                    self._busy -= 1

    def _slice(self, request: Request, ask: DrawSlice) -> None:
        watch = Stopwatch()
        if ask.view.encoding.media_type == STORED_VALUES:
            self._stored_values(request, ask, watch)
            return
        pixels, window = self._frame(ask.image, 0, ask.view, watch)
        _encode_and_answer(request, pixels, ask.view.encoding, watch, _Standing(window))

    def _frame(
        self, stored_image: StoredImage, frame_index: int, view: SliceView, watch: Stopwatch
    ) -> tuple[Pixels, Window | None]:
        """One frame, drawn; and the window through which it is seen."""
        image = stored_image.description
        plan = planned(image, view)
        stored = self._frames.stored_values(stored_image, frame_index, watch)
        mask = self._frames.mask(stored_image, frame_index, watch) if view.layers else None
        started = time.perf_counter()
        window = None if image.is_colour else chosen_window(stored, image, frame_index, view.window)
        view = replace(view, window=window)
        if plan.is_exact and self._gl.renderer.info.is_software:
            pixels = drawn_plainly(stored, image, frame_index, view, plan, mask=mask)
        else:
            pixels = self._gl.run(
                lambda renderer: renderer.slices.draw(stored, image, frame_index, view, plan, mask=mask)
            )
        pixels = _turned(pixels, view)
        if view.annotation is not None:
            pixels = annotated(pixels, view.annotation)
        watch.add("draw", started)
        return pixels, window

    def _film(self, request: Request, ask: DrawFilm) -> None:
        watch = Stopwatch()
        image, view = ask.image.description, ask.film.view
        size = planned(image, view).size
        _refuse_pixels(size, len(image.frames))
        film = opened_film(view.encoding, ask.film.durations_ms)
        first: Window | None = None
        for index, frame in enumerate(image.frames):
            if request.is_cancelled:
                return
            # One window that is found for all: found for each, the film would flicker.
            is_found = view.window is None and not frame.windows and not image.voi_luts
            pixels, window = self._frame(ask.image, index, replace(view, window=first) if is_found else view, watch)
            first = first or window
            started = time.perf_counter()
            film.add(pixels)
            watch.add("encode", started)
        started = time.perf_counter()
        body = film.finish()
        watch.add("encode", started)
        head = PictureHead(view.encoding.media_type, size, watch.stages(), 1.0, False, first)
        request.answer(msgspec.msgpack.encode(head), body)

    def _stored_values(self, request: Request, ask: DrawSlice, watch: Stopwatch) -> None:
        stored = self._frames.stored_values(ask.image, 0, watch)
        started = time.perf_counter()
        body, values = encoded_values(stored)
        watch.add("encode", started)
        size = (stored.shape[1], stored.shape[0])
        head = PictureHead(STORED_VALUES, size, watch.stages(), 1.0, False, stored_values=values)
        request.answer(msgspec.msgpack.encode(head), body)

    # Planes and volumes

    def _wait_for_volume(self, request: Request, ask: DrawPlane | DrawVolume) -> None:
        series = self._known(ask.version)
        _refuse_size(ask.view)

        def draw(volume: LoadedVolume) -> None:
            self._gl.picture(ask.viewer, lambda renderer: _answered(request, lambda: work(renderer, volume)))

        def work(renderer: Renderer, volume: LoadedVolume) -> None:
            try:
                if not request.is_cancelled:
                    self._picture(request, ask, renderer, volume)
            finally:
                volume.done()

        waiting = Waiting(needs_whole=not ask.view.interactive, draw=draw, refuse=request.refuse)
        self._volumes.wanted(series).when_ready(waiting, self._settings.settled_wait_s)

    def _known(self, version: str) -> StoredSeries:
        series = self._series.get(version)
        if series is None:
            raise Conflict("the render process does not know the series", key=SERIES_UNKNOWN)
        self._series.move_to_end(version)
        return series

    def _picture(self, request: Request, ask: DrawPlane | DrawVolume, renderer: Renderer, volume: LoadedVolume) -> None:
        watch = Stopwatch()
        # Before drawing: slices that arrive between strips are only in a part of it.
        completeness = volume.completeness
        started = time.perf_counter()
        pixels, window = self._drawn(request, ask.view, renderer, volume)
        if pixels is None:
            return
        watch.add("draw", started)
        is_coarse = volume.is_coarse
        if isinstance(ask, DrawVolume) and ask.view.interactive:
            is_coarse = True
            if volume.is_ended:  # loading takes its share
                self._learn(ask.view.method, watch.ms("draw") / (pixels.shape[0] * pixels.shape[1]))
        standing = _Standing(window, completeness, is_coarse, volume.reduction)
        self._encoders.submit(
            _answered, request, lambda: _encode_and_answer(request, pixels, ask.view.encoding, watch, standing)
        )

    def _drawn(
        self, request: Request, view: PlaneView | VolumeView, renderer: Renderer, volume: LoadedVolume
    ) -> tuple[Pixels | None, Window | None]:
        """The pixels, None when nobody waits any more, and the window through which they are seen. On the GL thread."""
        assert volume.textures is not None
        window = _window(view, volume)
        if isinstance(view, PlaneView):
            assert window is not None, "a plane has grey"
            return renderer.projections.draw_plane(volume.textures, volume.scale, view, window), window
        return self._volume(request, view, renderer, volume, size=self._size(view), window=window), window

    def _volume_film(self, request: Request, ask: DrawVolumeFilm, series: Sequence[StoredSeries]) -> None:
        watch = Stopwatch()
        views = ask.film.frames
        film = opened_film(views[0].encoding, [ask.film.duration_ms] * len(views))
        first: Window | None = None
        completeness, reduction = 1.0, (1, 1, 1)
        for one, view in zip(series, views, strict=True):
            if request.is_cancelled:
                return
            volume = self._whole(one)
            # The window of the first is that of all: found for each volume, the film would flicker.
            seen = view if view.window or not first else replace(view, window=first)
            started = time.perf_counter()
            pixels, window = self._drawn_in_turn(request, ask.viewer, seen, volume)
            watch.add("draw", started)
            if pixels is None:
                return
            first = first or window
            completeness, reduction = min(completeness, volume.completeness), max(reduction, volume.reduction)
            started = time.perf_counter()
            film.add(pixels)
            watch.add("encode", started)
        started = time.perf_counter()
        body = film.finish()
        watch.add("encode", started)
        head = PictureHead(
            views[0].encoding.media_type, views[0].size, watch.stages(), completeness, False, first, reduction
        )
        request.answer(msgspec.msgpack.encode(head), body)

    def _whole(self, series: StoredSeries) -> LoadedVolume:
        """The volume of ``series`` when all of it is there, in use. Must not be called on the GL thread."""
        found: Future[LoadedVolume] = Future()
        waiting = Waiting(needs_whole=True, draw=found.set_result, refuse=found.set_exception)
        self._volumes.wanted(series).when_ready(waiting, _LONGEST_LOADING_S)
        return found.result()

    def _drawn_in_turn(
        self, request: Request, viewer: str, view: PlaneView | VolumeView, volume: LoadedVolume
    ) -> tuple[Pixels | None, Window | None]:
        """One frame of a film, when the pictures of others have had their turn; gives ``volume`` back."""
        drawn: Future[tuple[Pixels | None, Window | None]] = Future()

        def draw(renderer: Renderer) -> None:
            try:
                drawn.set_result(self._drawn(request, view, renderer, volume))
            except Exception as error:  # handed to the thread of the film, which answers
                drawn.set_exception(error)
            finally:
                volume.done()

        self._gl.picture(f"{viewer} film", draw)
        return drawn.result()

    def _volume(
        self,
        request: Request,
        view: VolumeView,
        renderer: Renderer,
        volume: LoadedVolume,
        *,
        size: tuple[int, int],
        window: Window | None,
    ) -> Pixels | None:
        assert volume.textures is not None

        def keep_going() -> bool:
            self._gl.do_quick_work()
            return not request.is_cancelled

        going = None if view.interactive else keep_going
        if window is None:
            transfer = transfer_function_of(view, volume.image.modality, volume.usual_window)
            return renderer.composites.draw(volume.textures, volume.scale, view, size, transfer, keep_going=going)
        return renderer.projections.draw_projection(volume.textures, volume.scale, view, size, window, keep_going=going)

    def _size(self, view: VolumeView) -> tuple[int, int]:
        """The size that is asked for; while the camera moves as much of it as the budget of time allows."""
        width, height = view.size
        if not view.interactive:
            return view.size
        pixels = _INTERACTIVE_BUDGET_MS / self._ms_per_pixel.get(view.method, _FIRST_GUESS_MS_PER_PIXEL)
        share = math.sqrt(max(pixels, _FEWEST_INTERACTIVE_PIXELS) / (width * height))
        # In steps of an eighth of an octave: a new size needs a new frame buffer, and the picture must not tremble.
        share = min(1.0, 2 ** (math.floor(math.log2(share) * 8) / 8))
        return max(1, round(width * share)), max(1, round(height * share))

    def _learn(self, method: str, ms_per_pixel: float) -> None:
        before = self._ms_per_pixel.get(method, _FIRST_GUESS_MS_PER_PIXEL)
        self._ms_per_pixel[method] = (1 - _FORGETTING) * before + _FORGETTING * ms_per_pixel


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is to be known of a picture beside its pixels."""

    window: Window | None
    completeness: float = 1.0
    is_coarse: bool = False
    reduction: tuple[int, int, int] = (1, 1, 1)


def _refuse_size(view: PlaneView | VolumeView) -> None:
    if max(view.size) > LARGEST_SIDE or min(view.size) < 1:
        raise NotDrawable(f"Pictures have 1 to {LARGEST_SIDE} pixels a side.", key="picture-too-large")


def _refuse_film(film: VolumeFilmView) -> None:
    view = film.frames[0]
    _refuse_size(view)
    _refuse_pixels(view.size, len(film.frames))


def _refuse_pixels(size: tuple[int, int], frame_count: int) -> None:
    if size[0] * size[1] * frame_count > _MOST_FILM_PIXELS:
        raise TooLarge(
            f"A film has at most {_MOST_FILM_PIXELS:,} pixels in all: ask for fewer frames or a smaller viewport",
            key="film-too-large",
        )


def _window(view: PlaneView | VolumeView, volume: LoadedVolume) -> Window | None:
    """The window of a picture that has grey; None for composited ones, whose colours come from a transfer function."""
    if isinstance(view, PlaneView):
        return view.window or volume.usual_window
    if view.method is RenderingMethod.VOLUME_RENDERED:
        return None
    return view.window or _usual_projection_window(view, volume)


def _usual_projection_window(view: VolumeView, volume: LoadedVolume) -> Window:
    """The volume's own; for the largest values of CT one over contrast and bone: a slice's window shows them all white."""
    if volume.image.modality == "CT" and view.method is RenderingMethod.MAXIMUM_IP:
        return _CT_PROJECTION_WINDOW
    return volume.usual_window


def _turned(pixels: Pixels, view: SliceView) -> Pixels:
    """Exchanged as the viewport says (PS3.18 §8.3.5.1.3)."""
    if view.viewport is not None and view.viewport.is_mirrored:
        pixels = pixels[:, ::-1]
    if view.viewport is not None and view.viewport.is_upside_down:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _encode_and_answer(
    request: Request, pixels: NDArray[Any], encoding: Encoding, watch: Stopwatch, standing: _Standing
) -> None:
    if request.is_cancelled:
        return
    started = time.perf_counter()
    body = encode(pixels, encoding)
    watch.add("encode", started)
    size = (pixels.shape[1], pixels.shape[0])
    head = PictureHead(
        encoding.media_type,
        size,
        watch.stages(),
        standing.completeness,
        standing.is_coarse,
        standing.window,
        standing.reduction,
    )
    request.answer(msgspec.msgpack.encode(head), body)


def _answered(request: Request, work: Callable[[], None]) -> None:
    """``work`` is done, and what it refuses is the answer. An error that nobody foresaw costs one picture, not all."""
    try:
        work()
    except ApplianceError as error:
        request.refuse(error)
    except Exception:
        log.exception("a picture could not be made")
        request.refuse(NotDrawable("The picture could not be made.", key="drawing-failed"))


def _prepared(settings: bytes) -> Callable[[Request], None]:
    return RenderProcess(msgspec.msgpack.decode(settings, type=RenderSettings)).handle


if __name__ == "__main__":
    journal.set_up_as_parent()
    serve_requests(_prepared)
