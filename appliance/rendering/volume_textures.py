"""A volume made ready for rays: on the card, and what is prepared for the card.

Four textures over the same box:

- *fine*: every lattice slice, 16 bits, exact;
- *half*: the mean of 2x2x2 texels (along axes that are fine enough), for pictures while the camera moves; of a small volume the
  fine one itself;
- *gradient*: direction in the patient and steepness of the half volume, from which light is reckoned: one look-up instead of
  six, and smoother than the noise of single voxels;
- *blocks*: the least and the largest texel of each 8x8x8 texels and of those one beyond, which interpolation reaches, so
  that rays skip what cannot be seen.

What is drawn before all slices are there is a volume of its own (``coarse_volumes``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.geometry import VolumeGeometry
from appliance.rendering.gloo import VolumeTexture, gl
from appliance.rendering.texels import Texels

BLOCK = 8
SMALL_VOXELS = 8 * 1024**2
"""Volumes up to this size are quick enough as they are."""
_COARSE_AXIS = 1.5
"""An axis whose spacing is so many times the finest is not halved."""
_MOST_REDUCTION = 16


@dataclass(frozen=True, slots=True)
class VolumeLayout:
    """How a volume lies in its textures."""

    shape: tuple[int, int, int]
    """(slices, rows, columns) of the fine texture."""
    reduction: tuple[int, int, int]
    """Lattice points along (slice, row, column) that one fine texel is the mean of; 1 unless the volume is too large."""
    half_factors: tuple[int, int, int]
    """Fine texels along (slice, row, column) that one half texel is the mean of."""
    texture_to_patient: NDArray[np.float64]
    """4x4: texture (x along columns, y along rows, z along slices, each 0…1, edges included) to LPS mm."""
    finest_mm: float
    """The least distance of two neighbouring texels."""

    @property
    def half_shape(self) -> tuple[int, int, int]:
        return _divided(self.shape, self.half_factors)

    @property
    def blocks_shape(self) -> tuple[int, int, int]:
        return _divided(self.shape, (BLOCK, BLOCK, BLOCK))

    @property
    def is_reduced(self) -> bool:
        return self.reduction != (1, 1, 1)

    @property
    def size_bytes(self) -> int:
        """Of all textures."""
        fine, half, blocks = (int(np.prod(s)) for s in (self.shape, self.half_shape, self.blocks_shape))
        return 2 * fine + (6 if self.is_halved else 4) * half + 5 * blocks

    @property
    def is_halved(self) -> bool:
        """Whether the half volume is another than the fine one."""
        return self.half_factors != (1, 1, 1)


def _divided(shape: tuple[int, int, int], factors: tuple[int, int, int]) -> tuple[int, int, int]:
    slices, rows, columns = (-(-side // factor) for side, factor in zip(shape, factors, strict=True))
    return slices, rows, columns


def laid_out(geometry: VolumeGeometry, *, largest_side: int, largest_bytes: int) -> VolumeLayout:
    """The layout of a volume within the limits of the card, reduced by whole factors where it is beyond them.

    The axis with the finest spacing is reduced first. Raises NotDrawable for a volume that no reasonable factor helps.
    """
    reduction = [1, 1, 1]
    spacing = np.array(geometry.spacing_mm)
    while True:
        shape = _divided(geometry.shape, (reduction[0], reduction[1], reduction[2]))
        too_long = [axis for axis in range(3) if shape[axis] > largest_side]
        if not too_long and 2 * int(np.prod(shape)) <= largest_bytes:
            break
        axis = too_long[0] if too_long else int(np.argmin(spacing * reduction))
        reduction[axis] += 1
        if reduction[axis] > _MOST_REDUCTION:
            raise NotDrawable("The volume is too large to be drawn.", key="volume-too-large")
    spacing = spacing * reduction
    factors = (1, 1, 1)
    if int(np.prod(shape)) > SMALL_VOXELS:
        slices, rows, columns = (1 if each > _COARSE_AXIS * spacing.min() else 2 for each in spacing)
        factors = (slices, rows, columns)
    return VolumeLayout(
        shape=shape,
        reduction=(reduction[0], reduction[1], reduction[2]),
        half_factors=factors,
        texture_to_patient=_texture_to_patient(geometry, shape, reduction),
        finest_mm=float(spacing.min()),
    )


def _texture_to_patient(
    geometry: VolumeGeometry, shape: tuple[int, int, int], reduction: list[int]
) -> NDArray[np.float64]:
    """Texture x, y, z are column, row, slice; 0 and 1 are the outer edges of the first and of the last texel."""
    matrix = np.array(geometry.index_to_patient)
    sides = np.array(shape) * reduction  # in lattice points; what a last, partly filled texel covers is part of it
    to_patient = np.eye(4)
    for axis, index_axis in enumerate((2, 1, 0)):
        to_patient[:3, axis] = matrix[:3, index_axis] * sides[index_axis]
    to_patient[:3, 3] = matrix[:3, 3] - 0.5 * matrix[:3, :3].sum(axis=1)
    return to_patient


class BlockRanges:
    """The least and the largest texel of each block, made of the slices as they come. For one thread."""

    def __init__(self, layout: VolumeLayout) -> None:
        self._slices = layout.shape[0]
        self._least = np.full(layout.blocks_shape, 0xFFFF, np.uint16)
        self._largest = np.zeros(layout.blocks_shape, np.uint16)

    def add(self, first: int, count: int, texels: Texels) -> None:
        """``texels``, (rows, columns), are the slice ``first`` and stand for ``count`` slices."""
        # Interpolation within a block reaches one slice before and behind it.
        low = max(first - 1, 0) // BLOCK
        high = min(first + count, self._slices - 1) // BLOCK + 1
        np.minimum(self._least[low:high], _over_blocks(texels, np.minimum), out=self._least[low:high])
        np.maximum(self._largest[low:high], _over_blocks(texels, np.maximum), out=self._largest[low:high])

    def found(self) -> Texels:
        """(slices, rows, columns, 2)."""
        return np.stack([self._least, self._largest], axis=-1)


class Preparation:
    """Half volume and blocks, made of the slices as they come. For one thread; holds about a fifth of the volume."""

    def __init__(self, layout: VolumeLayout) -> None:
        self._layout = layout
        self._blocks = BlockRanges(layout)
        slices = layout.shape[0]
        _, rows, columns = layout.half_shape
        self._thin = np.zeros((slices, rows, columns), np.uint16)
        self._half = np.zeros(layout.half_shape, np.uint16) if layout.half_factors[0] > 1 else self._thin

    def add(self, first: int, count: int, texels: Texels) -> None:
        """``texels``, (rows, columns), are the slice ``first`` and stand for ``count`` slices."""
        self._thin[first : first + count] = thinned(texels, self._layout.half_factors[1:])
        self._halve(first, count)
        self._blocks.add(first, count, texels)

    def _halve(self, first: int, count: int) -> None:
        # Slice by slice, as they come: temporary arrays of the whole volume cost more than the work itself.
        if self._half is self._thin:
            return
        last = len(self._thin) - 1
        for k in range(first // 2, (first + count - 1) // 2 + 1):
            lower, upper = self._thin[2 * k], self._thin[min(2 * k + 1, last)]
            # The mean, rounded up, without leaving 16 bits.
            np.subtract(lower | upper, (lower ^ upper) >> 1, out=self._half[k])

    def thin(self) -> Texels:
        """Every slice, thinned within its plane only; it goes on changing like ``half``."""
        return self._thin

    def half(self) -> Texels:
        """The half volume, (slices, rows, columns); it goes on changing with every slice that is added."""
        return self._half

    def blocks(self) -> Texels:
        """Least and largest texel of each block, (slices, rows, columns, 2)."""
        return self._blocks.found()


def thinned(texels: Texels, factors: tuple[int, ...]) -> Texels:
    """The mean of each so many rows and columns of a slice; the last, partly filled ones repeat their edge."""
    if factors == (1, 1):
        return texels
    rows, columns = factors
    padded = np.pad(texels, ((0, -texels.shape[0] % rows), (0, -texels.shape[1] % columns)), mode="edge")
    sums = np.zeros((padded.shape[0] // rows, padded.shape[1] // columns), np.uint32)
    for row in range(rows):
        for column in range(columns):
            sums += padded[row::rows, column::columns]
    return np.asarray((sums + rows * columns // 2) // (rows * columns), np.uint16)


def _over_blocks(texels: Texels, extreme: np.ufunc) -> Texels:
    """``extreme`` over each block and the row and column beyond its edges."""
    for _ in range(2):  # rows, then columns
        starts = np.arange(BLOCK, texels.shape[0], BLOCK)
        padded = np.pad(texels, ((0, -texels.shape[0] % BLOCK), (0, 0)), mode="edge")
        over = extreme.reduce(padded.reshape(-1, BLOCK, texels.shape[1]), axis=1)
        over[1:] = extreme(over[1:], texels[starts - 1])
        over[:-1] = extreme(over[:-1], texels[starts])
        texels = over.T
    return texels


def gradients(half: Texels, layout: VolumeLayout, usual: float | None = None) -> NDArray[np.int8]:
    """Direction in the patient (x, y, z) and steepness of the half volume, (slices, rows, columns, 4), each -127…127.

    Steepness is in parts of 1/16 of the usual range of values per half texel, at most 1: that of ``half``, or ``usual`` where
    this is a part of a volume, which is to be lit as the whole of it is.
    """
    half_to_patient = layout.texture_to_patient[:3, :3] / np.array(half.shape[::-1])
    to_patient = np.linalg.inv(half_to_patient).T.astype(np.float32) * np.float32(0.5)  # rows x, y, z; of x, y, z
    full = (usual or usual_range(half)) / 16 / float(np.linalg.norm(half_to_patient, axis=0).min())
    packed = np.empty((*half.shape, 4), np.int8)
    last = len(half) - 1
    for k in range(len(half)):
        here = half[k].astype(np.float32)
        along = np.stack(
            [
                _difference(here, axis=1).ravel(),
                _difference(here, axis=0).ravel(),
                (half[min(k + 1, last)].astype(np.float32) - half[max(k - 1, 0)]).ravel(),
            ]
        )
        direction = to_patient @ along
        steepness = np.sqrt(np.einsum("ij,ij->j", direction, direction))
        direction *= 127 / np.maximum(steepness, 1e-12)
        plane = packed[k].reshape(-1, 4)
        plane[:, :3] = np.rint(direction).T
        plane[:, 3] = np.minimum(steepness * (127 / full), 127)
    return packed


def _difference(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Next minus previous along ``axis``, the edge repeated."""
    padded = np.pad(values, [(1, 1) if each == axis else (0, 0) for each in range(2)], mode="edge")
    return padded[2:, :] - padded[:-2, :] if axis == 0 else padded[:, 2:] - padded[:, :-2]


def usual_range(half: Texels) -> float:
    """From the lowest to the highest value of a volume, but for the hundredth part at either end; at least 1."""
    sample = half.reshape(-1)[:: max(1, half.size // 100_000) | 1]
    low, high = np.percentile(sample, (1, 99))
    return max(float(high - low), 1.0)


class VolumeTextures:
    """The four textures of a volume. Belongs to the thread of the context.

    What was not uploaded is undefined, and may be what was there before.
    """

    def __init__(self, layout: VolumeLayout) -> None:
        self.layout = layout
        self.fine = VolumeTexture.of_shape((*layout.shape, 1), np.uint16, gl.GL_R16)
        self.half = (
            VolumeTexture.of_shape((*layout.half_shape, 1), np.uint16, gl.GL_R16) if layout.is_halved else self.fine
        )
        self.gradient = VolumeTexture.of_shape((*layout.half_shape, 4), np.int8, gl.GL_RGBA8_SNORM)
        self.blocks = VolumeTexture.of_shape((*layout.blocks_shape, 2), np.uint16, gl.GL_RG16, is_smooth=False)
        self.away = VolumeTexture.of_shape((*layout.blocks_shape, 1), np.uint8, gl.GL_R8, is_smooth=False)
        self.block_ranges: Texels = np.zeros((*layout.blocks_shape, 2), np.uint16)
        self.away_of: object = None
        """For which transfer function and which state of the blocks ``away`` holds."""
        self.has_half = False

    def upload_fine(self, first: int, count: int, texels: Texels) -> None:
        """The slice ``first`` and the ones that it stands for."""
        self.fine.upload(first, np.broadcast_to(texels, (count, *texels.shape)))

    def upload_prepared(self, half: Texels, gradient: NDArray[np.int8], blocks: Texels) -> None:
        if self.half is not self.fine:
            self.half.upload(0, half)
        self.gradient.upload(0, gradient)
        self.blocks.upload(0, blocks)
        self.block_ranges = blocks
        self.away_of = None
        self.has_half = True

    def free(self) -> None:
        halves = () if self.half is self.fine else (self.half,)
        for texture in (self.fine, *halves, self.gradient, self.blocks, self.away):
            texture.free()
