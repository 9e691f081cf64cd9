"""Decoded frames in a render process: read, decoded, kept while there is room."""

from __future__ import annotations

import time
from typing import Any

from numpy.typing import NDArray

from appliance.domain.image import StoredImage
from appliance.domain.masks import Mask, has_mask, mask_of
from appliance.services.byte_cache import ByteCache
from appliance.storage.decoding import decode_frame, decode_overlay, read_profile
from appliance.storage.instances import InstanceStore


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

    def read_all(self) -> bytes:
        return self.read_at(0, self.size_bytes)


class Frames:
    """For any thread. Arrays that are handed out are shared: nobody writes into them."""

    def __init__(self, store: InstanceStore, budget_bytes: int) -> None:
        self._store = store
        self._kept: ByteCache[tuple[str, int, int, int], NDArray[Any]] = ByteCache(budget_bytes)

    @property
    def size_bytes(self) -> int:
        return self._kept.size_bytes

    def stored_values(self, image: StoredImage, frame_index: int, watch: Stopwatch) -> NDArray[Any]:
        """The stored values of a frame (``storage.decoding``). Raises NotFound, Damaged and NotDrawable."""
        frame = image.description.frames[frame_index]
        key = (image.key, frame.fragments[0][0] if frame.fragments else 0, frame.first_bit, frame.stream_index)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        started = time.perf_counter()
        with self._store.open(image.key) as reader:
            started = watch.add("read", started)
            before_ms = watch.ms("read")
            values: NDArray[Any] = decode_frame(image.description, frame_index, _MeasuredReader(reader, watch))
        watch.add("decode", started)
        watch.take_off("decode", watch.ms("read") - before_ms)
        values.flags.writeable = False
        self._kept.put(key, values, values.nbytes)
        return values

    def mask(self, image: StoredImage, frame_index: int, watch: Stopwatch) -> Mask | None:
        """What lies over a frame (``domain.masks``), None if nothing does. Raises as ``stored_values`` does."""
        if not has_mask(image.description, frame_index):
            return None
        started = time.perf_counter()
        with self._store.open(image.key) as reader:
            mask = mask_of(
                image.description,
                frame_index,
                lambda overlay: decode_overlay(image.description, frame_index, overlay, reader),
            )
        watch.add("decode", started)
        return mask

    def profile(self, image: StoredImage) -> bytes | None:
        """The ICC profile of an image's colours, None without one. Raises NotFound and Damaged."""
        if image.description.icc_profile is None:
            return None
        with self._store.open(image.key) as reader:
            return read_profile(image.description, reader)
