"""Pictures, for the doors: asked for here, made in render processes, joined and kept.

A view is frozen and complete, so it is also a key: a picture that is there is handed out, one that is being made is waited for
together, and it is given up when the last who waited has gone. The processes hold everything else; when one dies it is
started again and what it was asked is asked once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import msgspec

from appliance.domain.errors import ApplianceError, Conflict, NotDrawable, Unavailable
from appliance.domain.grayscale import pixel_value
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.domain.regions import Region, RegionValues
from appliance.domain.views import FilmView, Picture, PixelValue, PlaneView, SliceView, VolumeFilmView, VolumeView
from appliance.services.byte_cache import ByteCache
from appliance.services.children import ONE_THREAD_EACH, Child, Message
from appliance.services.gl_thread import CONTEXT_LOST
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
    TellState,
)
from appliance.services.travel import Place, Travel
from appliance.storage.instances import StoreSettings
from appliance.storage.render_cache import CacheFigures

log = logging.getLogger(__name__)

_MODULE = "appliance.services.render_process"
_MEBIBYTE = 1024**2
_STATE_EVERY_S = 2.0
_DIED = "helper-died"
_MOST_DEATHS, _DEATHS_COUNT_S = 3, 120.0
"""A process that uses a graphics card and dies so often in so much time is not to use it."""
_SUMMED = ("frame_cache_bytes", "texture_cache_bytes", "made_ahead", "waiting_ahead", "decoder_deaths", "contexts_lost")
"""Figures that each process has of its own."""
_SHARED = frozenset({"entries", "size_bytes"})

_Key = tuple[str, SliceView | FilmView | PlaneView | VolumeView | VolumeFilmView]
"""What is kept, by its content, and how it is seen."""


@dataclass(frozen=True, slots=True)
class DrawingSettings:
    """How many render processes there are, and what each may use."""

    store: StoreSettings
    processes: int = 1
    """Each has a context and caches of its own; slices are spread over them, a series' volume is in one."""
    decoder_threads: int = 2
    encoder_threads: int = 2
    frame_cache_bytes: int = 1024 * _MEBIBYTE
    """Decoded frames, in each process."""
    texture_cache_bytes: int = 2048 * _MEBIBYTE
    """Volumes on the card, or in memory where software draws, in each process."""
    picture_cache_bytes: int = 64 * _MEBIBYTE
    """Encoded pictures, in this process."""
    settled_wait_s: float = 4.0
    """So long a picture that is not interactive waits for its volume to be whole."""
    render_cache_directory: Path | None = None
    """Where decoded frames and thumbnails are kept; without it in the store's directory."""
    render_cache_bytes: int = 8192 * _MEBIBYTE
    """On the disk, by all processes together; 0 for none."""
    idle_release_s: float = 900.0
    """What nobody has used for so long is given back, whatever room there is."""
    frames_ahead: int = 4
    """Frames that are made ready in the direction in which a viewer goes."""
    decode_memory_bytes: int = 2048 * _MEBIBYTE
    """Address space of a process that decodes; a frame that needs more is refused."""

    @property
    def cache_directory(self) -> Path:
        return self.render_cache_directory or self.store.directory / "render-cache"


@dataclass(frozen=True, slots=True)
class RendererState:
    """What draws, and how it is."""

    is_running: bool
    vendor: str = ""
    renderer: str = ""
    version: str = ""
    is_software: bool = True
    largest_texture_side: int = 0
    largest_volume_side: int = 0
    media_types: tuple[str, ...] = ()
    film_types: tuple[str, ...] = ()
    restarts: int = 0
    """Of all processes since the start."""
    frame_cache_bytes: int = 0
    texture_cache_bytes: int = 0
    picture_cache_bytes: int = 0
    render_cache: CacheFigures = field(default_factory=CacheFigures)
    """Of all processes; entries and bytes as the one has seen them that has looked last, or nearly."""
    made_ahead: int = 0
    waiting_ahead: int = 0
    decoder_deaths: int = 0
    contexts_lost: int = 0
    fallback: str = ""
    """Why software draws where there is, or was, a graphics card."""


Around = Callable[[InstanceUid, int], Place | None]
"""The place of a frame, if its series is known just now."""


@dataclass(slots=True)
class _Shared:
    """A picture that is being made, and how many wait for it."""

    task: asyncio.Task[Picture]
    waiters: int = 0


@dataclass(slots=True)
class _Process:
    child: Child
    known: set[str] = field(default_factory=set)
    """Versions of series that it was told of, as far as this side knows."""
    state: ProcessState | None = None
    has_card: bool = False
    """Whether it drew with a graphics card when it was asked last."""
    restarts_seen: int = 0
    deaths: list[float] = field(default_factory=list)
    """When it was seen to have died, by the event loop's clock, the last few times."""


class Drawing:
    """Draws slices, planes and volumes of stored images. For one event loop."""

    def __init__(self, settings: DrawingSettings) -> None:
        self._settings = settings
        self.around: Around = _nowhere
        """Whoever knows the series tells what is around a frame."""
        self._travel = Travel(settings.frames_ahead)
        self._telling: set[asyncio.Task[None]] = set()
        self._pictures: ByteCache[_Key, Picture] = ByteCache(settings.picture_cache_bytes)
        self._being_made: dict[_Key, _Shared] = {}
        self._media_types: tuple[str, ...] = ()
        self._film_types: tuple[str, ...] = ()
        self._watching: asyncio.Task[None] | None = None
        first = msgspec.msgpack.encode(_render_settings(settings))
        self._processes = [
            _Process(Child(_MODULE, first, name=f"render process {number}", environment=ONE_THREAD_EACH))
            for number in range(settings.processes)
        ]

    async def start(self) -> None:
        """The processes run, and each has said what it draws with.

        Raises Unavailable where there is no OpenGL, and NotDrawable where a library fails in a way that nobody foresaw.
        """
        for process in self._processes:
            await process.child.start()
        try:
            await asyncio.gather(*(self._look_at(process) for process in self._processes))
        except ApplianceError:
            await self.stop()
            raise
        state = self.state()
        self._media_types, self._film_types = state.media_types, state.film_types
        self._watching = asyncio.create_task(self._watch(), name="look after render processes")

    async def stop(self) -> None:
        """The processes are gone; what they were asked has failed."""
        if self._watching:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        for shared in list(self._being_made.values()):
            shared.task.cancel()
        for telling in self._telling:
            telling.cancel()
        await asyncio.gather(*(process.child.stop() for process in self._processes))

    async def slice(self, image: StoredImage, view: SliceView, *, viewer: str, is_kept: bool = False) -> Picture:
        """One frame of ``image``; ``is_kept`` where the picture itself is to be on the disk, a thumbnail.

        Raises NotDrawable, NotFound, Damaged and Unavailable.
        """
        _check_frame(image, view.frame_index)
        if not is_kept:
            self._look_ahead(image, view.frame_index, viewer)
        ask = DrawSlice(viewer, _alone(image, view.frame_index), replace(view, frame_index=0), is_kept)
        process = self._process_of_frame(image, view.frame_index)
        return await self._picture((image.key, view), lambda: self._drawn(process, ask))

    async def pixel(self, image: StoredImage, frame_index: int, row: int, column: int, *, viewer: str) -> PixelValue:
        """One pixel of ``image``; all three count from 0 and have to be within it. Raises as ``slice`` does."""
        process = self._process_of_frame(image, frame_index)
        ask = ReadPixel(viewer, _alone(image, frame_index), row, column)
        answer = await _asked_again_if_died(process, ask)
        samples = msgspec.msgpack.decode(answer.header, type=PixelSamples).samples
        return pixel_value(samples, image.description, frame_index)

    async def window(self, image: StoredImage, frame_index: int, rows: range, columns: range, *, viewer: str) -> Window:
        """Through which all that differs in a part of a grey frame is seen; it has to be within it. Raises as ``slice`` does."""
        process = self._process_of_frame(image, frame_index)
        ask = ReadWindow(viewer, _alone(image, frame_index), rows.start, columns.start, len(rows), len(columns))
        answer = await _asked_again_if_died(process, ask)
        return msgspec.msgpack.decode(answer.header, type=Window)

    async def region(self, image: StoredImage, frame_index: int, region: Region, *, viewer: str) -> RegionValues:
        """The values in a region of a frame. Raises as ``slice`` does."""
        _check_frame(image, frame_index)
        process = self._process_of_frame(image, frame_index)
        answer = await _asked_again_if_died(process, ReadRegion(viewer, _alone(image, frame_index), region))
        return msgspec.msgpack.decode(answer.header, type=RegionValues)

    async def film(self, images: Sequence[StoredImage], film: FilmView, *, viewer: str) -> Picture:
        """Frames of an image as a moving picture; ``images`` are that image as each of them is to be drawn.

        Raises as ``slice`` does, and TooLarge.
        """
        key, parts = images[0].key, _alike(images, film.frame_indexes)
        process = self._process_of(key)
        return await self._picture((key, film), lambda: self._drawn(process, DrawFilm(viewer, parts, film)))

    def _look_ahead(self, image: StoredImage, frame_index: int, viewer: str) -> None:
        """The frames that ``viewer`` is about to want are being made ready, as far as there is time."""
        place = self.around(image.description.instance_uid, frame_index)
        ahead = place and self._travel.ahead(viewer, place.series_uid, place.position, place.count)
        if not place or not ahead:
            return
        by_process: dict[int, list[StoredImage]] = {number: [] for number in range(len(self._processes))}
        for position in ahead.positions:
            neighbour, index = place.at(position)
            by_process[self._number_of_frame(neighbour, index)].append(_bare(neighbour, index))
        for number, images in by_process.items():
            if images or ahead.anew:
                self._tell_later(self._processes[number], MakeReadyAhead(viewer, tuple(images), ahead.anew))

    def _tell_later(self, process: _Process, ask: Ask) -> None:
        """Nobody waits for it, and nothing is lost if the process is away."""

        async def tell() -> None:
            with contextlib.suppress(Unavailable):
                await process.child.ask(msgspec.msgpack.encode(ask))

        telling = asyncio.create_task(tell())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def plane(
        self, series: StoredSeries, view: PlaneView, *, viewer: str, fused: StoredSeries | None = None
    ) -> Picture:
        """A plane or slab through the volume of ``series``; ``fused`` is the series of its fusion. Raises as ``slice`` does."""
        return await self._of_volume(series, view, DrawPlane(viewer, series.version, view), fused)

    async def volume(
        self, series: StoredSeries, view: VolumeView, *, viewer: str, fused: StoredSeries | None = None
    ) -> Picture:
        """The volume of ``series``; ``fused`` is the series of its fusion. Raises as ``slice`` does."""
        return await self._of_volume(series, view, DrawVolume(viewer, series.version, view), fused)

    async def volume_film(self, series: Sequence[StoredSeries], film: VolumeFilmView, *, viewer: str) -> Picture:
        """A moving picture, each frame of the volume of one of ``series``. Raises as ``slice`` does, and TooLarge."""
        versions = tuple(one.version for one in series)
        process, ask = self._process_of(series[0].series_uid), DrawVolumeFilm(viewer, versions, film)
        return await self._picture(("\n".join(versions), film), lambda: self._drawn_of(process, series, ask))

    @property
    def media_types(self) -> tuple[str, ...]:
        """Of the pictures that can be made here; they are known once it has started."""
        return self._media_types

    @property
    def film_types(self) -> tuple[str, ...]:
        """Of the moving pictures that can be made here."""
        return self._film_types

    async def make_ready(self, image: StoredImage, frame_index: int) -> None:
        """The frame is on the disk, decoded, unless that does not pay; when nobody has waited for anything for a while.

        Raises as ``slice`` does.
        """
        _check_frame(image, frame_index)
        process = self._process_of_frame(image, frame_index)
        await process.child.ask(msgspec.msgpack.encode(MakeReady(_bare(image, frame_index))))

    async def make_picture_ready(self, image: StoredImage, view: SliceView) -> None:
        """Like ``make_ready``, for a picture that ``slice`` is to find (``is_kept``)."""
        _check_frame(image, view.frame_index)
        process = self._process_of_frame(image, view.frame_index)
        ask = MakeReady(_alone(image, view.frame_index), replace(view, frame_index=0))
        await process.child.ask(msgspec.msgpack.encode(ask))

    async def make_volume_ready(self, series: StoredSeries) -> None:
        """Like ``make_ready``, for what is shown of the volume of ``series`` first."""
        await self._process_of(series.series_uid).child.ask(msgspec.msgpack.encode(MakeVolumeReady(series)))

    def forget(self, keys: Iterable[str]) -> None:
        """Nothing of these instances, which are deleted, stays in memory."""
        doomed = frozenset(keys)
        self._pictures.forget(lambda kept: kept[0] in doomed)
        for process in self._processes:
            self._tell_later(process, Forget(tuple(doomed)))

    def state(self) -> RendererState:
        """As it was told last, at most some seconds ago; what runs and how often it was restarted is of now."""
        states = [process.state for process in self._processes if process.state]
        told = msgspec.structs.asdict(states[0]) if states else {}
        for name in _SUMMED if states else ():
            told[name] = sum(getattr(each, name) for each in states)
        told["render_cache"] = _together([each.render_cache for each in states])
        return RendererState(
            is_running=all(process.child.is_running and process.state for process in self._processes),
            restarts=sum(process.child.restarts for process in self._processes),
            picture_cache_bytes=self._pictures.size_bytes,
            **told,
        )

    async def _of_volume(
        self, series: StoredSeries, view: PlaneView | VolumeView, ask: Ask, fused: StoredSeries | None
    ) -> Picture:
        process, both = self._process_of(series.series_uid), (series,) if fused is None else (series, fused)
        return await self._picture((series.version, view), lambda: self._drawn_of(process, both, ask))

    def _process_of(self, key: str) -> _Process:
        return self._processes[self._number_of(key)]

    def _process_of_frame(self, image: StoredImage, frame_index: int) -> _Process:
        return self._processes[self._number_of_frame(image, frame_index)]

    def _number_of_frame(self, image: StoredImage, frame_index: int) -> int:
        return self._number_of(f"{image.key} {frame_index}")

    def _number_of(self, key: str) -> int:
        # By content and not by turn: the same frame or volume comes to the process that has it already.
        return zlib.crc32(key.encode()) % len(self._processes)

    async def _picture(self, key: _Key, make: Callable[[], Awaitable[Picture]]) -> Picture:
        """The picture of ``key``: kept, being made by somebody already, or made now."""
        kept = self._pictures.get(key)
        if kept is not None:
            return kept
        shared = self._being_made.get(key)
        if shared is None:
            shared = self._being_made[key] = _Shared(asyncio.create_task(self._made(key, make)))
        shared.waiters += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiters -= 1
            if shared.waiters == 0:
                # Nobody waits any more: either it is done, or it is dropped, and a newcomer begins anew.
                if self._being_made.get(key) is shared:
                    del self._being_made[key]
                shared.task.cancel()

    async def _made(self, key: _Key, make: Callable[[], Awaitable[Picture]]) -> Picture:
        picture = await make()
        _, view = key
        if picture.completeness == 1 and not getattr(view, "interactive", False):
            # Kept without its cost: who gets it from here has not waited for those stages.
            self._pictures.put(key, replace(picture, stages_ms=()), len(picture.body))
        return picture

    async def _drawn(self, process: _Process, ask: Ask) -> Picture:
        answer = await _asked_again_if_died(process, ask)
        head = msgspec.msgpack.decode(answer.header, type=PictureHead)
        return Picture(
            body=answer.body,
            media_type=head.media_type,
            size=head.size,
            stages_ms=head.stages_ms,
            completeness=head.completeness,
            window=head.window,
            reduction=head.reduction,
            fused_reduction=head.fused_reduction,
            is_coarse=head.is_coarse,
            stored_values=head.stored_values,
        )

    async def _drawn_of(self, process: _Process, series: Sequence[StoredSeries], ask: Ask) -> Picture:
        for one in {one.version: one for one in series if one.version not in process.known}.values():
            await _tell(process, one)
        try:
            return await self._drawn(process, ask)
        except Conflict as error:
            if error.key != SERIES_UNKNOWN:
                raise
        # It was started again, or has heard of too many others since.
        for one in {one.version: one for one in series}.values():
            await _tell(process, one)
        return await self._drawn(process, ask)

    async def _look_at(self, process: _Process) -> None:
        answer = await process.child.ask(msgspec.msgpack.encode(TellState()))
        process.state = msgspec.msgpack.decode(answer.header, type=ProcessState)
        process.has_card = not process.state.is_software

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_STATE_EVERY_S)
            self._pictures.forget_unused(self._settings.idle_release_s)
            for process in self._processes:
                self._count_deaths(process)
                try:
                    await self._look_at(process)
                except ApplianceError:
                    process.state = None  # it is being started again, which ``children`` logs

    def _count_deaths(self, process: _Process) -> None:
        """A process that dies again and again with a graphics card, of a crash in its driver say, draws by software."""
        now = asyncio.get_running_loop().time()
        process.deaths += [now] * (process.child.restarts - process.restarts_seen)
        process.restarts_seen = process.child.restarts
        process.deaths = [at for at in process.deaths if now - at < _DEATHS_COUNT_S]
        if process.has_card and len(process.deaths) >= _MOST_DEATHS:
            log.error(
                "%s died %d times with a graphics card; software draws from now on", process.child.name, _MOST_DEATHS
            )
            first = msgspec.structs.replace(_render_settings(self._settings), software_only=True)
            process.child.prepare_next(msgspec.msgpack.encode(first))
            process.deaths.clear()


async def _asked_again_if_died(process: _Process, ask: Ask) -> Message:
    """The answer; asked a second time if the process died or lost its context over it, for it may have been over another's."""
    message = msgspec.msgpack.encode(ask)
    try:
        return await process.child.ask(message)
    except Unavailable as error:
        if error.key not in {_DIED, CONTEXT_LOST}:
            raise
    return await process.child.ask(message)


async def _tell(process: _Process, series: StoredSeries) -> None:
    await _asked_again_if_died(process, KnowSeries(series))
    process.known.add(series.version)


def _nowhere(instance_uid: InstanceUid, frame_index: int) -> Place | None:
    return None


def _check_frame(image: StoredImage, frame_index: int) -> None:
    frames = image.description.frames
    if not 0 <= frame_index < len(frames):
        raise NotDrawable(f"The image has {len(frames)} frames.", key="no-such-frame")


def _alone(image: StoredImage, frame_index: int) -> StoredImage:
    """The image with only what this frame needs: the message is as small for the thousandth frame as for an only one."""
    frame = image.description.frames[frame_index]
    return StoredImage(image.key, replace(image.description, frames=(frame,)))


def _alike(images: Sequence[StoredImage], frame_indexes: Sequence[int]) -> tuple[StoredImage, ...]:
    """The frames, those that follow one another in one image where all else is said of them alike."""
    pairs = zip(images, frame_indexes, strict=True)
    return tuple(
        StoredImage(images[0].key, replace(about, frames=tuple(one.description.frames[index] for one, index in group)))
        for about, group in itertools.groupby(pairs, key=lambda pair: replace(pair[0].description, frames=()))
    )


def _bare(image: StoredImage, frame_index: int) -> StoredImage:
    """Like ``_alone``, for one that is decoded and not drawn: without its tables, which may be long."""
    frame = replace(image.description.frames[frame_index], overlays=(), shutter=None, voi_luts=None)
    bare = replace(
        image.description, frames=(frame,), modality_lut=None, voi_luts=(), palette=None, presentation_lut=None
    )
    return StoredImage(image.key, bare)


def _together(figures: Sequence[CacheFigures]) -> CacheFigures:
    """Of several processes: they share the entries, and each counts what it has done itself."""
    together = CacheFigures()
    for each in figures:
        for figure in fields(CacheFigures):
            ours, theirs = getattr(together, figure.name), getattr(each, figure.name)
            setattr(together, figure.name, max(ours, theirs) if figure.name in _SHARED else ours + theirs)
    return together


def _render_settings(settings: DrawingSettings) -> RenderSettings:
    store = settings.store
    return RenderSettings(
        store_directory=str(store.directory),
        key_file=str(store.key_file) if store.key_file else None,
        is_store_read_only=store.is_read_only,
        decoder_threads=settings.decoder_threads,
        encoder_threads=settings.encoder_threads,
        frame_cache_bytes=settings.frame_cache_bytes,
        texture_cache_bytes=settings.texture_cache_bytes,
        settled_wait_s=settings.settled_wait_s,
        floor_bytes=store.floor_bytes,
        render_cache_directory=str(settings.cache_directory),
        render_cache_bytes=settings.render_cache_bytes,
        processes=settings.processes,
        idle_release_s=settings.idle_release_s,
        decode_memory_bytes=settings.decode_memory_bytes,
    )
