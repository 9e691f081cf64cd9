"""The outlines of the trunk as functions of the height: skin, rib cage, spine, sternum, diaphragm."""

from __future__ import annotations

import numpy as np

from provisioning.phantom.shapes import Plane

_GRID = np.arange(-320.0, 321.0)


class Profile:
    """A length that changes smoothly with the height."""

    def __init__(self, *knots: tuple[float, float]) -> None:
        heights, lengths = zip(*sorted(knots), strict=True)
        rough = np.interp(_GRID, heights, lengths)
        box = np.ones(31) / 31
        for _ in range(2):
            rough = np.convolve(np.pad(rough, 15, mode="edge"), box, mode="valid")
        self._table = rough

    def __call__(self, z: float) -> float:
        """Its value at the height ``z``."""
        return float(np.interp(z, _GRID, self._table))


SKIN_A = Profile(
    (-240, 176), (-170, 166), (-110, 155), (-50, 162), (20, 170), (80, 178), (140, 184), (175, 182), (220, 120)
)
SKIN_B = Profile(
    (-240, 112), (-170, 108), (-110, 107), (-50, 113), (20, 120), (80, 119), (140, 108), (175, 96), (220, 74)
)
SKIN_Y = Profile((-240, 6), (-110, 9), (-50, 5), (20, 0), (80, 1), (140, 6), (220, 14))
"""Half the width and half the depth of the body, and where its middle lies."""
TABLE_Y = 117.0
"""Where the back lies on the table."""

CAGE_A = Profile(
    (-240, 140), (-110, 134), (-40, 140), (20, 142), (80, 132), (130, 108), (165, 78), (195, 46), (230, 20)
)
CAGE_B = Profile((-240, 84), (-110, 82), (-40, 90), (20, 97), (80, 93), (130, 79), (165, 62), (195, 46), (230, 26))
"""Half the width and half the depth of the inside of the rib cage and of the abdominal wall."""
SPINE_Y = Profile((-280, 78), (-225, 56), (-160, 42), (-90, 45), (0, 58), (80, 64), (150, 54), (220, 36))
"""Where the middle of the vertebral bodies lies."""

VERTEBRA_Z = tuple(212 - 23.4 * i for i in range(12)) + tuple(-77 - 34.5 * i for i in range(5))
"""Middles of the vertebral bodies: T1 to T12, L1 to L5."""
THORACIC = 12


def diaphragm_z(x: Plane, y: Plane) -> Plane:
    """The height of the diaphragm's two domes."""
    right = 4 - 66 * ((x + 68) / 76) ** 2 - 60 * ((y + 8) / 88) ** 2
    left = -8 - 62 * ((x - 72) / 72) ** 2 - 56 * ((y + 8) / 88) ** 2
    middle = -22 - 60 * (x / 70) ** 2 - 60 * ((y + 20) / 80) ** 2
    return np.asarray(np.maximum(np.maximum(right, left), middle), np.float32)
