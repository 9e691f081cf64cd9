"""A render process: reads, decodes, draws and encodes what the front asks for. ``python -m appliance.services.render_process``.

    main thread      takes requests and puts them into queues
    slice workers    a slice each: read, decode, draw, encode, answer; viewers in turn, the newest first
    volume thread    loads volumes in the background (``loaded_volumes``)
    ahead            makes ready what is about to be wanted, and what came in, while nobody waits (``spare_time``)
    keeper           writes decoded frames into the render cache (``frames``)
    gl thread        owns the context (``gl_thread``)
    films            draws and encodes moving pictures, one at a time
    encoders         encode planes and volumes, so that the next can be drawn meanwhile

What nobody waits for any more is dropped before it is begun. Compressed frames are decoded in processes of their own
(``decode_process``): some for what is wanted, one of low priority for what is made ahead.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import ApplianceError, Conflict, NotDrawable, TooLarge
from appliance.domain.grayscale import chosen_voi, has_own_voi, window_of_part
from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.domain.regions import region_values
from appliance.domain.views import (
    STORED_VALUES,
    Encoding,
    Fusion,
    PlaneView,
    RenderingMethod,
    SliceView,
    VolumeFilmView,
    VolumeView,
)
from appliance.domain.voi import Voi, voi_of, window_over
from appliance.rendering.annotations import annotated
from appliance.rendering.colours import in_srgb
from appliance.rendering.encoders import encode, media_types
from appliance.rendering.films import film_types, opened_film
from appliance.rendering.fusion import fused
from appliance.rendering.renderer import Renderer
from appliance.rendering.slices import LARGEST_SIDE, Pixels, drawn_plainly, is_plain, planned
from appliance.rendering.stored_values import encoded_values, has_remainder, remaining_values
from appliance.rendering.transfer_functions import transfer_function_of
from appliance.services import journal
from appliance.services.children import Request, serve_requests
from appliance.services.decode_process import DecodeLimits, Decoders
from appliance.services.drawing_rules import DRAWING_RULES
from appliance.services.fair_queue import FairQueue
from appliance.services.frames import Frames, Stopwatch, keep_only_of_stored
from appliance.services.gl_thread import GlThread
from appliance.services.loaded_volumes import LoadedVolume, LoadedVolumes, Waiting
from appliance.services.pace import Pace
from appliance.services.parts import needed_part
from appliance.services.render_messages import (
    SERIES_UNKNOWN,
    Ask,
    DrawFilm,
    DrawPlane,
    DrawSlice,
    DrawVolume,
    DrawVolumeFilm,
    Forget,
    KnowSeries,
    MakeReady,
    MakeReadyAhead,
    MakeVolumeReady,
    PictureHead,
    PixelSamples,
    ProcessState,
    ReadPixel,
    ReadRegion,
    ReadWindow,
    RenderSettings,
)
from appliance.services.spare_time import SpareTime
from appliance.storage.instances import open_store
from appliance.storage.render_cache import CacheFigures, RenderCache
from appliance.storage.sealing import MasterKeys

log = logging.getLogger(__name__)

_CT_PROJECTION_WINDOWS = {
    RenderingMethod.MAXIMUM_IP: Window(400, 1400, explanation="Projection"),
    RenderingMethod.AVERAGE_IP: Window(-400, 1200, explanation="Projection"),
}
_MOST_FILM_PIXELS = 64_000_000
"""Of all frames of a film; in colour they take three bytes each until it is encoded."""
_MOST_SERIES = 256
"""Manifests that a process remembers; the front sends one again when it is asked to."""
_LONGEST_LOADING_S = 120.0
"""So long a film waits for a volume of its; then it is drawn of what is there, and says so."""
_AHEAD_NICENESS = 10
_LONGEST_LOOK_S = 30.0
"""From one look for what is idle to the next."""


class RenderProcess:
    """Holds the queues and the caches. ``handle`` is called on the main thread and never blocks for long."""

    def __init__(self, settings: RenderSettings) -> None:
        self._settings = settings
        self._gl = GlThread(software_only=settings.software_only, on_lost=self._forget_lost)
        self._store = open_store(settings.store())
        self._cache = _opened_cache(settings, self._store.keys)
        limits = DecodeLimits(memory_bytes=settings.decode_memory_bytes)
        # As many as there are threads that may want a frame at once: slices, and volumes.
        self._decoders = Decoders(2 * settings.decoder_threads, limits)
        self._decoders.start()
        self._patient_decoders = Decoders(1, limits, niceness=_AHEAD_NICENESS)
        self._frames = Frames(self._store, settings.frame_cache_bytes, self._decoders, self._cache)
        self._slices: FairQueue[tuple[Request, DrawSlice | ReadPixel | ReadWindow | ReadRegion]] = FairQueue()
        self._spare: SpareTime[Callable[[], None]] = SpareTime(lambda: self._volumes.is_loading)
        self._made_ahead = 0
        self._volumes = LoadedVolumes(
            self._frames,
            self._gl,
            budget_bytes=settings.texture_cache_bytes,
            threads=settings.decoder_threads,
            is_busy=lambda: self._spare.is_busy,
        )
        self._encoders = ThreadPoolExecutor(settings.encoder_threads, thread_name_prefix="encoder")
        # One at a time and not by the slice workers, which somebody waits for picture by picture.
        self._films = ThreadPoolExecutor(1, thread_name_prefix="films")
        self._series: OrderedDict[str, StoredSeries] = OrderedDict()
        self._pace = Pace()
        for number in range(settings.decoder_threads):
            threading.Thread(target=self._draw_slices, name=f"slices-{number}", daemon=True).start()
        threading.Thread(target=self._make_ahead, name="ahead", daemon=True).start()
        threading.Thread(target=self._release_idle, name="idle", daemon=True).start()

    def handle(self, request: Request) -> None:
        ask = msgspec.msgpack.decode(request.message.header, type=Ask)
        if isinstance(ask, DrawSlice | ReadPixel | ReadWindow | ReadRegion):
            self._spare.begin()
            self._slices.put(ask.viewer, (request, ask))
        elif isinstance(ask, DrawFilm):
            self._films.submit(_answered, request, lambda: self._film(request, ask))
        elif isinstance(ask, DrawVolumeFilm):
            _refuse_film(ask.film)
            series = [self._known(version) for version in ask.versions]
            self._films.submit(_answered, request, lambda: self._volume_film(request, ask, series))
        elif isinstance(ask, DrawPlane | DrawVolume):
            self._spare.touch()
            self._wait_for_volume(request, ask)
        elif isinstance(ask, KnowSeries):
            self._know(ask.series)
            request.answer(b"")
        elif isinstance(ask, MakeReady):
            self._spare.put_new(lambda: self._make_ready(request, ask))
        elif isinstance(ask, MakeVolumeReady):
            steps = self._volumes.make_ready(ask.series, self._passing)
            self._spare.put_new(lambda: self._make_volume_ready(request, steps))
        elif isinstance(ask, MakeReadyAhead):
            self._spare.put_ahead(ask.viewer, [self._decoding(image) for image in ask.images], anew=ask.anew)
            request.answer(b"")
        elif isinstance(ask, Forget):
            for key in ask.keys:
                self._frames.forget(key)
            request.answer(b"")
        else:
            # The context may still be opening: not on this thread.
            self._encoders.submit(_answered, request, lambda: request.answer(msgspec.msgpack.encode(self._state())))

    def _forget_lost(self) -> None:
        self._volumes.forget_lost()

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
            render_cache=self._cache.figures if self._cache else CacheFigures(),
            made_ahead=self._made_ahead,
            waiting_ahead=self._spare.waiting,
            decoder_deaths=self._decoders.deaths + self._patient_decoders.deaths,
            contexts_lost=self._gl.contexts_lost,
            fallback=self._gl.fallback,
        )

    # Slices

    def _draw_slices(self) -> None:
        while True:
            request, ask = self._slices.take()
            try:
                if not request.is_cancelled:
                    _answered(request, lambda request=request, ask=ask: self._of_frame(request, ask))  # type: ignore[misc]
            finally:
                self._spare.end()

    def _of_frame(self, request: Request, ask: DrawSlice | ReadPixel | ReadWindow | ReadRegion) -> None:
        if isinstance(ask, ReadPixel):
            stored = self._frames.stored_values(ask.image, 0, Stopwatch())
            samples = np.atleast_1d(stored[ask.row, ask.column]).tolist()
            request.answer(msgspec.msgpack.encode(PixelSamples(tuple(samples))))
        elif isinstance(ask, ReadWindow):
            stored = self._frames.stored_values(ask.image, 0, Stopwatch())
            part = stored[ask.row : ask.row + ask.rows, ask.column : ask.column + ask.columns]
            request.answer(msgspec.msgpack.encode(window_of_part(part, ask.image.description, 0)))
        elif isinstance(ask, ReadRegion):
            stored = self._frames.stored_values(ask.image, 0, Stopwatch())
            request.answer(msgspec.msgpack.encode(region_values(stored, ask.image.description, 0, ask.region)))
        else:
            self._slice(request, ask)

    def _slice(self, request: Request, ask: DrawSlice, decoders: Decoders | None = None) -> None:
        if ask.is_kept and self._answer_kept(request, ask):
            return
        watch = Stopwatch()
        if ask.view.encoding.media_type == STORED_VALUES:
            self._stored_values(request, ask, watch)
            return
        pixels, window = self._frame(ask.image, 0, ask.view, watch, decoders)
        made = _encode_and_answer(request, pixels, ask.view.encoding, watch, _Standing(window))
        if ask.is_kept and made is not None:
            self._keep_picture(ask, *made)

    def _frame(
        self,
        stored_image: StoredImage,
        frame_index: int,
        view: SliceView,
        watch: Stopwatch,
        decoders: Decoders | None = None,
    ) -> tuple[Pixels, Window | None]:
        """One frame, drawn; and the window through which it is seen."""
        plan = planned(stored_image.description, view)
        if not self._frames.has(stored_image, frame_index):
            part = needed_part(stored_image, frame_index, view, plan)
            stored_image, frame_index, plan = part.image, part.frame_index, part.plan
        image = stored_image.description
        stored = self._frames.stored_values(stored_image, frame_index, watch, decoders)
        mask = self._frames.mask(stored_image, frame_index, watch) if view.layers else None
        profile = self._frames.profile(stored_image)
        started = time.perf_counter()
        if profile:
            stored, image = in_srgb(stored, image, profile)
        voi = None if image.is_colour else chosen_voi(stored, image, frame_index, view.window, view.voi)
        window = voi if isinstance(voi, Window) else None
        view = replace(view, window=window)
        if self._gl.renderer.info.is_software and is_plain(image, plan, mask):
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
        view = ask.film.view
        frames = [(image, index) for image in ask.images for index in range(len(image.description.frames))]
        size = _size_of_all(ask.images, view)
        _refuse_pixels(size, len(frames))
        film = opened_film(view.encoding, ask.film.durations_ms)
        first: Window | None = None
        for image, index in frames:
            if request.is_cancelled:
                return
            # One window that is found for all: found for each, the film would flicker.
            is_found = view.window is None and view.voi is None and not has_own_voi(image.description, index)
            pixels, window = self._frame(image, index, replace(view, window=first) if is_found else view, watch)
            first = first or window
            started = time.perf_counter()
            film.add(pixels)
            watch.add("encode", started)
        started = time.perf_counter()
        body = film.finish()
        watch.add("encode", started)
        head = PictureHead(view.encoding.media_type, size, watch.stages(), 1.0, False, first)
        request.answer(msgspec.msgpack.encode(head), body)

    def _answer_kept(self, request: Request, ask: DrawSlice) -> bool:
        """Whether the picture was on the disk and is the answer."""
        started = time.perf_counter()
        kept = self._cache.picture(ask.image.key, _picture_name(ask)) if self._cache else None
        if kept is None:
            return False
        head, body = msgspec.msgpack.decode(kept, type=tuple[PictureHead, bytes])
        read_ms = round((time.perf_counter() - started) * 1000, 3)
        request.answer(msgspec.msgpack.encode(msgspec.structs.replace(head, stages_ms=(("read", read_ms),))), body)
        return True

    def _keep_picture(self, ask: DrawSlice, head: PictureHead, body: bytes) -> None:
        if self._cache is not None:
            self._cache.keep_picture(ask.image.key, _picture_name(ask), msgspec.msgpack.encode((head, body)))
            keep_only_of_stored(self._cache, self._store, ask.image.key)

    # Ahead of being asked

    def _make_ahead(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _AHEAD_NICENESS)
        while True:
            work = self._spare.take()
            try:
                work()
            except ApplianceError as error:
                log.info("a frame could not be made ready: %s", error.message)  # who asks for it is told
            except Exception:  # the edge of the task
                log.exception("a frame could not be made ready")

    def _make_ready(self, request: Request, ask: MakeReady) -> None:
        if not request.is_cancelled:
            _answered(request, lambda: self._made_ready(request, ask))

    def _made_ready(self, request: Request, ask: MakeReady) -> None:
        if ask.view is None:
            self._made_ahead += self._frames.make_ready(ask.image, 0, self._patient_decoders)
            request.answer(b"")
            return
        wanted = DrawSlice("", ask.image, ask.view, is_kept=True)
        if self._cache is None or self._cache.has_picture(ask.image.key, _picture_name(wanted)):
            request.answer(b"")
            return
        self._slice(request, wanted, self._patient_decoders)
        self._made_ahead += 1

    def _make_volume_ready(self, request: Request, steps: Iterator[int]) -> None:
        """The next slice; those after it when there is time again."""

        def step() -> None:
            if next(steps, None) is None:
                request.answer(b"")
            else:
                self._made_ahead += 1
                self._spare.put_new(lambda: self._make_volume_ready(request, steps))

        if not request.is_cancelled:
            _answered(request, step)

    def _passing(self, image: StoredImage, frame_index: int, watch: Stopwatch) -> NDArray[Any]:
        return self._frames.passing_values(image, frame_index, watch, self._patient_decoders)

    def _decoding(self, image: StoredImage) -> Callable[[], None]:
        """What has the only frame of ``image`` in memory."""

        def work() -> None:
            if not self._frames.has(image, 0):
                # By the workers of what is wanted: it will be in a moment.
                self._frames.stored_values(image, 0, Stopwatch())
                self._made_ahead += 1

        return work

    def _release_idle(self) -> None:
        idle_s = self._settings.idle_release_s
        while True:
            time.sleep(min(idle_s / 4, _LONGEST_LOOK_S))
            self._frames.release_unused(idle_s)
            self._volumes.release_unused(idle_s)

    def _stored_values(self, request: Request, ask: DrawSlice, watch: Stopwatch) -> None:
        stored = self._frames.stored_values(ask.image, 0, watch)
        picture = self._frame(ask.image, 0, ask.view, watch)[0] if ask.view.without_picture else None
        started = time.perf_counter()
        if picture is not None and has_remainder(stored, picture):
            body, values = remaining_values(stored, picture)
        else:
            body, values = encoded_values(stored)
        watch.add("encode", started)
        size = (stored.shape[1], stored.shape[0])
        head = PictureHead(STORED_VALUES, size, watch.stages(), 1.0, False, stored_values=values)
        request.answer(msgspec.msgpack.encode(head), body)

    # Planes and volumes

    def _wait_for_volume(self, request: Request, ask: DrawPlane | DrawVolume) -> None:
        fusion = ask.view.fusion
        wanted = [(self._known(ask.version), ask.view.volume)]
        if fusion is not None:
            wanted.append((self._known(fusion.version), fusion.volume))
        _refuse_size(ask.view)
        self._wait_for_next(request, ask, wanted, [])

    def _wait_for_next(
        self,
        request: Request,
        ask: DrawPlane | DrawVolume,
        wanted: Sequence[tuple[StoredSeries, int | None]],
        ready: Sequence[_Subject],
    ) -> None:
        """Waits for the volumes of ``wanted``, one after the other, and draws when they are all ``ready``."""

        def go_on(subject: _Subject) -> None:
            if len(wanted) > 1:
                self._wait_for_next(request, ask, wanted[1:], [*ready, subject])
            else:
                every = [*ready, subject]
                self._gl.picture(ask.viewer, lambda renderer: _answered(request, lambda: work(renderer, every)))

        def work(renderer: Renderer, subjects: Sequence[_Subject]) -> None:
            wholes = [subject.whole for subject in subjects]
            try:
                if not request.is_cancelled:
                    self._check(wholes)
                    self._picture(request, ask, renderer, subjects)
            except ApplianceError:
                raise
            except Exception:
                self._check(wholes)  # a context that is lost explains all other errors
                raise
            finally:
                for subject in subjects:
                    subject.done()

        def refuse(error: ApplianceError) -> None:
            for subject in ready:
                subject.done()
            request.refuse(error)

        def look_closer(whole: LoadedVolume) -> None:
            self._with_close_up(whole, ask.view, go_on)

        waiting = Waiting(needs_whole=not ask.view.interactive, draw=look_closer, refuse=refuse)
        self._volumes.wanted(*wanted[0]).when_ready(waiting, self._settings.settled_wait_s)

    def _with_close_up(
        self, whole: LoadedVolume, view: PlaneView | VolumeView, draw: Callable[[_Subject], None]
    ) -> None:
        """``draw`` is called when what ``view`` shows of ``whole`` is there as fine as it can be seen, or after a while."""
        part: LoadedVolume | None = None
        with contextlib.suppress(NotDrawable):  # a camera that looks nowhere: who draws says so
            part = self._volumes.close_up(whole, view)
        if part is None:
            draw(_Subject(whole))
            return
        waiting = Waiting(
            needs_whole=True,
            draw=lambda closer: draw(_Subject(whole, closer)),
            refuse=lambda _: draw(_Subject(whole)),  # nothing of it can be decoded
        )
        part.when_ready(waiting, self._settings.settled_wait_s)

    def _check(self, volumes: Sequence[LoadedVolume]) -> None:
        for volume in volumes:
            self._gl.check(volume.generation)

    def _known(self, version: str) -> StoredSeries:
        series = self._series.get(version)
        if series is None:
            raise Conflict("the render process does not know the series", key=SERIES_UNKNOWN)
        self._series.move_to_end(version)
        return series

    def _picture(
        self, request: Request, ask: DrawPlane | DrawVolume, renderer: Renderer, subjects: Sequence[_Subject]
    ) -> None:
        watch = Stopwatch()
        # Before drawing, and before it is chosen what is drawn: slices that arrive meanwhile are only in a part of it.
        completeness = min(subject.completeness for subject in subjects)
        volumes = [subject.drawn for subject in subjects]
        volume = volumes[0]
        started = time.perf_counter()
        pixels, voi = self._drawn(request, ask.view, renderer, volume)
        if pixels is not None and ask.view.fusion is not None:
            pixels = self._fused(request, ask.view, ask.view.fusion, renderer=renderer, volume=volumes[1], below=pixels)
        if pixels is None:
            return
        self._check(volumes)
        watch.add("draw", started)
        is_coarse = any(each.is_coarse for each in volumes)
        if isinstance(ask, DrawVolume) and ask.view.interactive:
            is_coarse = True
            if all(each.is_ended for each in volumes):  # loading takes its share
                self._pace.learn(ask.view, pixels.shape[0] * pixels.shape[1], watch.ms("draw"))
        window = voi if isinstance(voi, Window) else None
        standing = _Standing(window, completeness, is_coarse, *(each.reduction for each in volumes))
        self._encoders.submit(
            _answered, request, lambda: _encode_and_answer(request, pixels, ask.view.encoding, watch, standing)
        )

    def _fused(
        self,
        request: Request,
        view: PlaneView | VolumeView,
        fusion: Fusion,
        *,
        renderer: Renderer,
        volume: LoadedVolume,
        below: Pixels,
    ) -> Pixels | None:
        """``below`` with the other ``volume`` over it, seen from the same place."""
        seen = replace(view, window=fusion.window, voi=None, invert=False, gamma=1.0)
        above, _ = self._drawn(request, seen, renderer, volume)
        return None if above is None else fused(below, above, fusion.opacity)

    def _drawn(
        self, request: Request, view: PlaneView | VolumeView, renderer: Renderer, volume: LoadedVolume
    ) -> tuple[Pixels | None, Voi | None]:
        """The pixels, None when nobody waits any more, and what makes their grey. On the GL thread."""
        assert volume.textures is not None
        voi = _voi(view, volume)
        if isinstance(view, PlaneView):
            assert voi is not None, "a plane has grey"
            return renderer.projections.draw_plane(volume.textures, volume.scale, view, voi), voi
        return self._volume(request, view, renderer, volume, size=self._pace.size(view), voi=voi), voi

    def _volume_film(self, request: Request, ask: DrawVolumeFilm, series: Sequence[StoredSeries]) -> None:
        watch = Stopwatch()
        views = ask.film.frames
        film = opened_film(views[0].encoding, [ask.film.duration_ms] * len(views))
        first: Window | None = None
        completeness, reduction = 1.0, (1, 1, 1)
        for one, view in zip(series, views, strict=True):
            if request.is_cancelled:
                return
            volume = self._whole(one, view.volume)
            # The window of the first is that of all: found for each volume, the film would flicker.
            seen = view if view.window or not first else replace(view, window=first)
            started = time.perf_counter()
            pixels, voi = self._drawn_in_turn(request, ask.viewer, seen, volume)
            watch.add("draw", started)
            if pixels is None:
                return
            first = first or (voi if isinstance(voi, Window) else None)
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

    def _whole(self, series: StoredSeries, number: int | None) -> LoadedVolume:
        """Volume ``number`` of ``series`` when all of it is there, in use. Must not be called on the GL thread."""
        found: Future[LoadedVolume] = Future()
        waiting = Waiting(needs_whole=True, draw=found.set_result, refuse=found.set_exception)
        self._volumes.wanted(series, number).when_ready(waiting, _LONGEST_LOADING_S)
        return found.result()

    def _drawn_in_turn(
        self, request: Request, viewer: str, view: PlaneView | VolumeView, volume: LoadedVolume
    ) -> tuple[Pixels | None, Voi | None]:
        """One frame of a film, when the pictures of others have had their turn; gives ``volume`` back."""
        drawn: Future[tuple[Pixels | None, Voi | None]] = Future()

        def draw(renderer: Renderer) -> None:
            try:
                self._gl.check(volume.generation)
                found = self._drawn(request, view, renderer, volume)
                self._gl.check(volume.generation)
                drawn.set_result(found)
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
        voi: Voi | None,
    ) -> Pixels | None:
        assert volume.textures is not None

        def keep_going() -> bool:
            self._gl.do_quick_work()
            return not request.is_cancelled

        going = None if view.interactive else keep_going
        if voi is None:
            transfer = transfer_function_of(view, volume.image.modality, window_over(volume.usual_voi))
            return renderer.composites.draw(volume.textures, volume.scale, view, size, transfer, keep_going=going)
        return renderer.projections.draw_projection(volume.textures, volume.scale, view, size, voi, keep_going=going)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A volume that is drawn."""

    whole: LoadedVolume
    closer: LoadedVolume | None = None
    """The part of it that is seen, finer; drawn when all of it is there."""

    @property
    def drawn(self) -> LoadedVolume:
        closer = self.closer
        return closer if closer and closer.is_ended and closer.refusal is None else self.whole

    @property
    def completeness(self) -> float:
        return (self.closer or self.whole).completeness

    def done(self) -> None:
        for volume in filter(None, (self.whole, self.closer)):
            volume.done()


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is to be known of a picture beside its pixels."""

    window: Window | None
    completeness: float = 1.0
    is_coarse: bool = False
    reduction: tuple[int, int, int] = (1, 1, 1)
    fused_reduction: tuple[int, int, int] = (1, 1, 1)


def _refuse_size(view: PlaneView | VolumeView) -> None:
    if max(view.size) > LARGEST_SIDE or min(view.size) < 1:
        raise NotDrawable(f"Pictures have 1 to {LARGEST_SIDE} pixels a side.", key="picture-too-large")


def _size_of_all(images: Sequence[StoredImage], view: SliceView) -> tuple[int, int]:
    """(width, height) of every frame of a film. Raises NotDrawable where a presentation state shows parts of several sizes."""
    sizes = set()
    for image in images:
        width, height = planned(image.description, view).size
        sizes.add((height, width) if image.description.quarter_turns % 2 else (width, height))
    if len(sizes) > 1:
        raise NotDrawable("The frames differ in size: ask for them one by one.", key="film-of-several-sizes")
    return sizes.pop()


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


def _voi(view: PlaneView | VolumeView, volume: LoadedVolume) -> Voi | None:
    """What makes the grey of a picture; None for composited ones, whose colours come from a transfer function."""
    is_composited = isinstance(view, VolumeView) and view.method is RenderingMethod.VOLUME_RENDERED
    if is_composited or view.window is not None:
        return None if is_composited else view.window
    if view.voi is not None:
        return voi_of(*volume.middle, view.voi)
    return volume.usual_voi if isinstance(view, PlaneView) else _usual_projection_voi(view, volume)


def _usual_projection_voi(view: VolumeView, volume: LoadedVolume) -> Voi:
    """The volume's own; of CT a window over contrast and bone for the largest values, one over air and tissue for their mean.

    A slice's window shows the first all white, and the second, with the air before and behind the body in it, all black.
    """
    usual = _CT_PROJECTION_WINDOWS.get(view.method) if volume.image.modality == "CT" else None
    return usual or volume.usual_voi


def _turned(pixels: Pixels, view: SliceView) -> Pixels:
    """Exchanged as the viewport says (PS3.18 §8.3.5.1.3)."""
    if view.viewport is not None and view.viewport.is_mirrored:
        pixels = pixels[:, ::-1]
    if view.viewport is not None and view.viewport.is_upside_down:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _encode_and_answer(
    request: Request, pixels: NDArray[Any], encoding: Encoding, watch: Stopwatch, standing: _Standing
) -> tuple[PictureHead, bytes] | None:
    """The picture that was the answer; None if nobody waited for it any more."""
    if request.is_cancelled:
        return None
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
        standing.fused_reduction,
    )
    request.answer(msgspec.msgpack.encode(head), body)
    return head, body


def _opened_cache(settings: RenderSettings, keys: MasterKeys | None) -> RenderCache | None:
    if not settings.render_cache_bytes:
        return None
    return RenderCache(
        Path(settings.render_cache_directory),
        keys,
        budget_bytes=settings.render_cache_bytes,
        floor_bytes=settings.floor_bytes,
        writers=settings.processes,
    )


def _picture_name(ask: DrawSlice) -> str:
    """All that the picture depends on, beside the frame's bytes."""
    return hashlib.sha256(
        DRAWING_RULES.encode() + msgspec.msgpack.encode((ask.image.description, ask.view))
    ).hexdigest()


def _answered(request: Request, work: Callable[[], object]) -> None:
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
