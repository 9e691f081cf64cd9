"""The volume lit and partly transparent, as a physician would see the body part itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from appliance.domain.views import VolumeView
from appliance.rendering.gloo import Canvases, Program, Texture, gl, shader
from appliance.rendering.rays import brightening, camera_axes, half_reach, ray_uniforms
from appliance.rendering.slices import Pixels
from appliance.rendering.texels import TexelScale
from appliance.rendering.transfer_functions import ENTRIES, TransferFunction
from appliance.rendering.volume_textures import VolumeTextures

_EVERYWHERE = (-1e6, 1e6)
SETTLED_STEP = 0.75
"""Length of a step in parts of the finest texel: longer ones let thin bone break into rings."""
_INTERACTIVE_STEP = 1.5
"""The same while the camera moves, through the half volume; a longer one is no longer smooth on skin."""
_FARTHEST = 12
"""Blocks that a ray crosses in one leap."""


class CompositePainter:
    """Draws lit volumes. Belongs to the thread of the context."""

    def __init__(self, canvases: Canvases) -> None:
        self._canvases = canvases
        self._program = Program(shader("rays.glsl", "composite.glsl"))
        self._colours = Texture.of_shape((1, ENTRIES, 4), np.float32, gl.GL_RGBA32F)
        self._opacity = Texture.of_shape((1, ENTRIES, 1), np.float32, gl.GL_R32F)

    def draw(
        self,
        textures: VolumeTextures,
        scale: TexelScale,
        view: VolumeView,
        size: tuple[int, int],
        transfer: TransferFunction,
        *,
        step_texels: float | None = None,
        keep_going: Callable[[], bool] | None = None,
    ) -> Pixels | None:
        """The volume through ``transfer`` at ``size``; None when ``keep_going`` says that nobody waits any more.

        Needs the prepared textures. Interactive views are cast through the half volume. ``step_texels`` is the length of a step
        in parts of the finest texel, where it is to be another than usual.
        """
        assert textures.has_half
        layout = textures.layout
        step_mm = layout.finest_mm * (step_texels or (_INTERACTIVE_STEP if view.interactive else SETTLED_STEP))
        table = transfer.table(step_mm)
        self._colours.upload(table[np.newaxis])
        self._opacity.upload(table[np.newaxis, :, 3:])
        low, high = (scale.position(value) for value in transfer.ends)
        _tell_distances(textures, table, low, high)
        axes = camera_axes(view.camera)
        light = -axes.ahead + 0.45 * axes.up - 0.35 * axes.right  # over the viewer's left shoulder
        uniforms = {
            **ray_uniforms(view.camera, size, layout, step_mm, view.clip),
            "volume": textures.half if view.interactive else textures.fine,
            "reach": half_reach(layout) if view.interactive else (1.0, 1.0, 1.0),
            "gradient": textures.gradient,
            "away": textures.away,
            "colours": self._colours,
            "opacity": self._opacity,
            "entries": _entries(low, high),
            "half_reach": half_reach(layout),
            "light": light / np.linalg.norm(light),
            "eye": -axes.ahead,
            "shine": transfer.light,
            "brightening": brightening(view.gamma),
            "picture_texels": size,
            "steps": _EVERYWHERE,
        }
        pixels = self._canvases.painted(self._program, size, uniforms, is_colour=True, keep_going=keep_going)
        return 255 - pixels if pixels is not None and view.invert else pixels


def _entries(low: float, high: float) -> tuple[float, float]:
    """Factor and summand that make of a value in 0…1 its place in a texture of ENTRIES from ``low`` to ``high``, 0…1."""
    factor = (ENTRIES - 1) / max(high - low, 1e-9)
    return factor / ENTRIES, (0.5 - low * factor) / ENTRIES


def _tell_distances(textures: VolumeTextures, table: NDArray[np.float32], low: float, high: float) -> None:
    """``textures.away`` tells how far each block is from those of which ``table``, from ``low`` to ``high`` in 0…1, shows any."""
    seen = np.concatenate([[0], np.cumsum(table[:, 3] > 0)])
    key = (low, high, seen.tobytes())
    if textures.away_of == key:
        return
    # The entry of the table of each texel, as far as the volume can hold it; widened by one on either side for rounding.
    part = (np.arange(65536) / 65535.0 - low) / max(high - low, 1e-9) * (ENTRIES - 1)
    seen_before = seen[np.clip(np.floor(part) - 1, 0, ENTRIES - 1).astype(int)]
    seen_until = seen[np.clip(np.ceil(part) + 1, 0, ENTRIES - 1).astype(int) + 1]
    ranges = textures.block_ranges
    textures.away.upload(0, distances(seen_until[ranges[..., 1]] > seen_before[ranges[..., 0]]))
    textures.away_of = key


def distances(is_occupied: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Of each block the distance to the next occupied one, in blocks along the axis along which it is farthest; at most 12."""
    away = np.zeros(is_occupied.shape, np.uint8)
    reached = is_occupied
    for _ in range(_FARTHEST):
        away += ~reached
        reached = _grown(reached)
    return away


def _grown(blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those that are, and all that touch them."""
    for axis in range(3):
        before = np.moveaxis(blocks, axis, 0)
        after = before.copy()
        after[1:] |= before[:-1]
        after[:-1] |= before[1:]
        blocks = np.moveaxis(after, 0, axis)
    return blocks
