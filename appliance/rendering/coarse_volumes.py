"""A volume in few texels: what is drawn before all of it is there.

Slices come in passes, each of which holds the slices of those before it: every sixteenth, then every fourth, then all, say. After
a pass its slices, thinned within their planes, are a volume of their own, between whose slices the card interpolates: a tenth of
a second's work instead of the whole volume's, and without the steps of slices that stand in for others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.rendering.texels import Texels
from appliance.rendering.volume_textures import (
    SMALL_VOXELS,
    BlockRanges,
    VolumeLayout,
    VolumeTextures,
    gradients,
    thinned,
)

_FIRST_SLICES = 24
"""At least so many make a first picture, where there are twice as many."""
_FEWEST = 16
"""Of so many half make one; fewer come at once."""
_NEXT_PASS = 4
"""Times as many slices as the pass before."""
_MOST_VOXELS = 10 * 1000**2
"""Of a coarse volume: preparing it takes a part of a second, and its textures 80 MB."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Every ``stride``-th slice from ``first`` on."""

    first: int
    stride: int

    def slices(self, count: int) -> range:
        return range(self.first, count, self.stride)


def passes(count: int) -> tuple[Pass, ...]:
    """In which ``count`` slices come, the last of which is all of them."""
    stride = 2 if count >= _FEWEST else 1
    while count >= 2 * stride * _FIRST_SLICES:
        stride *= 2
    # The slice in the middle of those that it stands for: so the coarse volume ends where the volume does.
    found = [Pass(stride // 2, stride)]
    while stride > 1:
        stride = max(1, stride // _NEXT_PASS)
        found.append(Pass(0, stride))
    return tuple(found)


def may_be_kept(slices: int, voxels: int) -> bool:
    """Whether a volume of so many may have a ``kept_pass``."""
    return voxels > SMALL_VOXELS and len(passes(slices)) > 1


def coarse_first(count: int) -> Iterator[int]:
    """Each slice once, pass by pass."""
    come: set[int] = set()
    for one in passes(count):
        yield from (number for number in one.slices(count) if number not in come)
        come.update(one.slices(count))


def kept_pass(layout: VolumeLayout) -> Pass | None:
    """The pass whose thinned slices are worth keeping: the largest that is drawn as it is, or the second.

    None of a volume that is not thinned, or of so few slices that the first pass is all of it: it is there as soon.
    """
    if layout.half_factors == (1, 1, 1):
        return None
    slices, rows, columns = layout.shape[0], *layout.half_shape[1:]
    later = passes(slices)[1:]
    small = [one for one in later if len(one.slices(slices)) * rows * columns <= _MOST_VOXELS]
    return next(iter(small[::-1] or later), None)


@dataclass(frozen=True, slots=True)
class CoarseVolume:
    """What goes to the card."""

    layout: VolumeLayout
    texels: Texels
    """(slices, rows, columns)."""
    gradient: NDArray[np.int8]
    blocks: Texels

    def uploaded(self) -> VolumeTextures:
        """On the thread of the context."""
        textures = VolumeTextures(self.layout)
        textures.fine.upload(0, self.texels)
        textures.upload_prepared(self.texels, self.gradient, self.blocks)
        return textures


def coarse_volume(slices: Texels, layout: VolumeLayout, at: Pass) -> CoarseVolume:
    """Of the ``slices`` of a pass of the volume of ``layout``, thinned as its half volume is: (slices, rows, columns)."""
    side = 1
    while slices.size > _MOST_VOXELS * side**2:
        side += 1
    texels = np.stack([thinned(each, (side, side)) for each in slices]) if side > 1 else np.ascontiguousarray(slices)
    _, rows, columns = layout.half_factors
    found = _coarser(layout, texels.shape, at, (rows * side, columns * side))
    blocks = BlockRanges(found)
    for number, each in enumerate(texels):
        blocks.add(number, 1, each)
    return CoarseVolume(found, texels, gradients(texels, found), blocks.found())


def _coarser(layout: VolumeLayout, shape: tuple[int, ...], at: Pass, factors: tuple[int, int]) -> VolumeLayout:
    """Where the slices of a pass lie; ``factors`` texels along rows and columns of ``layout`` are one of theirs."""
    slices, rows, columns = shape
    all_factors = (at.stride, *factors)
    # From the box of the coarse texture, whose first slice is the middle of the first texel, to that of the fine one.
    to_fine = np.eye(4)
    for axis, index_axis in enumerate((2, 1, 0)):
        to_fine[axis, axis] = shape[index_axis] * all_factors[index_axis] / layout.shape[index_axis]
    to_fine[2, 3] = (at.first + 0.5 - at.stride / 2) / layout.shape[0]
    to_patient = layout.texture_to_patient @ to_fine
    sides_mm = np.linalg.norm(to_patient[:3, :3], axis=0) / (columns, rows, slices)
    reduction = tuple(one * factor for one, factor in zip(layout.reduction, all_factors, strict=True))
    return VolumeLayout(
        shape=(slices, rows, columns),
        reduction=(reduction[0], reduction[1], reduction[2]),
        half_factors=(1, 1, 1),
        texture_to_patient=to_patient,
        finest_mm=float(sides_mm.min()),
    )
