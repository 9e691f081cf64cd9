"""One frame, windowed, at the size and of the region that was asked for.

Two ways, one contract: where every pixel of the picture is a pixel of the frame, NumPy's table look-up gives the same
picture as the shader, and on a software rasteriser ten times sooner (``drawn_plainly``). Everything that is resampled goes
through OpenGL (``SlicePainter``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.grayscale import (
    TABLE_LENGTH,
    chosen_window,
    drawn,
    grey_table,
    has_table,
    is_inverted,
    looked_up_grey,
    modality_values,
    palette_table,
    table_index,
    windowed,
)
from appliance.domain.image import ImageDescription, Window
from appliance.domain.views import Region, SliceView
from appliance.rendering.gloo import Canvases, Program, Texture, gl, shader

Pixels = NDArray[np.uint8]
"""(rows, columns), or (rows, columns, 3) in colour."""

LARGEST_SIDE = 8192
"""Pixels of the longer side of a picture; more than any display has."""
_RANGE_BEYOND_WINDOW = 2.0
"""Widths of the window on either side that a 16-bit copy of 32-bit values keeps: sigmoid tails lie there."""


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """Which part of the frame comes where."""

    size: tuple[int, int]
    """(width, height) of the picture."""
    region: Region
    """In source pixels."""

    @property
    def is_exact(self) -> bool:
        """Whether each pixel of the picture is one pixel of the frame."""
        part = self.region
        whole = all(float(value).is_integer() for value in (part.x, part.y, part.width, part.height))
        return whole and self.size == (int(part.width), int(part.height))


def planned(image: ImageDescription, view: SliceView) -> SlicePlan:
    """Size and region of the picture of ``view``: all of the frame at its own size, or what the viewport says.

    Pixels that are not square are shown in their true aspect. Raises NotDrawable for a picture without pixels or with too
    many.
    """
    rows, columns = image.pixel_format.rows, image.pixel_format.columns
    viewport, aspect = view.viewport, image.pixel_aspect_ratio
    region = Region(0, 0, columns, rows) if viewport is None or viewport.source is None else viewport.source
    if region.width <= 0 or region.height <= 0:
        raise NotDrawable("The region that is asked for is empty.", key="empty-region")
    width, height = region.width, region.height * aspect
    scale = max(1.0, 1 / aspect)  # the longer side of a pixel becomes more pixels; none are lost
    if viewport is not None:
        scale = min(viewport.width / width, viewport.height / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if max(size) > LARGEST_SIDE:
        raise NotDrawable(f"Pictures have at most {LARGEST_SIDE} pixels a side.", key="picture-too-large")
    return SlicePlan(size, region)


def drawn_plainly(
    stored: NDArray[Any], image: ImageDescription, frame_index: int, view: SliceView, plan: SlicePlan
) -> Pixels:
    """The picture of an exact ``plan``, by NumPy alone; on any thread."""
    assert plan.is_exact
    x, y, (width, height) = int(plan.region.x), int(plan.region.y), plan.size
    part = stored[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    window = None if image.is_colour else chosen_window(stored, image, frame_index, view.window)
    pixels = _plain(part, image, frame_index, window, invert=view.invert)
    if part.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    canvas = np.zeros((height, width, *pixels.shape[2:]), np.uint8)
    top, left = max(-y, 0), max(-x, 0)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas


def _plain(
    stored: NDArray[Any], image: ImageDescription, frame_index: int, window: Window | None, *, invert: bool
) -> Pixels:
    if image.is_colour:
        colours = _colours(stored, image)
        return 255 - colours if invert else colours
    if has_table(image.pixel_format):
        return grey_table(image, frame_index, window=window, invert=invert)[table_index(stored)]
    return drawn(stored, image, frame_index, window=window, invert=invert)


def _colours(stored: NDArray[Any], image: ImageDescription) -> Pixels:
    if image.palette is not None:
        return palette_table(image)[table_index(stored)]
    if stored.dtype == np.uint8:
        return stored
    return (stored >> max(image.pixel_format.bits_stored - 8, 0)).astype(np.uint8)


class SlicePainter:
    """Draws resampled slices. Belongs to the thread of the context."""

    def __init__(self, canvases: Canvases, largest_texture_side: int, *, filter_is_exact: bool = False) -> None:
        self._canvases = canvases
        self._largest_side = largest_texture_side
        self._exact = Program(shader("slice.glsl", "sample_exact.glsl"))
        self._enlarged = Program(
            shader("slice.glsl", "sample_filtered.glsl" if filter_is_exact else "sample_enlarged.glsl")
        )
        self._shrunk = Program(shader("slice.glsl", "sample_shrunk.glsl"))
        self._table = Texture.of_shape((256, 256, 1), np.uint8, gl.GL_R8)

    def draw(
        self, stored: NDArray[Any], image: ImageDescription, frame_index: int, view: SliceView, plan: SlicePlan
    ) -> Pixels:
        """The picture of ``plan``. Outside of the frame it is black."""
        texels: NDArray[Any]
        inverted = 0.0
        if image.is_colour:
            texels, inverted = _colours(stored, image), float(view.invert)
        else:
            window = chosen_window(stored, image, frame_index, view.window)
            texels, table = _texels_and_table(stored, image, frame_index, window, invert=view.invert)
            self._table.upload(table.reshape(256, 256))
        texels, region = self._within_limits(texels, plan)
        frame = self._texture(texels)
        try:
            uniforms = {
                "frame": frame,
                "table": self._table,
                "region": (region.x, region.y, region.width, region.height),
                "size": plan.size,
                "bounds": (texels.shape[1], texels.shape[0]),
                "is_colour": int(image.is_colour),
                "is_inverted": inverted,
            }
            pixels = self._canvases.painted(
                self._program_for(plan.size, region), plan.size, uniforms, is_colour=image.is_colour
            )
        finally:
            frame.free()
        assert pixels is not None
        return pixels

    def _program_for(self, size: tuple[int, int], region: Region) -> Program:
        if SlicePlan(size, region).is_exact:
            return self._exact
        is_shrunk = region.width > size[0] or region.height > size[1]
        return self._shrunk if is_shrunk else self._enlarged

    def _texture(self, texels: NDArray[Any]) -> Texture:
        if texels.ndim == 3:
            texture = Texture.of_shape((texels.shape[0], texels.shape[1], 3), np.uint8, gl.GL_RGB8, is_smooth=True)
        else:
            texture = Texture.of_shape((texels.shape[0], texels.shape[1], 1), np.uint16, gl.GL_R16, is_smooth=True)
        texture.upload(texels)
        return texture

    def _within_limits(self, texels: NDArray[Any], plan: SlicePlan) -> tuple[NDArray[Any], Region]:
        """``texels`` and the region in them, cut and if need be thinned by whole pixels so that one texture holds them.

        Frames beyond the limit are shrunk in any case: a picture is smaller than a texture. Means of whole blocks before
        the shader's means change a weight at the edges of pixels and nothing else.
        """
        if max(texels.shape[:2]) <= self._largest_side:
            return texels, plan.region
        part = plan.region
        left, top = max(int(part.x) - 1, 0), max(int(part.y) - 1, 0)
        right, bottom = int(part.x + part.width) + 2, int(part.y + part.height) + 2
        texels = texels[top : max(bottom, top + 1), left : max(right, left + 1)]
        step = -(-max(texels.shape[:2]) // self._largest_side)
        if step > 1:
            texels = thinned(texels, step)
        return texels, Region((part.x - left) / step, (part.y - top) / step, part.width / step, part.height / step)


def _texels_and_table(
    stored: NDArray[Any], image: ImageDescription, frame_index: int, window: Window | None, *, invert: bool
) -> tuple[NDArray[np.uint16], Pixels]:
    """16-bit texels of one frame, and the grey of each of their 65,536 values."""
    if has_table(image.pixel_format):
        return table_index(stored), grey_table(image, frame_index, window=window, invert=invert)
    # Wider values are spread over 16 bits, within what the window can tell apart.
    values = modality_values(stored, image, frame_index)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if window is not None:
        reach = (0.5 + _RANGE_BEYOND_WINDOW) * window.width
        low, high = max(low, window.center - reach), min(high, window.center + reach)
    span = max(high - low, 1e-30)
    part = np.nan_to_num((values - low) / span, nan=0.0)
    texels = np.rint(np.clip(part, 0, 1) * (TABLE_LENGTH - 1)).astype(np.uint16)
    entries = low + np.arange(TABLE_LENGTH) * (span / (TABLE_LENGTH - 1))
    grey = looked_up_grey(entries, image.voi_luts[0]) if window is None else windowed(entries, window)
    if is_inverted(image, invert=invert):
        grey = 1 - grey
    return texels, np.rint(grey * 255).astype(np.uint8)


def thinned(values: NDArray[Any], step: int) -> NDArray[Any]:
    """The mean of each block of ``step`` by ``step`` pixels; what is left over at the right and below is dropped."""
    rows, columns = values.shape[0] // step, values.shape[1] // step
    blocks = values[: rows * step, : columns * step].reshape(rows, step, columns, step, *values.shape[2:])
    return np.asarray(np.rint(blocks.mean(axis=(1, 3), dtype=np.float32)), values.dtype)
