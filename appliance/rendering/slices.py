"""One frame, windowed, at the size and of the region that was asked for.

Two ways, one contract: where every pixel of the picture is a pixel of the frame, or a mean of several, NumPy gives the same
picture as the shader, and sooner than a software rasteriser (``drawn_plainly``). What is enlarged, or reaches beyond the frame,
goes through OpenGL (``SlicePainter``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.grayscale import (
    TABLE_LENGTH,
    chosen_voi,
    drawn,
    grey_table,
    has_table,
    is_padding,
    modality_values,
    palette_table,
    presented,
    table_index,
    voi_grey,
)
from appliance.domain.image import ImageDescription, Window
from appliance.domain.masks import Mask, masked, shutter_grey
from appliance.domain.views import Region, SliceView
from appliance.domain.voi import Voi
from appliance.rendering.gloo import Canvases, Program, Texture, gl, shader
from appliance.rendering.graphics import with_graphics
from appliance.rendering.means import means

Pixels = NDArray[np.uint8]
"""(rows, columns), or (rows, columns, 3) in colour."""

Step = tuple[int, int]
"""Rows and columns of pixels that are made one."""

_ROWS_AT_ONCE = 32
LARGEST_SIDE = 8192
"""Pixels of the longer side of a picture; more than any display has."""
_RANGE_BEYOND_WINDOW = 2.0
"""Widths of the window on either side that a 16-bit copy of 32-bit values keeps: sigmoid tails lie there."""


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """Which part of the frame comes where."""

    size: tuple[int, int]
    """(width, height) of the picture, before it is turned."""
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
    viewport, aspect = view.viewport, image.pixel_aspect_ratio
    region = _usual_region(image) if viewport is None or viewport.source is None else viewport.source
    if region.width <= 0 or region.height <= 0:
        raise NotDrawable("The region that is asked for is empty.", key="empty-region")
    width, height = region.width, region.height * aspect
    scale = max(1.0, 1 / aspect)  # the longer side of a pixel becomes more pixels; none are lost
    if image.displayed_area is not None:
        scale *= image.displayed_area.magnification
    if viewport is not None:
        sides = (viewport.height, viewport.width) if image.quarter_turns % 2 else (viewport.width, viewport.height)
        scale = min(sides[0] / width, sides[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if max(size) > LARGEST_SIDE:
        raise NotDrawable(f"Pictures have at most {LARGEST_SIDE} pixels a side.", key="picture-too-large")
    return SlicePlan(size, region)


def _usual_region(image: ImageDescription) -> Region:
    area = image.displayed_area
    if area is not None:
        return Region(area.x, area.y, area.width, area.height)
    return Region(0, 0, image.pixel_format.columns, image.pixel_format.rows)


def finished(pixels: Pixels, image: ImageDescription, plan: SlicePlan) -> Pixels:
    """``pixels`` of ``plan``, turned, then mirrored, as a presentation state wishes, with its graphics (PS3.3 C.10.6, C.10.5)."""
    turned = np.rot90(pixels, -image.quarter_turns)
    turned = np.ascontiguousarray(turned[:, ::-1] if image.is_mirrored else turned)
    return with_graphics(turned, image, plan.size, plan.region)


def is_plain(image: ImageDescription, plan: SlicePlan, mask: Mask | None) -> bool:
    """Whether ``drawn_plainly`` can draw it: pixel by pixel, or made smaller without a mask, from within the frame."""
    if plan.is_exact:
        return True
    (width, height), part, form = plan.size, plan.region, image.pixel_format
    is_within = 0 <= part.x <= part.x + part.width <= form.columns and 0 <= part.y <= part.y + part.height <= form.rows
    return mask is None and is_within and width <= part.width and height <= part.height


def drawn_plainly(
    stored: NDArray[Any],
    image: ImageDescription,
    frame_index: int,
    view: SliceView,
    plan: SlicePlan,
    *,
    mask: Mask | None = None,
) -> Pixels:
    """The picture of a plan that ``is_plain``, by NumPy alone; on any thread. ``mask`` lies over it (``domain.masks``)."""
    if not plan.is_exact:
        assert mask is None, "the plan is plain"
        return finished(_shrunk(stored, image, frame_index, view, plan), image, plan)
    x, y, (width, height) = int(plan.region.x), int(plan.region.y), plan.size
    part = stored[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    if image.is_colour:
        pixels = _coloured(part, image, invert=view.invert)
    else:
        voi = chosen_voi(stored, image, frame_index, view.window, view.voi)
        pixels = _grey(part, image, frame_index, voi, invert=view.invert)
    if mask is not None:
        over = mask[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        pixels = masked(pixels, over, shutter_grey(image, frame_index))
    if part.shape[:2] == (height, width):
        return finished(pixels, image, plan)
    canvas = np.zeros((height, width, *pixels.shape[2:]), np.uint8)
    top, left = max(-y, 0), max(-x, 0)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return finished(canvas, image, plan)


def _shrunk(
    stored: NDArray[Any], image: ImageDescription, frame_index: int, view: SliceView, plan: SlicePlan
) -> Pixels:
    """Values become means before the window, as in the shader."""
    crop, part = _crop(stored, plan.region), plan.region
    region = (part.x - crop.left, part.y - crop.top, part.width, part.height)
    if image.is_colour:
        colours = np.rint(means(colours_of(crop.of(stored), image), region, plan.size)).astype(np.uint8)
        return 255 - colours if view.invert else colours
    voi = chosen_voi(stored, image, frame_index, view.window, view.voi)
    texels, table = _texels_and_table(crop.of(stored), image, frame_index, voi, invert=view.invert)
    return _looked_up(table, np.rint(means(texels, region, plan.size)).astype(np.uint16))


def _coloured(stored: NDArray[Any], image: ImageDescription, *, invert: bool) -> Pixels:
    colours = colours_of(stored, image)
    return 255 - colours if invert else colours


def _grey(stored: NDArray[Any], image: ImageDescription, frame_index: int, voi: Voi, *, invert: bool) -> Pixels:
    if has_table(image.pixel_format):
        return _looked_up(grey_table(image, frame_index, voi=voi, invert=invert), table_index(stored))
    return drawn(stored, image, frame_index, voi=voi, invert=invert)


def _looked_up(table: Pixels, places: NDArray[np.uint16]) -> Pixels:
    """``table[places]``, some rows at a time: NumPy makes indexes of eight bytes of all of them first."""
    found = np.empty(places.shape, np.uint8)
    for top in range(0, len(places), _ROWS_AT_ONCE):
        # No place is outside of the table; only with a mode that allows for it NumPy writes without a copy between.
        table.take(places[top : top + _ROWS_AT_ONCE], out=found[top : top + _ROWS_AT_ONCE], mode="clip")
    return found


def colours_of(stored: NDArray[Any], image: ImageDescription) -> Pixels:
    """Stored values of a picture in colour as RGB of 8 bits, its palette applied."""
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
        self._over = Program(shader("mask.glsl"))
        self._table = Texture.of_shape((256, 256, 1), np.uint8, gl.GL_R8)

    def draw(
        self,
        stored: NDArray[Any],
        image: ImageDescription,
        frame_index: int,
        view: SliceView,
        plan: SlicePlan,
        *,
        mask: Mask | None = None,
    ) -> Pixels:
        """The picture of ``plan``, with ``mask`` over it. Outside of the frame it is black.

        Only what lies in the region goes to the card, in as many parts as its limit asks for.
        """
        voi = None if image.is_colour else chosen_voi(stored, image, frame_index, view.window, view.voi)
        pixels = self._parted(_Source(stored, image, frame_index, voi, view.invert, mask), plan)
        return finished(pixels, image, plan)

    def _parted(self, source: _Source, plan: SlicePlan) -> Pixels:
        """The picture in one piece, or in halves of which each is drawn alone where its pixels are too many for a texture."""
        (width, height), part = plan.size, plan.region
        crop, step, limit = _crop(source.stored, part), _step(plan), self._largest_side
        if crop.width <= limit * step[1] and crop.height <= limit * step[0]:
            return self._whole(source, plan, crop, step)
        if crop.width > limit * step[1] and width > 1:
            left = width // 2
            cut = part.width * left / width
            halves = [
                SlicePlan((left, height), replace(part, width=cut)),
                SlicePlan((width - left, height), replace(part, x=part.x + cut, width=part.width - cut)),
            ]
            return np.concatenate([self._parted(source, half) for half in halves], axis=1)
        if crop.height > limit * step[0] and height > 1:
            top = height // 2
            cut = part.height * top / height
            halves = [
                SlicePlan((width, top), replace(part, height=cut)),
                SlicePlan((width, height - top), replace(part, y=part.y + cut, height=part.height - cut)),
            ]
            return np.concatenate([self._parted(source, half) for half in halves], axis=0)
        # A strip of one pixel, on which more pixels of the frame lie than a texture holds.
        return self._whole(source, plan, crop, crop.least_step(limit))

    def _whole(self, source: _Source, plan: SlicePlan, crop: _Crop, step: Step) -> Pixels:
        """The picture in one piece, of means of blocks of ``step`` pixels."""
        image = source.image
        if crop.width <= 0 or crop.height <= 0:
            return np.zeros((*plan.size[::-1], 3) if image.is_colour else plan.size[::-1], np.uint8)
        texels: NDArray[Any]
        inverted = 0.0
        if source.voi is None:
            texels, inverted = colours_of(crop.of(source.stored), image), float(source.invert)
        else:
            texels, table = _texels_and_table(
                crop.of(source.stored), image, source.frame_index, source.voi, invert=source.invert
            )
            self._table.upload(table.reshape(256, 256))
        texels = thinned(texels, step)
        region = crop.within(plan.region, step)
        textures = [self._texture(texels)]
        try:
            uniforms = {
                "frame": textures[0],
                "table": self._table,
                "region": (region.x, region.y, region.width, region.height),
                "size": plan.size,
                "bounds": (texels.shape[1], texels.shape[0]),
                "is_colour": int(image.is_colour),
                "is_inverted": inverted,
            }
            over = None
            if source.mask is not None:
                over = self._over, self._mask_uniforms(source, plan, crop)
                textures.append(over[1]["mask"])
            pixels = self._canvases.painted(
                self._program_for(plan.size, region), plan.size, uniforms, is_colour=image.is_colour, over=over
            )
        finally:
            for texture in textures:
                texture.free()
        assert pixels is not None
        return pixels

    def _mask_uniforms(self, source: _Source, plan: SlicePlan, crop: _Crop) -> dict[str, Any]:
        """The mask as it is, thinned only where a texture cannot hold it: its lines are to lie on the pixel they are on."""
        assert source.mask is not None
        step = crop.least_step(self._largest_side)
        mask = _over_blocks(crop.of(source.mask), step, np.maximum, np.uint8)
        texture = Texture.of_shape((*mask.shape, 1), np.uint8, gl.GL_R8)
        texture.upload(mask)
        region = crop.within(plan.region, step)
        return {
            "mask": texture,
            "region": (region.x, region.y, region.width, region.height),
            "size": plan.size,
            "bounds": (mask.shape[1], mask.shape[0]),
            "cover": shutter_grey(source.image, source.frame_index) / 255,
        }

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


def _step(plan: SlicePlan) -> Step:
    """Of how many pixels of the frame one is made before it is drawn.

    At least four of them are left for each pixel of the picture, so that the shader's own means decide what it shows: only the
    weights of pixels at its edges change. It is many times quicker than to let the card, or Mesa, look at every pixel.
    """
    (width, height), part = plan.size, plan.region
    return max(1, int(part.height / height / 4)), max(1, int(part.width / width / 4))


@dataclass(frozen=True, slots=True)
class _Crop:
    """The pixels of the frame from which a region is drawn."""

    left: int
    top: int
    width: int
    height: int

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.top : self.top + self.height, self.left : self.left + self.width]

    def within(self, region: Region, step: Step) -> Region:
        """``region`` of the frame, in blocks of ``step`` of these pixels."""
        down, across = step
        return Region(
            (region.x - self.left) / across, (region.y - self.top) / down, region.width / across, region.height / down
        )

    def least_step(self, limit: int) -> Step:
        """The blocks of which a texture can hold all."""
        return max(1, -(-self.height // limit)), max(1, -(-self.width // limit))


@dataclass(frozen=True, slots=True)
class _Source:
    """One frame and how it is meant."""

    stored: NDArray[Any]
    image: ImageDescription
    frame_index: int
    voi: Voi | None
    """None of colours."""
    invert: bool
    mask: Mask | None


def _crop(stored: NDArray[Any], region: Region) -> _Crop:
    """``region`` and a pixel on each side, which interpolation reaches, within the frame."""
    rows, columns = stored.shape[:2]
    left, top = max(math.floor(region.x) - 1, 0), max(math.floor(region.y) - 1, 0)
    right = min(math.ceil(region.x + region.width) + 1, columns)
    bottom = min(math.ceil(region.y + region.height) + 1, rows)
    return _Crop(left, top, right - left, bottom - top)


def _texels_and_table(
    stored: NDArray[Any], image: ImageDescription, frame_index: int, voi: Voi, *, invert: bool
) -> tuple[NDArray[np.uint16], Pixels]:
    """16-bit texels of one frame, and the grey of each of their 65,536 values."""
    if has_table(image.pixel_format):
        return table_index(stored), grey_table(image, frame_index, voi=voi, invert=invert)
    # Wider values are spread over 16 bits, within what the window can tell apart.
    values = modality_values(stored, image, frame_index)
    padding = is_padding(stored, image.pixel_format)
    shown = values if padding is None else values[~padding]
    low, high = (float(np.nanmin(shown)), float(np.nanmax(shown))) if shown.size else (0.0, 0.0)
    if isinstance(voi, Window):
        reach = (0.5 + _RANGE_BEYOND_WINDOW) * voi.width
        low, high = max(low, voi.center - reach), min(high, voi.center + reach)
    span = max(high - low, 1e-30)
    part = np.nan_to_num((values - low) / span, nan=0.0)
    steps = TABLE_LENGTH - (1 if padding is None else 2)
    texels = np.rint(np.clip(part, 0, 1) * steps).astype(np.uint16)
    entries = low + np.arange(steps + 1) * (span / steps)
    table = presented(voi_grey(entries, voi), image, invert=invert)
    return (texels, table) if padding is None else _with_padding(texels, table, padding)


def _with_padding(
    texels: NDArray[np.uint16], table: Pixels, padding: NDArray[np.bool_]
) -> tuple[NDArray[np.uint16], Pixels]:
    """The same with one entry more, which is black and that of ``padding``.

    It lies beside the darker end of ``table``, so that what is interpolated between image and padding lies between their greys.
    """
    is_first = bool(table[0] <= table[-1])
    if is_first:
        return np.where(padding, 0, texels + 1).astype(np.uint16), np.concatenate([[np.uint8(0)], table])
    return np.where(padding, TABLE_LENGTH - 1, texels).astype(np.uint16), np.concatenate([table, [np.uint8(0)]])


def thinned(values: NDArray[Any], step: Step) -> NDArray[Any]:
    """The mean of each block of ``step`` pixels; at the right and below blocks are filled by their edge."""
    area = step[0] * step[1]
    if area == 1:
        return values
    return np.asarray((_over_blocks(values, step, np.add, np.uint32) + area // 2) // area, values.dtype)


def _over_blocks(values: NDArray[Any], step: Step, together: np.ufunc, dtype: Any) -> NDArray[Any]:
    """``together`` over each block of ``step`` pixels: whole rows first, which lie in memory one after the other."""
    down, across = step
    if down * across == 1:
        return values
    rows, columns = values.shape[:2]
    beyond = [(0, -rows % down), (0, -columns % across), *[(0, 0)] * (values.ndim - 2)]
    if any(after for _, after in beyond):
        values = np.pad(values, beyond, mode="edge")
    of_rows = values[::down].astype(dtype)
    for number in range(1, down):
        together(of_rows, values[number::down], out=of_rows)
    of_blocks = of_rows[:, ::across].copy()
    for number in range(1, across):
        together(of_blocks, of_rows[:, number::across], out=of_blocks)
    return of_blocks
