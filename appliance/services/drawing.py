"""Pictures, for the doors: asked for here, made in render processes, joined and kept.

A view is frozen and complete, so it is also a key: a picture that is there is handed out, one that is being made is waited for
together, and it is given up when the last who waited has gone. The processes hold everything else; when one dies it is
started again and what it was asked is asked once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from appliance.domain.errors import Conflict, NotDrawable, Unavailable
from appliance.domain.image import StoredImage, StoredSeries
from appliance.domain.views import FilmView, Picture, PlaneView, SliceView, VolumeFilmView, VolumeView
from appliance.services.byte_cache import ByteCache
from appliance.services.children import Child, Message
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
    TellState,
)
from appliance.storage.instances import StoreSettings

_MODULE = "appliance.services.render_process"
_MEBIBYTE = 1024**2
_STATE_EVERY_S = 2.0
_DIED = "helper-died"

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


class Drawing:
    """Draws slices, planes and volumes of stored images. For one event loop."""

    def __init__(self, settings: DrawingSettings) -> None:
        self._settings = settings
        self._pictures: ByteCache[_Key, Picture] = ByteCache(settings.picture_cache_bytes)
        self._being_made: dict[_Key, _Shared] = {}
        self._media_types: tuple[str, ...] = ()
        self._film_types: tuple[str, ...] = ()
        self._watching: asyncio.Task[None] | None = None
        first = msgspec.msgpack.encode(_render_settings(settings))
        self._processes = [
            _Process(Child(_MODULE, first, name=f"render process {number}")) for number in range(settings.processes)
        ]

    async def start(self) -> None:
        """The processes run, and each has said what it draws with. Raises Unavailable where there is no OpenGL."""
        for process in self._processes:
            await process.child.start()
        try:
            await asyncio.gather(*(self._look_at(process) for process in self._processes))
        except Unavailable:
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
        await asyncio.gather(*(process.child.stop() for process in self._processes))

    async def slice(self, image: StoredImage, view: SliceView, *, viewer: str) -> Picture:
        """One frame of ``image``. Raises NotDrawable, NotFound, Damaged and Unavailable."""
        frames = image.description.frames
        if not 0 <= view.frame_index < len(frames):
            raise NotDrawable(f"The image has {len(frames)} frames.", key="no-such-frame")
        # Only what this frame needs: the message is as small for the thousandth frame as for an only one.
        alone = replace(image.description, frames=(frames[view.frame_index],))
        ask = DrawSlice(viewer, StoredImage(image.key, alone), replace(view, frame_index=0))
        process = self._process_of(f"{image.key} {view.frame_index}")
        return await self._picture((image.key, view), lambda: self._drawn(process, ask))

    async def film(self, image: StoredImage, film: FilmView, *, viewer: str) -> Picture:
        """Frames of ``image`` as a moving picture. Raises as ``slice`` does, and TooLarge."""
        frames = tuple(image.description.frames[index] for index in film.frame_indexes)
        alone = StoredImage(image.key, replace(image.description, frames=frames))
        process = self._process_of(image.key)
        return await self._picture((image.key, film), lambda: self._drawn(process, DrawFilm(viewer, alone, film)))

    async def plane(self, series: StoredSeries, view: PlaneView, *, viewer: str) -> Picture:
        """A plane or slab through the volume of ``series``. Raises as ``slice`` does."""
        return await self._of_volume(series, view, DrawPlane(viewer, series.version, view))

    async def volume(self, series: StoredSeries, view: VolumeView, *, viewer: str) -> Picture:
        """The volume of ``series``. Raises as ``slice`` does."""
        return await self._of_volume(series, view, DrawVolume(viewer, series.version, view))

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

    def state(self) -> RendererState:
        """As it was told last, at most some seconds ago; what runs and how often it was restarted is of now."""
        states = [process.state for process in self._processes if process.state]
        told = msgspec.to_builtins(states[0]) if states else {}
        told["frame_cache_bytes"] = sum(each.frame_cache_bytes for each in states)
        told["texture_cache_bytes"] = sum(each.texture_cache_bytes for each in states)
        return RendererState(
            is_running=all(process.child.is_running and process.state for process in self._processes),
            restarts=sum(process.child.restarts for process in self._processes),
            picture_cache_bytes=self._pictures.size_bytes,
            **told,
        )

    async def _of_volume(self, series: StoredSeries, view: PlaneView | VolumeView, ask: Ask) -> Picture:
        process = self._process_of(series.series_uid)
        return await self._picture((series.version, view), lambda: self._drawn_of(process, (series,), ask))

    def _process_of(self, key: str) -> _Process:
        # By content and not by turn: the same frame or volume comes to the process that has it already.
        return self._processes[zlib.crc32(key.encode()) % len(self._processes)]

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

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_STATE_EVERY_S)
            for process in self._processes:
                try:
                    await self._look_at(process)
                except Unavailable:
                    process.state = None  # it is being started again, which ``children`` logs


async def _asked_again_if_died(process: _Process, ask: Ask) -> Message:
    """The answer; asked a second time if the process died over it, for it may have died over another's."""
    message = msgspec.msgpack.encode(ask)
    try:
        return await process.child.ask(message)
    except Unavailable as error:
        if error.key != _DIED:
            raise
    return await process.child.ask(message)


async def _tell(process: _Process, series: StoredSeries) -> None:
    await _asked_again_if_died(process, KnowSeries(series))
    process.known.add(series.version)


def _render_settings(settings: DrawingSettings) -> RenderSettings:
    store = settings.store
    return RenderSettings(
        store_directory=str(store.directory),
        key_file=str(store.key_file) if store.key_file else None,
        decoder_threads=settings.decoder_threads,
        encoder_threads=settings.encoder_threads,
        frame_cache_bytes=settings.frame_cache_bytes,
        texture_cache_bytes=settings.texture_cache_bytes,
        settled_wait_s=settings.settled_wait_s,
    )
