"""The bones: spine of single vertebrae, ribs with their cartilage, sternum, collar bones, shoulder blades, iliac wings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from provisioning.phantom.shapes import Box, Plane, Shape, Tubes, ellipse_distance, mirrored, tube
from provisioning.phantom.trunk import CAGE_A, CAGE_B, SPINE_Y, THORACIC, VERTEBRA_Z

_STERNUM_TOP_Z = 148.0
_STERNUM_END_Z = 8.0
_SHOULDERS = Box((-190, -20, 52), (190, 130, 172))
_BREAST = Box((-32, -125, 0), (32, -40, 156))
_HIPS = Box((-175, -100, -320), (175, 120, -155))
_TRUE_RIBS = 7
"""They reach the sternum; 8 to 10 reach the cartilage above, 11 and 12 nothing."""
_LAST_RIB_WITH_CARTILAGE = 10


@dataclass(frozen=True)
class VertebralBody:
    """A short elliptic column with a waist, its end plates rounded."""

    center_y: float
    center_z: float
    half_height: float
    half_width: float

    @property
    def box(self) -> Box:
        """Where it is, and a margin for soft edges."""
        w, h = self.half_width + 4, self.half_height + 3
        return Box((-w, self.center_y - w, self.center_z - h), (w, self.center_y + w, self.center_z + h))

    def distance(self, x: Plane, y: Plane, z: float) -> Plane:
        """Signed distances."""
        dz = abs(z - self.center_z)
        waist = 1.6 * np.cos(min(dz / self.half_height, 1.0) * np.pi / 2)
        a, b = self.half_width - waist, 0.74 * self.half_width - waist
        wall = ellipse_distance(x, y - np.float32(self.center_y), a, b)
        return np.maximum(wall, np.float32(dz - self.half_height))


@dataclass(frozen=True)
class ShoulderBlade:
    """A thin plate that lies on the back of the rib cage, narrower downwards, on both sides."""

    box: Box = _SHOULDERS

    def distance(self, x: Plane, y: Plane, z: float) -> Plane:
        """Signed distances."""
        sheet = np.abs(ellipse_distance(x, y - 2, CAGE_A(z) + 24, CAGE_B(z) + 15)) - 2.2
        angle = np.arctan2(np.abs(x), y)
        low, high = np.interp(z, [55, 165], [0.72, 0.50]), np.interp(z, [55, 150, 170], [0.80, 1.28, 1.15])
        sides = np.maximum(low - angle, angle - high) * 125
        ends = max(z - 168, 58 - z)
        return np.asarray(np.maximum(np.maximum(sheet, sides), ends), np.float32)


@dataclass(frozen=True)
class IliacWing:
    """The upper part of the hip bone: a bowl-shaped plate with a rounded crest, on both sides."""

    box: Box = _HIPS

    def distance(self, x: Plane, y: Plane, z: float) -> Plane:
        """Signed distances."""
        depth = np.clip((-160 - z) / 90, 0, 1)
        a, b = 128 - 40 * depth**1.5, 74 - 10 * depth
        angle = np.arctan2(np.abs(x), y)
        crest = -164 - 30 * ((angle - 1.25) / 0.7) ** 2
        under_crest = crest - z
        thickness = 3.2 + 3.5 * np.exp(-((under_crest / 9) ** 2))
        sheet = np.abs(ellipse_distance(x, y - 6, a, b)) - thickness
        sides = np.maximum(0.42 - angle, angle - 1.95) * 100
        return np.asarray(np.maximum(np.maximum(sheet, -under_crest), sides), np.float32)


@dataclass(frozen=True)
class Sternum:
    """A flat bone with rounded edges in front of the rib cage, widest at the top, pointed at its end."""

    box: Box = _BREAST

    def distance(self, x: Plane, y: Plane, z: float) -> Plane:
        """Signed distances."""
        half_width = np.float32(np.interp(z, [0, 14, 32, 100, 118, 126, 146], [3, 6, 16, 12, 14, 20, 25]))
        edge = np.float32(3.5)
        aside = np.maximum(np.abs(x) - half_width + edge, 0)
        bulge = np.float32(_sternum_y(z)) + (x / 22) ** 2
        across = np.maximum(np.abs(y - bulge) - np.float32(4.6) + edge, 0)
        ends = max(z - _STERNUM_TOP_Z, _STERNUM_END_Z - z)
        return np.asarray(np.maximum(np.hypot(aside, across) - edge, ends), np.float32)


def discs() -> list[Shape]:
    """The discs between the vertebral bodies."""
    return [
        VertebralBody(SPINE_Y((one + two) / 2), (one + two) / 2, abs(one - two) / 2, _half_width(i) - 1)
        for i, (one, two) in enumerate(pairwise(VERTEBRA_Z))
    ]


def bones() -> list[Shape | Tubes]:
    """All bones."""
    found: list[Shape | Tubes] = []
    for i, z in enumerate(VERTEBRA_Z):
        found += _vertebra(i, z)
    for i in range(THORACIC):
        rib = tube(*_rib(i), height=1.5)
        found += [rib, mirrored(rib)]
    found.append(Sternum())
    found += _shoulders()
    found += [IliacWing(), VertebralBody(66, -262, 24, 46)]
    return found


def cartilages() -> list[Tubes]:
    """What joins the ribs to the sternum."""
    found = []
    for i in range(_LAST_RIB_WITH_CARTILAGE):
        end = _rib(i)[0][-1]
        if i < _TRUE_RIBS:
            z = _sternal_z(i)
            goal = (15.0, _sternum_y(z), z)
        else:
            above = _rib(i - 1)[0][-1]
            goal = (above[0] - 14, above[1] - 4, above[2] - 2)
        middle = ((end[0] + goal[0]) / 2, min(end[1], goal[1]) - 1, min(end[2], goal[2]) + 2)
        one = tube([end, middle, goal], [4.2, 4.6, 4.2], height=1.4)
        found += [one, mirrored(one)]
    return found


def _half_width(index: int) -> float:
    """Half the width of a vertebral body: they grow downwards."""
    return 13.0 + 0.78 * index


def _vertebra(index: int, z: float) -> list[Shape | Tubes]:
    y, w = SPINE_Y(z), _half_width(index)
    is_thoracic = index < THORACIC
    half_height = 9.3 if is_thoracic else 14.0
    back = y + 0.74 * w
    droop = 16.0 if is_thoracic else 5.0
    arch_z = z + 1.5
    pedicle = tube(
        [(0.62 * w, back - 3, arch_z), (0.66 * w, back + 7, arch_z), (0.50 * w, back + 14, arch_z)], [4.2, 3.8, 4.0]
    )
    lamina = tube(
        [(0.62 * w, back + 9, arch_z), (0.35 * w, back + 17, arch_z - 3), (0, back + 21, arch_z - 5)],
        [3.8, 3.2, 3.4],
        1.9,
    )
    process = tube(
        [(0.62 * w, back + 9, arch_z), (w + 6, back + 15, arch_z + 2), (w + 15, back + 19, arch_z + 3)], [3.8, 3.2, 3.6]
    )
    spinous = tube(
        [(0, back + 19, arch_z - 4), (0, back + 28, arch_z - 4 - droop / 2), (0, back + 35, arch_z - 4 - droop)],
        [3.4, 2.6, 3.4],
        1.0 if is_thoracic else 2.4,
    )
    pairs = [part for one in (pedicle, lamina, process) for part in (one, mirrored(one))]
    return [VertebralBody(y, z, half_height, w), *pairs, spinous]


def _sternal_z(index: int) -> float:
    """Where the cartilage of a true rib meets the sternum."""
    return float(np.interp(index, [0, 1, 6], [140, 122, 16]))


def _sternum_y(z: float) -> float:
    return -(CAGE_B(z) + 3)


def _rib(index: int) -> tuple[list[tuple[float, float, float]], list[float]]:
    """Points and radii of a left rib from the spine to its bony end."""
    head_z = VERTEBRA_Z[index] + 8
    y, w = SPINE_Y(head_z), _half_width(index)
    last_angle = (1.0, 2.05, 2.3, 2.4, 2.42, 2.4, 2.36, 2.24, 2.1, 1.95, 1.55, 1.1)[index] if index else 2.2
    drop = (62, 74, 88, 98, 106, 112, 116, 114, 106, 94, 62, 36)[index]
    points = [(w - 1, y + 5, head_z), (w + 14, y + 20, head_z + 1)]
    first_angle = 0.44
    for step in np.linspace(0, 1, 13):
        angle = first_angle + step * (last_angle - first_angle)
        z = head_z - drop * (0.10 * step + 0.90 * (1 - np.cos(step * np.pi)) / 2)
        points.append((float((CAGE_A(z) + 4) * np.sin(angle)), float((CAGE_B(z) + 4) * np.cos(angle)), float(z)))
    is_first = index == 0
    radii = [3.6, 3.8] + [4.4 if is_first else 3.9] * 12 + [4.6]
    return points, radii


def _shoulders() -> list[Shape | Tubes]:
    collar = tube(
        [(17, _sternum_y(148) - 4, 150), (60, -72, 157), (100, -48, 166), (138, -22, 172), (152, -8, 172)],
        [7, 5.2, 5, 5.4, 6],
    )
    spine_of_blade = tube([(58, 76, 142), (95, 70, 152), (130, 48, 164), (152, 8, 172)], [2.6, 4, 4.6, 5.5])
    socket = tube([(136, 34, 150), (146, 26, 147)], [9, 13])
    return [ShoulderBlade(), *(part for one in (collar, spine_of_blade, socket) for part in (one, mirrored(one)))]
