"""Slices of a volume as its textures hold them: read, decoded, brought to one scale, put on the lattice, reduced, thinned.

Those of one of its passes are kept in the render cache, thinned, each with the instance that it is made of. So the whole coarse
volume is there at once when it is opened again, and goes slice by slice with what is deleted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import ApplianceError
from appliance.domain.geometry import Arrangement, Box, LatticeSlice, VolumeGeometry, slices_of
from appliance.domain.grayscale import default_window, modality_values
from appliance.domain.image import ImageDescription, StoredImage, Window
from appliance.domain.voi import Voi, choices_of
from appliance.rendering.coarse_volumes import kept_pass
from appliance.rendering.texels import Texels, TexelScale, common_scale, scale_of_range, texels_of
from appliance.rendering.volume_textures import VolumeLayout, thinned
from appliance.services.drawing_rules import DRAWING_RULES
from appliance.services.frames import Frames, Stopwatch

log = logging.getLogger(__name__)

Read = Callable[[StoredImage, int, Stopwatch], NDArray[Any]]  # Any: values of whatever type the frame has


@dataclass(frozen=True, slots=True)
class Part:
    """Of a volume."""

    box: Box
    scale: TexelScale
    """Of the whole volume."""


class VolumeSlices:
    """The slices of one volume. For any thread."""

    def __init__(
        self,
        images: Sequence[StoredImage],
        arrangement: Arrangement,
        geometry: VolumeGeometry,
        layout: VolumeLayout,
        frames: Frames,
        *,
        read: Read | None = None,
        part: Part | None = None,
    ) -> None:
        """Of ``part`` where it is given, of which nothing is kept: ``geometry`` and ``layout`` are of it then.

        ``read`` gives the stored values of a frame, where not ``frames`` do. Raises NotFound, Damaged and NotDrawable.
        """
        self._slices = [(images[ref.image_index], ref.frame_index) for ref in arrangement.slices]
        self._own = slices_of(geometry)
        self._lattice = geometry.lattice
        self._layout = layout
        self._frames = frames
        self._read = read or frames.stored_values
        self._region = _region(part.box) if part else (slice(None), slice(None))
        self.scale = part.scale if part else self._common_scale() or self._found_scale()
        self.kept_pass = None if part else kept_pass(layout)
        self._kept_name = hashlib.sha256(
            DRAWING_RULES.encode() + msgspec.msgpack.encode((self.scale, layout.reduction, layout.half_factors))
        ).digest()
        self._to_keep = set(self._kept_sources())
        """Those of which it is not known yet that they are kept."""

    @property
    def middle(self) -> tuple[ImageDescription, int]:
        """The slice in the middle, and which of its frames: its windows and VOI LUTs are those of the volume."""
        image, frame = self._slices[self._own[len(self._own) // 2]]
        return image.description, frame

    def usual_voi(self) -> Voi:
        """The middle slice's first window, else its first VOI LUT; where there is none a window that is found.

        So too in all slices, where each has a rescale of its own.
        """
        image, frame = self._slices[self._own[len(self._own) // 2]]
        told = [voi for _, voi in choices_of(image.description, frame) if not isinstance(voi, Window) or voi.width > 0]
        if told and self.scale.keeps_stored:
            return told[0]
        stride = max(1, len(self._own) // 8)
        values = [self._values(index)[::2, ::2].ravel() for index in self._own[::stride]]
        return default_window(np.concatenate(values), image.description.modality, image.description.value_unit)

    def texels(self, index: int, watch: Stopwatch) -> Texels | None:
        """Slice ``index`` of the fine texture, (rows, columns); None if an image of it cannot be read or decoded."""
        try:
            planes = [self._at(point, lambda number: self._texels(number, watch)) for point in self._points(index)]
        except ApplianceError as error:
            log.warning("slice %d of a volume is left out: %s", index, error.message)
            return None
        plane = planes[0] if len(planes) == 1 else np.rint(np.mean(planes, axis=0)).astype(np.uint16)
        return _reduced(plane, *self._layout.reduction[1:])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of each."""
        return self._layout.shape[1:]

    # What is kept

    def kept(self, threads: Executor) -> Texels | None:
        """The slices of ``kept_pass``, thinned, (slices, rows, columns), from the cache; None unless all are there."""
        if self.kept_pass is None or not self._has_all():
            return None
        numbers = self.kept_pass.slices(self._layout.shape[0])
        try:
            return np.stack(list(threads.map(self._kept_slice, numbers)))
        except (_NotKept, ValueError):  # evicted, or damaged, since it was looked
            return None

    def keep(self) -> Iterator[int]:
        """What of ``kept_pass`` was not kept is, or will be in a moment: a slice a step, the number of which is given."""
        for number in sorted(self._to_keep):
            if not self._frames.has_thinned(*self._slices[number], self._kept_name):
                self._texels(number, Stopwatch())
                yield number

    def _has_all(self) -> bool:
        return all(self._frames.has_thinned(*self._slices[number], self._kept_name) for number in self._to_keep)

    def _kept_sources(self) -> Iterable[int]:
        """Of which slices of the arrangement those of the kept pass are made."""
        if self.kept_pass is None:
            return ()
        points = (self._middle(index) for index in self.kept_pass.slices(self._layout.shape[0]))
        return (number for point in points for number in (point.lower, point.upper))

    def _kept_slice(self, index: int) -> Texels:
        return self._at(self._middle(index), self._kept_source)

    def _kept_source(self, number: int) -> Texels:
        found = self._frames.thinned(*self._slices[number], self._kept_name)
        if found is None:
            raise _NotKept
        return found

    # Slices

    def _points(self, index: int) -> Sequence[LatticeSlice]:
        step = self._layout.reduction[0]
        return self._lattice[index * step : (index + 1) * step]

    def _middle(self, index: int) -> LatticeSlice:
        points = self._points(index)
        return points[len(points) // 2]

    def _at(self, point: LatticeSlice, source: Callable[[int], Texels]) -> Texels:
        below = source(point.lower)
        if point.is_gap:
            return np.full_like(below, below.min())
        if point.lower == point.upper:
            return below
        mixed = below * (1 - point.weight) + source(point.upper) * point.weight
        return np.asarray(np.rint(mixed), np.uint16)

    def _texels(self, number: int, watch: Stopwatch) -> Texels:
        image, frame = self._slices[number]
        stored = self._read(image, frame, watch)
        texels = texels_of(stored, image.description, frame, self.scale)[self._region]
        if number in self._to_keep:
            self._to_keep.discard(number)
            thin = thinned(_reduced(texels, *self._layout.reduction[1:]), self._layout.half_factors[1:])
            self._frames.keep_thinned(image, frame, self._kept_name, thin)
        return texels

    def _values(self, number: int) -> NDArray[np.float64]:
        image, frame = self._slices[number]
        stored = self._read(image, frame, Stopwatch())
        return modality_values(stored, image.description, frame)

    def _common_scale(self) -> TexelScale | None:
        own = (self._slices[number] for number in self._own)
        return common_scale([(image.description, frame) for image, frame in own])

    def _found_scale(self) -> TexelScale:
        ends = [(np.nanmin(values), np.nanmax(values)) for values in map(self._values, self._own)]
        return scale_of_range(float(min(low for low, _ in ends)), float(max(high for _, high in ends)))


def _region(box: Box) -> tuple[slice, slice]:
    """Rows and columns of it."""
    (_, row, column), (_, rows, columns) = box.first, box.shape
    return slice(row, row + rows), slice(column, column + columns)


class _NotKept(Exception):
    """A slice is not in the cache."""


def _reduced(plane: Texels, rows: int, columns: int) -> Texels:
    """The mean of each block of ``rows`` by ``columns``; the last, partly filled ones repeat their edge."""
    if (rows, columns) == (1, 1):
        return plane
    padded = np.pad(plane, ((0, -plane.shape[0] % rows), (0, -plane.shape[1] % columns)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return np.asarray(np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)), np.uint16)
