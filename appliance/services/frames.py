"""Decoded frames in a render process: read, decoded, kept in memory while there is room, and on the disk where it pays.

memory → disk (``storage.render_cache``: what is dearer to decode than to read) → store, and a worker that decodes
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from numpy.typing import NDArray

from appliance.domain.image import StoredImage
from appliance.domain.masks import Mask, has_mask, mask_of
from appliance.services.byte_cache import ByteCache
from appliance.services.decode_process import Decoders, is_decoded_apart
from appliance.services.frame_memory import FrameMemory
from appliance.storage.decoding import read_frame, read_profile
from appliance.storage.instances import InstanceStore
from appliance.storage.render_cache import RenderCache, is_dear

log = logging.getLogger(__name__)

_KEEPING_BYTES = 128 * 1024**2
"""Frames that wait to be written; more are not kept this time."""
_PART_BEING_MADE = 16
"""One part in so many of the budget is for frames that are being made and for room that is free for the next."""
_MASKS_BYTES = 64 * 1024**2
"""Of what lies over frames: a byte a pixel, and beside the budget of the frames themselves."""
_NICENESS = 10


class Stopwatch:
    """Milliseconds by stage of one answer."""

    def __init__(self) -> None:
        self._ms: dict[str, float] = {}

    def add(self, stage: str, started: float) -> float:
        """What passed since ``started`` is counted to ``stage``; the time now, in seconds."""
        now = time.perf_counter()
        self._ms[stage] = self._ms.get(stage, 0.0) + (now - started) * 1000
        return now

    def take_off(self, stage: str, ms: float) -> None:
        self._ms[stage] = self._ms.get(stage, 0.0) - ms

    def ms(self, stage: str) -> float:
        return self._ms.get(stage, 0.0)

    def stages(self) -> tuple[tuple[str, float], ...]:
        return tuple(
            (stage, round(self._ms[stage], 3)) for stage in ("read", "decode", "draw", "encode") if stage in self._ms
        )


class _MeasuredReader:
    """A reader whose time is counted as reading, not as decoding."""

    def __init__(self, reader: Any, watch: Stopwatch) -> None:
        self._reader = reader
        self._watch = watch

    @property
    def size_bytes(self) -> int:
        return int(self._reader.size_bytes)

    def read_at(self, offset: int, length: int) -> bytes:
        started = time.perf_counter()
        data: bytes = self._reader.read_at(offset, length)
        self._watch.add("read", started)
        return data

    def read_into(self, offset: int, into: memoryview) -> int:
        started = time.perf_counter()
        filled = int(self._reader.read_into(offset, into))
        self._watch.add("read", started)
        return filled

    def read_all(self) -> bytes:
        return self.read_at(0, self.size_bytes)


class Frames:
    """For any thread. Arrays that are handed out are shared: nobody writes into them."""

    def __init__(
        self, store: InstanceStore, budget_bytes: int, decoders: Decoders, cache: RenderCache | None = None
    ) -> None:
        self._store = store
        self._decoders = decoders
        self._cache = cache
        self._keeper = _Keeper(cache, store) if cache else None
        self._memory = FrameMemory(budget_bytes)
        self._kept: ByteCache[_Key, NDArray[Any]] = ByteCache(budget_bytes - budget_bytes // _PART_BEING_MADE)
        self._being_made: dict[_Key, Future[NDArray[Any]]] = {}
        self._masks: ByteCache[tuple[str, object], Mask] = ByteCache(_MASKS_BYTES)
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """All memory of frames: kept, in use, and free for others."""
        return self._memory.size_bytes

    def stored_values(
        self, image: StoredImage, frame_index: int, watch: Stopwatch, decoders: Decoders | None = None
    ) -> NDArray[Any]:
        """The stored values of a frame (``storage.decoding``), by others than the usual ``decoders`` if they are given.

        Who wants a frame that is just being made waits for it. Raises NotFound, Damaged and NotDrawable.
        """
        key = _key(image, frame_index)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                return kept
            under_way = self._being_made.get(key)
            mine: Future[NDArray[Any]] = Future()
            if under_way is None:
                self._being_made[key] = mine
        if under_way is not None:
            return under_way.result()
        try:
            values = self._made(image, frame_index, watch, decoders or self._decoders)
        except BaseException as error:
            mine.set_exception(error)
            raise
        else:
            self._kept.put(key, values, values.nbytes)
            mine.set_result(values)
            return values
        finally:
            with self._lock:
                del self._being_made[key]

    def make_ready(self, image: StoredImage, frame_index: int, decoders: Decoders) -> bool:
        """A frame that is kept on the disk is there, decoded if it must be; False if it was already."""
        if self._cache is None or not is_dear(image) or self._cache.has_frame(image, frame_index):
            return False
        # Not through memory, from which it would drive what somebody looks at.
        self._made(image, frame_index, Stopwatch(), decoders)
        return True

    def passing_values(
        self, image: StoredImage, frame_index: int, watch: Stopwatch, decoders: Decoders
    ) -> NDArray[Any]:
        """Like ``stored_values``, for what nobody looks at: not through memory."""
        return self._made(image, frame_index, watch, decoders)

    def thinned(self, image: StoredImage, frame_index: int, name: bytes) -> NDArray[Any] | None:
        """What was made of a frame and kept under ``name``; None if it is not."""
        return self._cache.thinned(image, frame_index, name) if self._cache else None

    def has_thinned(self, image: StoredImage, frame_index: int, name: bytes) -> bool:
        return self._cache is not None and self._cache.has_thinned(image, frame_index, name)

    def keep_thinned(self, image: StoredImage, frame_index: int, name: bytes, values: NDArray[Any]) -> None:
        """It will be on the disk in a moment, unless too much waits for that."""
        if self._keeper is not None:
            self._keeper.keep(
                image.key, values.nbytes, lambda cache: cache.keep_thinned(image, frame_index, name, values)
            )

    def has(self, image: StoredImage, frame_index: int) -> bool:
        """Whether the frame is in memory."""
        return self._kept.get(_key(image, frame_index)) is not None

    def forget(self, key: str) -> None:
        """Frames of the instance of this key are in memory no more."""
        self._kept.forget(lambda kept: kept[0] == key)
        self._masks.forget(lambda kept: kept[0] == key)

    def release_unused(self, for_s: float) -> None:
        """What was not used for so long is in memory no more, nor is memory kept free for others."""
        self._kept.forget_unused(for_s)
        self._memory.release()
        self._masks.forget_unused(for_s)

    def _made(self, image: StoredImage, frame_index: int, watch: Stopwatch, decoders: Decoders) -> NDArray[Any]:
        started = time.perf_counter()
        cache = self._cache if is_dear(image) else None
        if cache is not None:
            values = cache.frame(image, frame_index, self._memory.room)
            started = watch.add("read", started)
            if values is not None:
                return values
        about = image.description
        with self._store.open(image.key) as reader:
            started = watch.add("read", started)
            before_ms = watch.ms("read")
            measured = _MeasuredReader(reader, watch)
            if is_decoded_apart(about.transfer_syntax_uid):
                values = decoders.decode(about, frame_index, measured, self._memory.room)
            else:
                values = read_frame(about, frame_index, measured, self._memory.room)
        watch.add("decode", started)
        watch.take_off("decode", watch.ms("read") - before_ms)
        values.flags.writeable = False
        if cache is not None and self._keeper is not None:
            self._keeper.keep(image.key, values.nbytes, lambda cache: cache.keep_frame(image, frame_index, values))
        return values

    def mask(self, image: StoredImage, frame_index: int, watch: Stopwatch) -> Mask | None:
        """What lies over a frame (``domain.masks``), None if nothing does. Raises as ``stored_values`` does."""
        if not has_mask(image.description, frame_index):
            return None
        started, frame = time.perf_counter(), image.description.frames[frame_index]
        name = image.key, (_key(image, frame_index), frame.overlays, frame.shutter)
        kept = self._masks.get(name)
        if kept is not None:
            return kept
        with self._store.open(image.key) as reader:
            mask = mask_of(
                image.description,
                frame_index,
                lambda overlay: self._decoders.decode_overlay(image.description, frame_index, overlay, reader),
            )
        watch.add("decode", started)
        if mask is not None:
            mask.flags.writeable = False
            self._masks.put(name, mask, mask.nbytes)
        return mask

    def profile(self, image: StoredImage) -> bytes | None:
        """The ICC profile of an image's colours, None without one. Raises NotFound and Damaged."""
        if image.description.icc_profile is None:
            return None
        with self._store.open(image.key) as reader:
            return read_profile(image.description, reader)


_Key = tuple[str, int, int, int, int]


def _key(image: StoredImage, frame_index: int) -> _Key:
    frame = image.description.frames[frame_index]
    offset, length = frame.fragments[0] if frame.fragments else (0, 0)
    return image.key, offset, length, frame.first_bit, frame.stream_index


_Keep = Callable[[RenderCache], None]
"""Puts one entry into the cache."""


class _Keeper:
    """Writes frames, and what is made of them, into the render cache, on a thread of its own: no picture waits for it."""

    def __init__(self, cache: RenderCache, store: InstanceStore) -> None:
        self._cache = cache
        self._store = store
        self._queue: queue.SimpleQueue[tuple[str, int, _Keep]] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="keeper", daemon=True).start()

    def keep(self, key: str, size_bytes: int, work: _Keep) -> None:
        """``work`` keeps so many bytes that were made of the instance of ``key``."""
        with self._lock:
            if self._waiting_bytes + size_bytes > _KEEPING_BYTES:
                return
            self._waiting_bytes += size_bytes
        self._queue.put((key, size_bytes, work))

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        self._cache.make_room()
        while True:
            key, size_bytes, work = self._queue.get()
            try:
                work(self._cache)
                keep_only_of_stored(self._cache, self._store, key)
            except Exception:  # the edge of the thread: one frame is not kept, the next may be
                log.exception("a frame could not be kept")
            del work  # and with it the frame, whose memory would be in use until the next one comes
            with self._lock:
                self._waiting_bytes -= size_bytes


def keep_only_of_stored(cache: RenderCache, store: InstanceStore, key: str) -> None:
    """To be called after an entry was kept: the instance may have been deleted since it was read.

    Whoever deletes removes the instance first and its entries then, so one of the two sees what the other did.
    """
    if not store.contains(key):
        cache.forget(key)
