"""Slices of the body as a scanner would deliver them: stored values with noise, and a mark that says which slice it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provisioning.phantom.organs import Body
from provisioning.phantom.shapes import Canvas, Plane

Pixels = NDArray[np.uint16]
"""Stored values (row, column), 12 bit."""
RESCALE_INTERCEPT = -1024
"""Stored values are Hounsfield units plus 1024."""
BITS_STORED = 12
_HIGHEST = (1 << BITS_STORED) - 1
_NOISE_HU = 11.0
"""Standard deviation in the middle of the body; it falls to the outside, where rays are shorter."""
_MIDDLE_Z = -6.0
"""The height in the body of the middle of the stack."""

MARK_BLOCK = 8
"""Side of a block of the mark, in pixels."""
MARK_BITS = 12


@dataclass(frozen=True)
class Size:
    """How many pixels there are and how far apart they lie."""

    slices: int = 300
    rows: int = 512
    columns: int = 512
    pixel_spacing_mm: float = 0.78
    """Between rows and between columns."""
    slice_spacing_mm: float = 1.25


RECORDS = {
    "A": Size(10, 512, 512, 0.78, 5.0),
    "B": Size(54, 512, 512, 0.78, 5.0),
    "C": Size(555, 512, 512, 0.78, 0.75),
    "D": Size(96, 1996, 2457, 0.15, 1.0),
}
"""The records that the SIVR paper measured with (SoftwareX 2022), by their sizes; D is as large as a tomosynthesis."""


@dataclass(frozen=True)
class Phantom:
    """A stack of slices from feet to head."""

    size: Size = Size()
    seed: int = 1
    marked: bool = False
    """Whether each slice carries its number, see ``draw_mark``."""

    def position_mm(self, index: int) -> tuple[float, float, float]:
        """The centre of the first pixel of slice ``index``, in patient coordinates."""
        s = self.size
        x, y = (-(n - 1) / 2 * s.pixel_spacing_mm for n in (s.columns, s.rows))
        return x, y, _MIDDLE_Z + (index - (s.slices - 1) / 2) * s.slice_spacing_mm

    def slices(self) -> Iterator[Pixels]:
        """All slices, from feet to head."""
        body = Body(self.seed)
        for index in range(self.size.slices):
            yield self._slice(body, index)

    def noise(self, index: int) -> NDArray[np.float32]:
        """The noise of slice ``index`` in Hounsfield units (row, column), as filtered back projection leaves it.

        Neighbouring pixels and slices share some of it.
        """
        noise = 0.8 * self._white(index) + 0.6 * self._white(index - 1)
        for axis in (0, 1):
            noise = 0.25 * np.roll(noise, 1, axis) + 0.5 * noise + 0.25 * np.roll(noise, -1, axis)
        x, y = self._grid()
        # The filter leaves 6/16 of the variance per axis: undone here, so that _NOISE_HU is what is measured.
        strength = _NOISE_HU / 0.375 * np.exp(-((x / 260) ** 2) - (y / 200) ** 2)
        return np.asarray(noise * strength, np.float32)

    def _slice(self, body: Body, index: int) -> Pixels:
        x, y = self._grid()
        canvas = Canvas(x, y, self.position_mm(index)[2], softness_mm=max(1.0, self.size.pixel_spacing_mm))
        body.paint(canvas)
        hounsfield = canvas.values + self.noise(index)
        stored: Pixels = np.clip(np.rint(hounsfield - RESCALE_INTERCEPT), 0, _HIGHEST).astype(np.uint16)
        if self.marked:
            draw_mark(stored, index)
        return stored

    def _grid(self) -> tuple[Plane, Plane]:
        """Positions of columns (1, column) and of rows (row, 1), in millimetres."""
        s = self.size
        x, y, _ = self.position_mm(0)
        columns = x + s.pixel_spacing_mm * np.arange(s.columns, dtype=np.float32)
        rows = y + s.pixel_spacing_mm * np.arange(s.rows, dtype=np.float32)
        return columns[None, :], rows[:, None]

    def _white(self, index: int) -> NDArray[np.float32]:
        random = np.random.default_rng((self.seed, index + 1))
        return random.standard_normal((self.size.rows, self.size.columns), dtype=np.float32)


def draw_mark(stored: Pixels, number: int) -> None:
    """Writes ``number`` (0 to 4095) into the first rows of ``stored``: bright and dark blocks from the upper left corner.

    A bright block, a dark one, twelve bits from the highest, and a bit that makes the number of bright bits even: 15 blocks of
    8 x 8 pixels. Whoever sees the picture of a slice can tell which slice it is, see ``read_mark``.
    """
    bits = [(number >> (MARK_BITS - 1 - i)) & 1 for i in range(MARK_BITS)]
    for i, bit in enumerate([1, 0, *bits, sum(bits) & 1]):
        stored[:MARK_BLOCK, i * MARK_BLOCK : (i + 1) * MARK_BLOCK] = _HIGHEST * bit


def read_mark(grey: NDArray[np.generic]) -> int | None:
    """The number in the mark of a picture (row, column) at one pixel for one, of any grey values; None if there is none."""
    middle = MARK_BLOCK // 2
    blocks = np.array([float(grey[middle, i * MARK_BLOCK + middle]) for i in range(MARK_BITS + 3)])
    if blocks[0] <= blocks[1]:
        return None
    bits = (blocks > (blocks[0] + blocks[1]) / 2).astype(int)
    if bits[2:].sum() & 1:
        return None
    return int("".join(map(str, bits[2:-1])), 2)
