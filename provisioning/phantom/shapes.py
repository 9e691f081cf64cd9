"""Forms by their signed distance: negative inside, positive outside, in millimetres, about right near the surface.

About this technique: a form is a function of the position; a slice of the body is made by asking, for the pixels near a
form, how far the surface is, and mixing the form's value in where the distance is below zero. The mix runs over one voxel, so
that surfaces are smooth, and the union of forms is the smaller distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""Values of a slice or a part of it: (row, column)."""
Point = tuple[float, float, float]
FAR_MM = np.float32(1e3)


@dataclass(frozen=True)
class Box:
    """The part of space outside of which a form has no influence, in millimetres."""

    low: Point
    high: Point

    def reaches(self, z: float) -> bool:
        """Whether a slice at ``z`` can meet it."""
        return self.low[2] <= z <= self.high[2]


class Shape(Protocol):
    """A form."""

    @property
    def box(self) -> Box:
        """Where it is."""

    def distance(self, x: Plane, y: Plane, z: float) -> Plane:
        """Signed distances (row, column) in a slice at ``z``; ``x`` is (1, column), ``y`` is (row, 1)."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid, turned by ``angle`` (radians, from x towards y) about the z axis."""

    center: Point
    semi_axes: Point
    angle: float = 0.0

    @property
    def box(self) -> Box:
        """The block that holds it in any turn, and a margin for soft edges."""
        reach = max(self.semi_axes[:2]) + 4
        return _around(self.center, reach, self.semi_axes[2] + 4)

    def distance(self, x: Plane, y: Plane, z: float) -> Plane:
        """Signed distances, to first order: exact at the surface."""
        dx, dy, dz = x - self.center[0], y - self.center[1], z - self.center[2]
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        u, v = (dx * cosine + dy * sine), (dy * cosine - dx * sine)
        a, b, c = self.semi_axes
        k0 = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (dz / c) ** 2)
        k1 = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2 + (dz / c**2) ** 2)
        return np.asarray(k0 * (k0 - 1) / np.maximum(k1, 1e-6), np.float32)


@dataclass(frozen=True)
class Tubes:
    """Round rods from point to point, each with a radius at either end: bones, vessels, gut."""

    starts: NDArray[np.float32]
    """(rod, 3)"""
    ends: NDArray[np.float32]
    """(rod, 3)"""
    radii: NDArray[np.float32]
    """(rod, 2)"""
    height: float = 1.0
    """How much taller than wide they are, along z: ribs are flat."""

    def at(self, z: float, margin_mm: float) -> NDArray[np.intp]:
        """Indices of the rods that a slice at ``z`` meets."""
        reach = self.radii.max(axis=1) * self.height + margin_mm
        low = np.minimum(self.starts[:, 2], self.ends[:, 2]) - reach
        high = np.maximum(self.starts[:, 2], self.ends[:, 2]) + reach
        return np.flatnonzero((low <= z) & (z <= high))

    def rod(self, index: int) -> Rod:
        """One of them."""
        return Rod(self.starts[index], self.ends[index], self.radii[index], self.height)


@dataclass(frozen=True)
class Rod:
    """A rod with round ends."""

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    radii: NDArray[np.float32]
    height: float

    @property
    def box(self) -> Box:
        """Where it is, and a margin for soft edges."""
        reach = np.float32(float(self.radii.max()) * self.height + 3)
        low, high = np.minimum(self.start, self.end) - reach, np.maximum(self.start, self.end) + reach
        return Box(_point(low), _point(high))

    def distance(self, x: Plane, y: Plane, z: float) -> Plane:
        """Signed distances to the nearest point of the axis, less the radius there."""
        along = self.end - self.start
        px, py, pz = x - self.start[0], y - self.start[1], np.float32(z) - self.start[2]
        length = max(float(along @ along), 1e-6)
        t = np.clip((px * along[0] + py * along[1] + pz * along[2]) / length, 0, 1)
        away = (px - t * along[0]) ** 2 + (py - t * along[1]) ** 2 + ((pz - t * along[2]) / self.height) ** 2
        return np.asarray(np.sqrt(away) - (self.radii[0] + t * (self.radii[1] - self.radii[0])), np.float32)


def tube(points: Sequence[Sequence[float]], radii: Sequence[float], height: float = 1.0) -> Tubes:
    """A tube through ``points``, rounded off between them, with a radius at each point."""
    path = np.column_stack([np.asarray(points, np.float32), np.asarray(radii, np.float32)])
    for _ in range(3):  # Chaikin's corner cutting: the ends stay, the corners become a smooth curve
        inner = np.empty((2 * len(path) - 2, 4), np.float32)
        inner[0::2] = 0.75 * path[:-1] + 0.25 * path[1:]
        inner[1::2] = 0.25 * path[:-1] + 0.75 * path[1:]
        path = np.vstack([path[:1], inner, path[-1:]])
    return Tubes(path[:-1, :3], path[1:, :3], np.column_stack([path[:-1, 3], path[1:, 3]]), height)


def mirrored(tubes: Tubes) -> Tubes:
    """The same on the other side of the body."""
    flip = np.array([-1, 1, 1], np.float32)
    return Tubes(tubes.starts * flip, tubes.ends * flip, tubes.radii, tubes.height)


@dataclass
class Canvas:
    """A slice that is being painted: Hounsfield units over positions."""

    x: Plane
    """(1, column)"""
    y: Plane
    """(row, 1)"""
    z: float
    softness_mm: float
    """Over what distance a surface fades: the size of a voxel."""
    values: Plane = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.full((self.y.size, self.x.size), -1000, np.float32)

    def window(self, box: Box) -> tuple[slice, slice] | None:
        """The rows and columns that ``box`` can touch; None if there are none."""
        if not box.reaches(self.z):
            return None
        rows = slice(*np.searchsorted(self.y[:, 0], [box.low[1], box.high[1]]))
        columns = slice(*np.searchsorted(self.x[0], [box.low[0], box.high[0]]))
        return None if rows.start == rows.stop or columns.start == columns.stop else (rows, columns)

    def paint(self, shape: Shape, value: float) -> None:
        """Mixes ``value`` in where ``shape`` is."""
        part = self.window(shape.box)
        if part is not None:
            self.mix(part, shape.distance(self.x[:, part[1]], self.y[part[0]], self.z), value)

    def paint_tubes(self, tubes: Sequence[Tubes], value: float, wall: float | None = None, wall_mm: float = 0) -> None:
        """Mixes ``value`` in where ``tubes`` are; ``wall`` is the value of a wall around them all."""
        distance = self.field()
        self.join(distance, *tubes)
        if wall is not None:
            self.mix_near(distance - wall_mm, wall)
        self.mix_near(distance, value)

    def field(self) -> Plane:
        """A distance field with nothing in it yet."""
        return np.full(self.values.shape, FAR_MM, np.float32)

    def join(self, distance: Plane, *forms: Shape | Tubes) -> None:
        """Makes ``distance`` that of the union of itself and ``forms``."""
        for form in forms:
            if isinstance(form, Tubes):
                self.join(distance, *(form.rod(int(index)) for index in form.at(self.z, 3)))
                continue
            part = self.window(form.box)
            if part is not None:
                nearer = form.distance(self.x[:, part[1]], self.y[part[0]], self.z)
                np.minimum(distance[part], nearer, out=distance[part])

    def mix(self, part: tuple[slice, slice], distance: Plane, value: float | Plane) -> None:
        """Mixes ``value`` into a part of the slice where ``distance`` is below zero."""
        share = np.clip(0.5 - distance / self.softness_mm, 0, 1)
        self.values[part] += share * (value - self.values[part])

    def mix_near(self, distance: Plane, value: float | Plane) -> None:
        """The same for the whole slice, for distances that are far in most places."""
        near = distance < self.softness_mm
        share = np.clip(0.5 - distance[near] / self.softness_mm, 0, 1)
        wanted = value if isinstance(value, float | int) else value[near]
        self.values[near] += share * (wanted - self.values[near])


def ellipse_distance(x: Plane, y: Plane, a: float | Plane, b: float | Plane) -> Plane:
    """Signed distances to an upright ellipse around the origin with semi-axes ``a`` along x and ``b`` along y."""
    k0 = np.sqrt((x / a) ** 2 + (y / b) ** 2)
    k1 = np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2)
    return np.asarray(k0 * (k0 - 1) / np.maximum(k1, 1e-6), np.float32)


def smooth_union(one: Plane, other: Plane, blend_mm: float) -> Plane:
    """The union of two distances with a rounded seam."""
    h = np.clip(0.5 + 0.5 * (other - one) / blend_mm, 0, 1)
    return np.asarray(other + h * (one - other) - blend_mm * h * (1 - h), np.float32)


def _around(center: Point, reach_mm: float, reach_z_mm: float) -> Box:
    x, y, z = center
    return Box((x - reach_mm, y - reach_mm, z - reach_z_mm), (x + reach_mm, y + reach_mm, z + reach_z_mm))


def _point(values: NDArray[np.float32]) -> Point:
    return float(values[0]), float(values[1]), float(values[2])
