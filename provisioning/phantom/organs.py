"""A body put together: what is painted over what, and with how many Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from provisioning.phantom import skeleton, vessels
from provisioning.phantom.shapes import (
    Canvas,
    Ellipsoid,
    Plane,
    Shape,
    Tubes,
    ellipse_distance,
    mirrored,
    smooth_union,
    tube,
)
from provisioning.phantom.trunk import CAGE_A, CAGE_B, SKIN_A, SKIN_B, SKIN_Y, SPINE_Y, TABLE_Y, diaphragm_z

AIR_HU = -1000.0
LUNG_HU = -860.0
FAT_HU = -100.0
MUSCLE_HU = 58.0
LIVER_HU = 112.0
SPLEEN_HU = 125.0
KIDNEY_HU = 195.0
HEART_MUSCLE_HU = 105.0
ARTERY_HU = 330.0
VEIN_HU = 170.0
MARROW_HU = 260.0
CORTEX_HU = 1050.0
CARTILAGE_HU = 105.0

_HEART_CENTER = (20.0, -36.0, 36.0)
_WALL_MM = 11.0
"""Thickness of the muscles around the rib cage and the abdomen."""


@dataclass(frozen=True)
class Ripple:
    """A smooth field of a few waves, zero on average: keeps surfaces and tissue from looking turned on a lathe."""

    waves: np.ndarray
    """(wave, 4): cycles per millimetre along x, y, z, and phase."""

    def __call__(self, canvas: Canvas) -> Plane:
        """Its values, roughly from -1 to 1, (row, column)."""
        total = np.zeros((canvas.y.size, canvas.x.size), np.float32)
        for kx, ky, kz, phase in self.waves:
            along_x = np.exp(2j * np.pi * kx * canvas.x).astype(np.complex64)
            along_y = np.exp(1j * (2 * np.pi * (ky * canvas.y + kz * canvas.z) + phase)).astype(np.complex64)
            total += (along_y * along_x).real
        return np.asarray(total / np.float32(np.sqrt(len(self.waves))), np.float32)


def ripple(random: np.random.Generator, wavelength_mm: float, waves: int = 4) -> Ripple:
    """A field whose waves are about ``wavelength_mm`` long, in random directions."""
    directions = random.normal(size=(waves, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = wavelength_mm * random.uniform(0.7, 1.4, (waves, 1))
    return Ripple(np.hstack([directions / lengths, random.uniform(0, 2 * np.pi, (waves, 1))]))


@dataclass
class Body:
    """Everything that lies in the scanner; the same for the same ``seed``."""

    seed: int = 1
    bones: list[Shape | Tubes] = field(init=False)
    trees: vessels.Trees = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self.bones = skeleton.bones()
        self.trees = vessels.grow_trees(random)
        self._bumps = ripple(random, 90)
        self._grain = ripple(random, 17, waves=6)
        self._loops = [_wander(random, 40, 11.5), _wander(random, 34, 10.5)]

    def paint(self, canvas: Canvas) -> None:
        """Paints the slice of it that ``canvas`` stands for; later parts lie over earlier ones."""
        bumps, grain = self._bumps(canvas), self._grain(canvas)
        _paint_table(canvas)
        cavity = _paint_wall(canvas, bumps, grain)
        self._paint_belly(canvas, cavity, bumps, grain)
        self._paint_chest(canvas, cavity, bumps, grain)
        self._paint_vessels(canvas)
        self._paint_bones(canvas, grain)

    def _paint_belly(self, canvas: Canvas, cavity: Plane, bumps: Plane, grain: Plane) -> None:
        if canvas.z > 30:
            return
        under_diaphragm = np.maximum(cavity + 3, 0.7 * (canvas.z + 4 - diaphragm_z(canvas.x, canvas.y)))
        _paint_psoas(canvas)
        for loop in self._loops:
            canvas.paint_tubes([loop], 22.0, wall=70.0, wall_mm=1.5)
        _paint_colon(canvas, grain)
        _paint_stomach(canvas, under_diaphragm)
        for side, z in ((-1, -106.0), (1, -96.0)):
            _paint_kidney(canvas, side, z, grain)
        _paint_whole(canvas, Ellipsoid((94, 40, -42), (27, 46, 44), 0.35), under_diaphragm, bumps, SPLEEN_HU)
        self._paint_liver(canvas, under_diaphragm, bumps)

    def _paint_liver(self, canvas: Canvas, limit: Plane, bumps: Plane) -> None:
        if not -135 < canvas.z < 12:
            return
        right = Ellipsoid((-66, 8, -52), (74, 84, 74)).distance(canvas.x, canvas.y, canvas.z)
        left = Ellipsoid((0, -50, -34), (64, 36, 30), -0.15).distance(canvas.x, canvas.y, canvas.z)
        liver = np.maximum(smooth_union(right, left, 18) - 2.5 * bumps, limit)
        bed = Ellipsoid((-34, -46, -98), (17, 22, 26)).distance(canvas.x, canvas.y, canvas.z)
        canvas.mix_near(np.maximum(liver, -bed), LIVER_HU)
        canvas.mix_near(bed + 3, 12.0)  # the gall bladder lies in its bed
        for tree in self.trees.liver:
            inside = canvas.field()
            canvas.join(inside, tree)
            canvas.mix_near(np.maximum(inside, liver + 3), VEIN_HU)

    def _paint_chest(self, canvas: Canvas, cavity: Plane, bumps: Plane, grain: Plane) -> None:
        lungs = _lungs(canvas, cavity, bumps)
        weight = np.float32(0.35) * canvas.y  # the lower parts of a lying patient's lungs hold more blood
        canvas.mix_near(lungs, np.asarray(LUNG_HU + weight + 12 * grain, np.float32))
        for tree in self.trees.lung:
            inside = canvas.field()
            canvas.join(inside, tree)
            canvas.mix_near(np.maximum(inside, lungs - 1), 190.0)
        if -45 < canvas.z < 110:
            _paint_heart(canvas, bumps)

    def _paint_vessels(self, canvas: Canvas) -> None:
        canvas.paint_tubes(vessels.great_veins(), VEIN_HU)
        canvas.paint_tubes(vessels.pulmonary_trunk(), ARTERY_HU - 20)
        arteries = [*vessels.aorta_and_branches(), *vessels.inner_breast_arteries()]
        canvas.paint_tubes(arteries, ARTERY_HU, wall=60.0, wall_mm=1.2)
        canvas.paint(Ellipsoid((0, SPINE_Y(canvas.z) - 20, canvas.z), (6, 4.5, 9)), 45.0)  # gullet
        canvas.paint_tubes(vessels.airways(), AIR_HU + 10, wall=20.0, wall_mm=1.8)

    def _paint_bones(self, canvas: Canvas, grain: Plane) -> None:
        for disc in skeleton.discs():
            canvas.paint(disc, 85.0)
        soft = canvas.field()
        canvas.join(soft, *skeleton.cartilages())
        canvas.mix_near(soft, CARTILAGE_HU)
        bone = canvas.field()
        canvas.join(bone, *self.bones)
        # A hard shell over spongy bone; the shell is thinner than it is where a rod is thin, so a mean of both fills those.
        depth = np.clip(-bone, 0, 6)
        inside = np.interp(depth, [0, 1.6, 2.8, 6], [CORTEX_HU, 900, MARROW_HU + 120, MARROW_HU])
        canvas.mix_near(bone, np.asarray(inside + 35 * grain, np.float32))
        canal = Ellipsoid((0, SPINE_Y(canvas.z) + 0.74 * 18 + 11, canvas.z), (8, 6.5, 20))
        canvas.mix_near(np.maximum(_whole(canvas, canal), canvas.z - 235), 25.0)


def _whole(canvas: Canvas, shape: Shape) -> Plane:
    distance = canvas.field()
    canvas.join(distance, shape)
    return distance


def _paint_whole(canvas: Canvas, shape: Shape, limit: Plane, bumps: Plane, value: float) -> None:
    canvas.mix_near(np.maximum(_whole(canvas, shape) - 2 * bumps, limit), value)


def _paint_table(canvas: Canvas) -> None:
    """A hollow board under the back: two thin sheets of carbon fibre with foam between."""
    top = TABLE_Y + 6 - 22 * (np.abs(canvas.x) / 210) ** 2.2
    board = np.maximum(np.abs(canvas.y - top - 14) - 14, np.abs(canvas.x) - 205)
    canvas.mix_near(np.asarray(board, np.float32), 20.0)
    canvas.mix_near(np.asarray(board + 2.0, np.float32), -955.0)


def _paint_wall(canvas: Canvas, bumps: Plane, grain: Plane) -> Plane:
    """Skin, fat and muscles; the distance to the inside of the rib cage and the abdominal wall."""
    x, y, z = canvas.x, canvas.y, canvas.z
    # Slightly squarer than an ellipse, and flat where it lies on the table.
    outline = ellipse_distance(x, y - np.float32(SKIN_Y(z)), SKIN_A(z), SKIN_B(z)) - 2.0 * bumps
    outline = np.maximum(outline - 3 * (np.abs(x) / 150) * (np.abs(y) / 90), y - np.float32(TABLE_Y))
    cavity = ellipse_distance(x, y, CAGE_A(z), CAGE_B(z)) - 1.0 * bumps
    canvas.mix_near(outline, 30.0)
    canvas.mix_near(outline + 2.2, FAT_HU + 4 * grain)
    seam = 2.2 * np.sin(np.float32(0.9) * (cavity - 6))  # fat between the layers of muscle
    muscle = np.maximum(np.abs(cavity - _WALL_MM / 2) - _WALL_MM / 2 - 2 * bumps, outline + 6)
    canvas.mix_near(muscle, np.asarray(MUSCLE_HU - 14 * np.clip(seam, 0, 2) + 6 * grain, np.float32))
    _paint_back_muscles(canvas, outline, grain)
    if z > 90:
        _paint_shoulder_muscles(canvas, outline, bumps, grain)
    canvas.mix_near(cavity, FAT_HU + 5 * grain)
    return cavity


def _paint_back_muscles(canvas: Canvas, outline: Plane, grain: Plane) -> None:
    y = SPINE_Y(canvas.z)
    for side in (-1, 1):
        muscle = Ellipsoid((side * 31, y + 33, canvas.z), (26, 19, 400), -side * 0.25)
        canvas.mix_near(np.maximum(_whole(canvas, muscle), outline + 6), MUSCLE_HU + 7 * grain)


def _paint_shoulder_muscles(canvas: Canvas, outline: Plane, bumps: Plane, grain: Plane) -> None:
    """Chest muscles in front, those of the shoulder blade behind."""
    growing = np.float32(np.interp(canvas.z, [90, 150], [0, 1]))
    cage = ellipse_distance(canvas.x, canvas.y, CAGE_A(canvas.z), CAGE_B(canvas.z))
    beside = np.maximum(cage - (14 + 52 * growing), np.abs(canvas.y) - (20 + 66 * growing))
    layers = np.maximum(np.cos((cage + 5 * bumps) / np.float32(4.2)) - np.float32(0.82), 0) * 16
    middle = 20 - np.abs(canvas.x)
    canvas.mix_near(np.maximum(np.maximum(beside, outline + 9) + layers, middle), MUSCLE_HU + 7 * grain)


def _lungs(canvas: Canvas, cavity: Plane, bumps: Plane) -> Plane:
    """The distance to both lungs: the rib cage above the diaphragm, less what lies between them."""
    x, y, z = canvas.x, canvas.y, canvas.z
    if not -80 < z < 215:
        return canvas.field()
    middle = ellipse_distance(
        x, y + np.float32(16), np.interp(z, [-40, 0, 60, 130, 200], [24, 24, 27, 27, 16]), CAGE_B(z) + 14
    )
    spine = ellipse_distance(x, y - np.float32(SPINE_Y(z)), 24, 22)
    beside_aorta = ellipse_distance(x - 21, y - np.float32(SPINE_Y(z) - 28), 17, 17)
    between = smooth_union(smooth_union(middle, spine, 12), beside_aorta, 8)
    if -45 < z < 110:
        heart = Ellipsoid(_HEART_CENTER, (64, 52, 58), 0.5).distance(x, y, z) - 4
        between = smooth_union(between, heart, 10)
    above = 0.7 * (diaphragm_z(x, y) - z) + 1.5 * bumps
    return np.asarray(np.maximum(np.maximum(cavity + 3.5, above), -between), np.float32)


def _paint_heart(canvas: Canvas, bumps: Plane) -> None:
    heart = _whole(canvas, Ellipsoid(_HEART_CENTER, (60, 47, 54), 0.5)) - 2 * bumps
    under = 0.7 * (diaphragm_z(canvas.x, canvas.y) - canvas.z) + 2
    heart = np.maximum(heart, under)
    canvas.mix_near(heart - 3, -85.0)  # a little fat around it
    canvas.mix_near(heart, HEART_MUSCLE_HU)
    chambers = (
        (Ellipsoid((44, -34, 24), (30, 17, 29), 0.75), ARTERY_HU),  # left ventricle
        (Ellipsoid((8, -60, 30), (27, 12, 31), 0.45), ARTERY_HU - 60),  # right ventricle
        (Ellipsoid((16, 0, 58), (28, 15, 20), 0.1), ARTERY_HU - 10),  # left atrium
        (Ellipsoid((-24, -24, 42), (19, 20, 27), 0.0), ARTERY_HU - 90),  # right atrium
    )
    for chamber, value in chambers:
        canvas.mix_near(np.maximum(_whole(canvas, chamber) - 1.2 * bumps, heart + 5), value)


def _paint_stomach(canvas: Canvas, limit: Plane) -> None:
    stomach = tube(
        [(58, 16, -28), (70, -8, -46), (58, -40, -74), (22, -56, -88), (-12, -46, -84)], [30, 31, 25, 17, 11]
    )
    wall = canvas.field()
    canvas.join(wall, stomach)
    wall = np.maximum(wall, limit + 3)
    canvas.mix_near(wall, 72.0)
    canvas.mix_near(wall + 4, np.where(np.broadcast_to(canvas.y, wall.shape) < -38, -990.0, 14.0).astype(np.float32))


def _paint_colon(canvas: Canvas, grain: Plane) -> None:
    path = [(-96, 8, -215), (-104, 6, -165), (-98, -14, -128), (-60, -64, -122), (0, -74, -134), (58, -66, -118)]
    path += [(96, -10, -84), (104, 26, -130), (104, 24, -180), (92, 10, -230)]
    colon = tube(path, [23, 24, 23, 19, 19, 19, 18, 17, 16, 16])
    wall = canvas.field()
    canvas.join(wall, colon)
    wall -= 2.2 * np.float32(np.cos(2 * np.pi * canvas.z / 24)) + 2.5 * np.cos(canvas.x / np.float32(6))  # its bulges
    canvas.mix_near(wall, 55.0)
    filling = np.where(grain + canvas.y / 60 < 0.1, -985.0, -120 + 60 * grain)
    canvas.mix_near(wall + 3, filling.astype(np.float32))


def _paint_psoas(canvas: Canvas) -> None:
    one = tube([(26, 46, -70), (36, 44, -130), (50, 34, -190), (62, 14, -260)], [8, 17, 22, 22])
    canvas.paint_tubes([one, mirrored(one)], MUSCLE_HU)


def _paint_kidney(canvas: Canvas, side: int, z: float, grain: Plane) -> None:
    center = (side * 62.0, 48.0, z)
    kidney = _whole(canvas, Ellipsoid(center, (26, 30, 54), side * 0.5))
    sinus = _whole(canvas, Ellipsoid((side * 46.0, 40.0, z), (19, 12, 24), side * 0.5))
    kidney = np.maximum(kidney, -(sinus + 4))
    canvas.mix_near(kidney, KIDNEY_HU)
    pyramids = np.maximum(kidney + 8, -(sinus - 2)) + 3.5 * np.maximum(grain, -0.3)
    canvas.mix_near(np.asarray(pyramids, np.float32), 135.0)
    canvas.mix_near(sinus + 9, 20.0)


def _wander(random: np.random.Generator, turns: int, radius_mm: float) -> Tubes:
    """A loop of gut that wanders through the belly."""
    low, high = np.array([-72, -66, -226]), np.array([78, 4, -112])
    steps = random.normal(0, 22, (turns, 3)).cumsum(axis=0)
    # Folded back at the walls of its room, as often as needed.
    span = high - low
    folded = np.abs((steps + span / 2 + random.uniform(0, span)) % (2 * span) - span)
    return tube((folded + low).tolist(), (radius_mm + random.normal(0, 0.8, turns)).tolist())
