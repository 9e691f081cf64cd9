"""What came in is made ready, after it was acknowledged: thumbnails of series, coarse volumes, frames that are dear to decode.

The render processes do it when nobody waits for a picture (``services.spare_time``), at low priority, and are asked for one
thing after the other, so that nothing piles up. What is on the disk already is left alone, so a restart goes on where
the last run ended, as far back as the settings say. The newest series come first, and in one round no more than half of the
render cache is filled: a large import must not drive out what people look at, nor what it made itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from appliance.domain.errors import ApplianceError, Damaged, NotDrawable, NotFound, Unavailable
from appliance.domain.identifiers import SeriesUid, StudyUid
from appliance.domain.image import ImageDescription, StoredImage, StoredSeries
from appliance.domain.views import SliceView
from appliance.rendering.coarse_volumes import may_be_kept
from appliance.services.catalogue import Catalogue
from appliance.services.database_threads import DatabaseThreads
from appliance.services.drawing import Drawing
from appliance.storage import index
from appliance.storage.index import ReceivedSeries
from appliance.storage.render_cache import RenderCache, is_dear
from appliance.storage.transfer_syntaxes import is_video

log = logging.getLogger(__name__)

_SETTLING_S = 2.0
"""So long nothing more has come: a series that is arriving is made ready once, not at each of its images."""
_LONGEST_SETTLING_S = 30.0
_AGAIN_AFTER_S = 10.0
"""When the database or the render processes were away."""
_MOST_SERIES = 10_000
_PART_OF_BUDGET = 0.5
_PART_KEPT = 0.25
"""Of the bytes of a series is what is kept of its volume, at most."""


class MakingReady:
    """One task. ``wake`` tells it that something came."""

    def __init__(
        self,
        catalogue: Catalogue,
        drawing: Drawing,
        database: DatabaseThreads,
        cache: RenderCache,
        *,
        budget_bytes: int,
        look_back: timedelta,
        thumbnail: Callable[[ImageDescription, int], SliceView],
    ) -> None:
        """``thumbnail`` is how browsers ask for one of a frame."""
        self._catalogue = catalogue
        self._drawing = drawing
        self._database = database
        self._cache = cache
        self._thumbnail = thumbnail
        self._round_bytes = int(budget_bytes * _PART_OF_BUDGET)
        self._since = _in_words(datetime.now(UTC) - look_back)
        self._done: OrderedDict[tuple[StudyUid, SeriesUid], str] = OrderedDict()
        """The version of each series that was made ready."""
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.series_waiting = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="make ready")

    async def stop(self) -> None:
        """It has ended, wherever it was."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Something came. In the event loop."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                await self.make_ready()
                await self._settled()
            except Unavailable as error:
                log.info("nothing is made ready just now: %s", error.message)
                await asyncio.sleep(_AGAIN_AFTER_S)
            except Exception:  # the edge of the task: pictures come without it, later
                log.exception("nothing is made ready any more")
                return

    async def _settled(self) -> None:
        """Something came, and has ended coming for the moment."""
        await self._woken.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_SETTLING_S):
                while self._woken.is_set():
                    self._woken.clear()
                    await asyncio.sleep(_SETTLING_S)

    async def make_ready(self) -> None:
        """What came since the last time is ready. Raises Unavailable."""
        found = await self._database.read(lambda tx: index.received_since(tx, self._since, limit=_MOST_SERIES))
        left_bytes = self._round_bytes
        self.series_waiting = len(found)
        for series in found:
            await self._make_thumbnail_ready(series)
        for series in found:
            left_bytes -= await self._make_volume_ready(series, left_bytes)
        for series in found:
            left_bytes -= await self._make_frames_ready(series, left_bytes)
            self.series_waiting -= 1
        if found:
            self._since = found[0].last_at  # again those of that second: more may have come in it

    async def _make_thumbnail_ready(self, series: ReceivedSeries) -> None:
        with contextlib.suppress(NotFound, NotDrawable):  # deleted since, or without pictures
            middle = await self._catalogue.representative_frame(series.study_uid, series.series_uid)
            view = self._thumbnail(middle.image.description, middle.frame_index)
            await self._drawing.make_picture_ready(middle.image, view)

    async def _make_volume_ready(self, series: ReceivedSeries, left_bytes: int) -> int:
        """The bytes, at most, of what was asked for."""
        stored = await self._not_yet_ready(series)
        size_bytes = _kept_bytes(stored) if stored else 0
        if stored is None or not 0 < size_bytes <= left_bytes:
            return 0
        # No volume, or deleted since: whoever asks for it is told.
        with contextlib.suppress(NotDrawable, NotFound, Damaged):
            await self._drawing.make_volume_ready(stored)
        return size_bytes

    async def _make_frames_ready(self, series: ReceivedSeries, left_bytes: int) -> int:
        """The bytes, decoded, of the frames that were asked for."""
        stored = await self._not_yet_ready(series)
        if stored is None:
            return 0
        used_bytes = 0
        for image in filter(_is_made_ready, stored.images):
            frame_bytes = _frame_bytes(image)
            for frame_index in await asyncio.to_thread(self._missing, image):
                if used_bytes + frame_bytes > left_bytes:
                    return used_bytes
                used_bytes += frame_bytes
                await self._make_frame_ready(image, frame_index)
        self._done[series.study_uid, series.series_uid] = stored.version
        while len(self._done) > _MOST_SERIES:
            self._done.popitem(last=False)
        return used_bytes

    async def _not_yet_ready(self, series: ReceivedSeries) -> StoredSeries | None:
        """None where it is ready as it is now, and where it is gone."""
        name = series.study_uid, series.series_uid
        try:
            stored = await self._catalogue.stored_series(*name)
        except NotFound:
            return None
        return None if self._done.get(name) == stored.version else stored

    async def _make_frame_ready(self, image: StoredImage, frame_index: int) -> None:
        try:
            await self._drawing.make_ready(image, frame_index)
        except Unavailable:
            raise
        except ApplianceError as error:  # whoever asks for it is told
            log.info("a frame of instance %s is not ready: %s", image.description.instance_uid, error.message)

    def _missing(self, image: StoredImage) -> Iterable[int]:
        count = len(image.description.frames)
        return [frame_index for frame_index in range(count) if not self._cache.has_frame(image, frame_index)]


def _kept_bytes(stored: StoredSeries) -> int:
    """Of what is kept of its volume, at most; 0 where nothing is."""
    frames = [image for image in stored.images for _ in image.description.frames]
    voxels = sum(image.description.pixel_format.rows * image.description.pixel_format.columns for image in frames)
    if not may_be_kept(len(frames), voxels) or any(is_video(image.description.transfer_syntax_uid) for image in frames):
        return 0
    # Frames that are dear to decode are kept themselves too, when they are decoded for it.
    return int(sum(_frame_bytes(image) * (_PART_KEPT + is_dear(image)) for image in frames))


def _is_made_ready(image: StoredImage) -> bool:
    """Not a video: each of its frames is decoded from the one before, and it is played, if at all, from its beginning."""
    return is_dear(image) and not is_video(image.description.transfer_syntax_uid)


def _frame_bytes(image: StoredImage) -> int:
    form = image.description.pixel_format
    return form.rows * form.columns * form.samples_per_pixel * max(1, form.bits_allocated // 8)


def _in_words(time: datetime) -> str:
    """As the index has it."""
    return time.isoformat(timespec="seconds")
