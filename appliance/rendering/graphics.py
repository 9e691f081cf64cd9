"""Figures and texts of presentation states over a picture, by libvips from SVG (PS3.3 C.10.5)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import pyvips
from numpy.typing import NDArray

from appliance.domain.image import Graphic, ImageDescription
from appliance.domain.views import Region

logging.getLogger("pyvips").setLevel(logging.WARNING)  # it tells of every picture at info level

Point = tuple[float, float]
"""x to the right and y downwards, in pixels of the finished picture."""

_STROKE_PIXELS = 1.5
_USUAL_TEXT_PIXELS = 14.0
_SMALLEST_TEXT_PIXELS = 9.0
_LINE_HEIGHT = 1.25
_POINT_RADIUS_PIXELS = 3.0
_CONTROL = {code: " " for code in range(32) if code not in (10, 13)}


def with_graphics(
    pixels: NDArray[np.uint8], image: ImageDescription, size: tuple[int, int], region: Region
) -> NDArray[np.uint8]:
    """``pixels``, turned and mirrored, with the graphics of ``image`` in white over them.

    ``size``, (width, height), and ``region`` are those of the picture before it was turned.
    """
    if not image.graphics:
        return pixels
    height, width = pixels.shape[:2]

    def of_pixel(point: Point) -> Point:
        x = (point[0] - region.x) / region.width * size[0]
        y = (point[1] - region.y) / region.height * size[1]
        sides = size
        for _ in range(image.quarter_turns):
            x, y, sides = sides[1] - y, x, (sides[1], sides[0])
        return (sides[0] - x if image.is_mirrored else x), y

    def of_area(point: Point) -> Point:
        return point[0] * width, point[1] * height

    figures = "".join(_figure(one, of_area if one.is_relative else of_pixel) for one in image.graphics)
    drawing = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" fill="none" stroke="#fff" '
        f'stroke-width="{_STROKE_PIXELS}" font-family="sans-serif">{figures}</svg>'
    )
    alpha = pyvips.Image.svgload_buffer(drawing.encode()).numpy()[..., 3].astype(np.float32) / 255
    alpha = alpha[:height, :width].reshape(height, width, *[1] * (pixels.ndim - 2))
    return np.asarray(np.rint(pixels * (1 - alpha) + 255 * alpha), np.uint8)


def _figure(graphic: Graphic, place: Callable[[Point], Point]) -> str:
    points = [place(point) for point in graphic.points]
    fill = ' fill="#fff"' if graphic.is_filled else ""
    if graphic.kind == "TEXT":
        return _text(graphic.text, points)
    if graphic.kind == "POINT":
        return f'<circle cx="{points[0][0]:.2f}" cy="{points[0][1]:.2f}" r="{_POINT_RADIUS_PIXELS}" fill="#fff"/>'
    if graphic.kind == "CIRCLE" and len(points) >= 2:
        # An ellipse where pixels are not square: as wide in the picture as in the frame.
        (x, y), (centre_column, centre_row) = points[0], graphic.points[0]
        radius = math.dist(graphic.points[0], graphic.points[1])
        right, below = place((centre_column + radius, centre_row)), place((centre_column, centre_row + radius))
        return _ellipse((x, y), right, below, fill)
    if graphic.kind == "ELLIPSE" and len(points) >= 4:
        middle = ((points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2)
        return _ellipse(middle, points[1], points[3], fill)
    if len(points) < 2:
        return ""
    path = _smooth(points) if graphic.kind == "INTERPOLATED" else " L".join(f"{x:.2f} {y:.2f}" for x, y in points)
    return f'<path d="M{path}"{fill}/>'


def _ellipse(centre: Point, one: Point, other: Point, fill: str) -> str:
    """By its centre and the end of each axis."""
    x, y = centre
    degrees = math.degrees(math.atan2(one[1] - y, one[0] - x))
    radii = f'rx="{math.dist(centre, one):.2f}" ry="{math.dist(centre, other):.2f}"'
    return f'<ellipse cx="{x:.2f}" cy="{y:.2f}" {radii} transform="rotate({degrees:.2f} {x:.2f} {y:.2f})"{fill}/>'


def _smooth(points: Sequence[Point]) -> str:
    """A curve through all points, each piece a cubic with the slopes of its neighbours (Catmull and Rom)."""
    pieces = [f"{points[0][0]:.2f} {points[0][1]:.2f}"]
    for n in range(len(points) - 1):
        before, start, end, after = points[max(n - 1, 0)], points[n], points[n + 1], points[min(n + 2, len(points) - 1)]
        controls = (
            *(start[axis] + (end[axis] - before[axis]) / 6 for axis in (0, 1)),
            *(end[axis] - (after[axis] - start[axis]) / 6 for axis in (0, 1)),
        )
        pieces.append(" C" + " ".join(f"{number:.2f}" for number in (*controls, *end)))
    return "".join(pieces)


def _text(text: str, points: Sequence[Point]) -> str:
    lines = text.translate(_CONTROL).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    x, y = min(point[0] for point in points), min(point[1] for point in points)
    size = _USUAL_TEXT_PIXELS
    if len(points) > 1:
        size = max(abs(points[1][1] - points[0][1]) / (len(lines) * _LINE_HEIGHT), _SMALLEST_TEXT_PIXELS)
    rows = "".join(
        f'<tspan x="{x:.2f}" y="{y + size * (1 + number * _LINE_HEIGHT):.2f}">{escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    return f'<text font-size="{size:.2f}" fill="#fff" stroke="none">{rows}</text>'
