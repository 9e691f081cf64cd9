"""The great vessels, the airways, and trees that grow into lungs and liver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provisioning.phantom.shapes import Tubes, mirrored, tube
from provisioning.phantom.trunk import CAGE_A, CAGE_B, SPINE_Y, diaphragm_z

_STEP_MM = 6.0
"""Length of a piece of a tree's branch."""
Points = NDArray[np.float32]
"""(point, 3)"""


@dataclass(frozen=True)
class Trees:
    """What grows: pulmonary arteries and veins, and the vessels of the liver."""

    lung: tuple[Tubes, ...]
    liver: tuple[Tubes, ...]


def aorta_and_branches() -> list[Tubes]:
    """The aorta from the heart to where it divides, and what leaves it."""
    down = [(21.0, SPINE_Y(z) - 30, float(z)) for z in range(100, -20, -20)]
    lower = [(float(np.interp(z, [-160, -40], [4, 18])), SPINE_Y(z) - 31, float(z)) for z in range(-40, -161, -20)]
    arch = [(4, -30, 62), (-12, -34, 88), (-8, -28, 112), (4, -6, 126), (17, 18, 122)]
    aorta = tube([*arch, *down, *lower], [13.5] * 5 + [12.0] * len(down) + list(np.linspace(11, 8.5, len(lower))))
    split = lower[-1]
    iliac = [tube([split, (s * 16, 20, -190), (s * 42, 22, -230), (s * 62, 10, -280)], [7, 6, 5.5, 5]) for s in (-1, 1)]
    neck = [
        tube([(-9, -24, 120), (-16, -22, 142), (-28, -16, 168), (-40, -14, 215)], [7, 6.5, 5.5, 4]),
        tube([(0, -12, 124), (6, -10, 150), (20, -8, 215)], [4.5, 4, 3.8]),
        tube([(10, 2, 124), (22, 4, 152), (46, -4, 176), (95, -18, 178)], [5, 4.8, 4.5, 3.8]),
        tube([(-26, -17, 165), (-50, -14, 177), (-95, -20, 178)], [4.5, 4.3, 3.8]),
    ]
    y = SPINE_Y(-70) - 34
    belly = [
        tube([(17, y, -68), (12, y - 18, -64), (-14, y - 26, -58), (-38, y - 26, -50)], [4.2, 4, 3.5, 3]),
        tube([(12, y - 16, -64), (45, y - 8, -56), (84, y + 22, -50)], [3.8, 3.4, 3]),
        tube([(16, y, -80), (10, y - 18, -92), (4, y - 24, -130), (-4, y - 28, -175)], [4.2, 4, 3.5, 2.6]),
        tube([(16, SPINE_Y(-92) - 30, -92), (36, SPINE_Y(-92) - 16, -96), (52, 40, -98)], [3.4, 3.1, 3]),
        tube([(12, SPINE_Y(-94) - 30, -94), (-22, SPINE_Y(-96) - 22, -98), (-52, 42, -106)], [3.4, 3.1, 3]),
    ]
    return [aorta, *iliac, *neck, *belly]


def great_veins() -> list[Tubes]:
    """Both venae cavae, the renal veins and the portal vein."""
    lower = [(-20.0, SPINE_Y(z) - 32, float(z)) for z in range(-160, -40, 20)]
    cava = tube(
        [(-16, 16, -230), *lower, (-26, 8, -40), (-24, -4, -8), (-22, -12, 18)], [8] + [11] * len(lower) + [11, 11, 11]
    )
    upper = tube([(-22, -18, 40), (-26, -24, 90), (-28, -24, 130), (-34, -20, 150)], [10, 10, 9.5, 8])
    kidney = [tube([(s * 50, 40, -100), (s * 30, 26, -96), (-16, 16, -94)], [4.5, 5, 5]) for s in (-1, 1)]
    portal = tube([(14, -4, -96), (-6, -6, -78), (-34, -8, -58)], [6, 6.5, 6])
    return [cava, upper, *kidney, portal]


def pulmonary_trunk() -> list[Tubes]:
    """The trunk and the first branch to each lung."""
    return [
        tube([(18, -52, 62), (16, -42, 84), (10, -22, 98), (6, -14, 100)], [13, 13, 12, 11]),
        tube([(8, -18, 99), (-18, -6, 96), (-42, 4, 90)], [10.5, 9, 8]),
        tube([(8, -18, 99), (28, 0, 102), (44, 12, 96)], [10.5, 9, 8]),
    ]


def airways() -> list[Tubes]:
    """Windpipe and main bronchi: their lumen."""
    return [
        tube([(0, 6, 250), (0, 14, 160), (0, 22, 108)], [8.5, 8.5, 8.5]),
        tube([(0, 22, 108), (-20, 22, 92), (-44, 18, 76), (-62, 22, 56), (-76, 30, 34)], [7.5, 6.5, 5.2, 3.4, 2.2]),
        tube([(0, 22, 108), (24, 26, 90), (48, 22, 72), (62, 26, 50), (74, 34, 26)], [7.5, 6, 4.8, 3.2, 2.2]),
        tube([(-34, 20, 82), (-54, 14, 104), (-64, 10, 128)], [4.2, 3.2, 2.0]),
        tube([(38, 24, 78), (54, 16, 102), (62, 8, 124)], [4.2, 3.2, 2.0]),
    ]


def grow_trees(random: np.random.Generator) -> Trees:
    """Trees of vessels for both lungs and the liver."""
    lung = []
    for side in (-1, 1):
        for hilum, targets in (((44, 8, 92), 190), ((38, 2, 66), 170)):
            goals = _sample(random, targets, lambda p, s=side: _in_lung(p, s))  # type: ignore[misc]
            lung.append(_tree(random, (side * hilum[0], hilum[1], hilum[2]), goals, leaf_mm=0.75, exponent=0.40))
    goals = _sample(random, 60, _in_liver)
    veins = _tree(random, (-30, 0, -40), goals[:30], leaf_mm=1.1, exponent=0.42)
    portal = _tree(random, (-36, -8, -58), goals[30:], leaf_mm=1.1, exponent=0.42)
    return Trees(tuple(lung), (veins, portal))


def inner_breast_arteries() -> list[Tubes]:
    """The two arteries beside the sternum."""
    one = tube([(20, -CAGE_B(z) + 2, z) for z in (150.0, 110.0, 60.0, 10.0, -30.0)], [1.5] * 5)
    return [one, mirrored(one)]


def _in_lung(points: Points, side: int) -> NDArray[np.bool_]:
    x, y, z = points.T
    a = np.array([CAGE_A(v) for v in z]) * 0.94
    b = np.array([CAGE_B(v) for v in z]) * 0.92
    is_in_cage = (x / a) ** 2 + (y / b) ** 2 < 1
    is_beside = side * x > 34 + 10 * np.exp(-(((y + 25) / 40) ** 2)) * (side > 0)
    return np.asarray(is_in_cage & is_beside & (z > diaphragm_z(x, y) + 6) & (z < 196))


def _in_liver(points: Points) -> NDArray[np.bool_]:
    x, y, z = points.T
    return np.asarray(((x + 62) / 66) ** 2 + ((y - 4) / 68) ** 2 + ((z + 55) / 52) ** 2 < 1)


def _sample(random: np.random.Generator, count: int, inside: Callable[[Points], NDArray[np.bool_]]) -> Points:
    """``count`` points spread evenly over what is ``inside``: of several candidates the one farthest from all others."""
    pool = random.uniform((-150, -110, -130), (150, 110, 200), (60 * count, 3)).astype(np.float32)
    pool = pool[inside(pool)]
    chosen = [pool[0]]
    nearest = np.linalg.norm(pool - pool[0], axis=1)
    while len(chosen) < count:
        candidates = random.integers(0, len(pool), 12)
        best = pool[candidates[np.argmax(nearest[candidates])]]
        chosen.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(pool - best, axis=1))
    return np.array(chosen)


def _tree(
    random: np.random.Generator, root: tuple[float, float, float], goals: Points, leaf_mm: float, exponent: float
) -> Tubes:
    """A tree from ``root`` to every goal, nearest first; each branch leaves the nearest piece that there is by then.

    A piece is as thick as the number of goals behind it asks for (Murray's law: radius grows with flow to a power).
    """
    nodes = [np.array(root, np.float32)]
    parents = [-1]
    ends = []
    for goal in goals[np.argsort(np.linalg.norm(goals - nodes[0], axis=1))]:
        existing = np.array(nodes)
        # Leaving nearer the root costs a little less: branches run outwards instead of zigzagging between neighbours.
        cost = np.linalg.norm(existing - goal, axis=1) + 0.25 * np.linalg.norm(existing - nodes[0], axis=1)
        here = int(np.argmin(cost))
        start = nodes[here]
        pieces = max(1, round(float(np.linalg.norm(goal - start)) / _STEP_MM))
        bow = random.normal(0, 2.0, 3).astype(np.float32)
        for step in range(1, pieces + 1):
            t = step / pieces
            nodes.append(start + (goal - start) * t + bow * np.float32(np.sin(np.pi * t)))
            parents.append(here)
            here = len(nodes) - 1
        ends.append(here)
    flow = np.zeros(len(nodes))
    for end in ends:
        node = end
        while node >= 0:
            flow[node] += 1
            node = parents[node]
    radius = leaf_mm * np.maximum(flow, 1) ** exponent
    children = np.arange(1, len(nodes))
    points, above = np.array(nodes), np.array(parents[1:])
    start_radius = np.minimum(radius[above], 1.25 * radius[children])
    radii = np.column_stack([start_radius, radius[children]]).astype(np.float32)
    return Tubes(points[above], points[children], radii)
