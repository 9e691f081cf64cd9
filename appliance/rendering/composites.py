"""The volume lit and partly transparent, as a physician would see the body part itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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


class CompositePainter:
    """Draws lit volumes. Belongs to the thread of the context."""

    def __init__(self, canvases: Canvases) -> None:
        self._canvases = canvases
        self._program = Program(shader("rays.glsl", "composite.glsl"))
        self._transfer = Texture.of_shape((1, ENTRIES, 4), np.float32, gl.GL_RGBA32F)

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
        self._transfer.upload(table[np.newaxis])
        low, high = (scale.position(value) for value in transfer.ends)
        _occupy(textures, table, low, high)
        axes = camera_axes(view.camera)
        light = -axes.ahead + 0.45 * axes.up - 0.35 * axes.right  # over the viewer's left shoulder
        uniforms = {
            **ray_uniforms(view.camera, size, layout, step_mm, view.clip),
            "volume": textures.half if view.interactive else textures.fine,
            "reach": half_reach(layout) if view.interactive else (1.0, 1.0, 1.0),
            "gradient": textures.gradient,
            "occupancy": textures.occupancy,
            "transfer": self._transfer,
            "range": (low, high),
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


def _occupy(textures: VolumeTextures, table: np.ndarray, low: float, high: float) -> None:
    """The occupancy texture tells in which blocks ``table``, from ``low`` to ``high`` in 0…1, shows anything."""
    seen = np.concatenate([[0], np.cumsum(table[:, 3] > 0)])
    key = (low, high, seen.tobytes())
    if textures.occupancy_of == key:
        return
    # A block's range in entries of the table, widened by one on either side for rounding.
    part = (textures.block_ranges / 65535.0 - low) / max(high - low, 1e-9) * (ENTRIES - 1)
    first = np.clip(np.floor(part[..., 0]) - 1, 0, ENTRIES - 1).astype(int)
    last = np.clip(np.ceil(part[..., 1]) + 1, 0, ENTRIES - 1).astype(int)
    occupied = seen[last + 1] > seen[first]
    textures.occupancy.upload(0, np.where(occupied, np.uint8(255), np.uint8(0)))
    textures.occupancy_of = key
