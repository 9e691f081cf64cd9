"""The largest, least or mean value along rays: planes and slabs through a volume, and projections of all of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from appliance.domain.errors import NotDrawable
from appliance.domain.image import Window
from appliance.domain.views import PlaneView, RenderingMethod, VolumeView
from appliance.domain.voi import Voi
from appliance.rendering.gloo import Canvases, Program, Texture, gl, shader
from appliance.rendering.rays import brightening, curve_uniforms, half_reach, ray_uniforms
from appliance.rendering.slices import Pixels
from appliance.rendering.texels import TexelScale
from appliance.rendering.volume_textures import VolumeTextures

_WAYS = {
    RenderingMethod.MAXIMUM_IP: "project_largest.glsl",
    RenderingMethod.MINIMUM_IP: "project_least.glsl",
    RenderingMethod.AVERAGE_IP: "project_mean.glsl",
}
_SLAB_WAYS = {
    RenderingMethod.MAXIMUM_IP: "slab_largest.glsl",
    RenderingMethod.MINIMUM_IP: "slab_least.glsl",
    RenderingMethod.AVERAGE_IP: "project_mean.glsl",
}
_FEW_STEPS = 64
"""Of a ray through a slab, up to which blocks that may be left out are not looked for."""
_EVERYWHERE = (-1e6, 1e6)


class ProjectionPainter:
    """Draws planes, slabs and projections in grey. Belongs to the thread of the context."""

    def __init__(self, canvases: Canvases) -> None:
        self._canvases = canvases
        self._programs, self._slabs = (
            {way: Program(shader("rays.glsl", "grey.glsl", "projection.glsl", file)) for way, file in ways.items()}
            for ways in (_WAYS, _SLAB_WAYS)
        )
        self._thin = Program(shader("grey.glsl", "plane.glsl"))
        self._thin_straight = Program(shader("grey_line.glsl", "plane.glsl"))
        self._curved = Program(shader("grey.glsl", "curved.glsl"))
        self._cubic = Program(shader("rays.glsl", "grey.glsl", "projection.glsl", "project_cubic.glsl"))
        self._table = Texture.of_shape((256, 256, 1), np.uint8, gl.GL_R8)

    def draw_plane(self, textures: VolumeTextures, scale: TexelScale, view: PlaneView, voi: Voi) -> Pixels:
        """A plane through ``look_at``, facing the camera, at true size; a slab is as thick on either side.

        Between voxels values are interpolated along all three axes, linearly, or by cubics for a plane or a mean of which the
        view says so. Outside of the volume it is black. Raises NotDrawable for a curved surface that is to be thick or cubic.
        """
        if view.curve:
            return self._draw_curved(textures, scale, view, voi)
        step_mm = textures.layout.finest_mm
        # An odd number of samples, the middle one in the plane itself, and no farther apart than voxels are.
        beside = math.ceil(view.slab_mm / 2 / step_mm)
        if beside:
            step_mm = view.slab_mm / (2 * beside)
        uniforms = {
            **ray_uniforms(view.camera, view.size, textures.layout, step_mm),
            "volume": textures.fine,
            "reach": (1.0, 1.0, 1.0),
            "steps": (float(-beside), float(beside)),
        }
        way = view.method if beside and view.method in _WAYS else RenderingMethod.AVERAGE_IP
        is_short = 2 * beside + 1 <= _FEW_STEPS
        if way is not RenderingMethod.AVERAGE_IP:
            uniforms |= {"ends": _ends(scale, voi)} | ({} if is_short else {"blocks": textures.blocks})
        program = (self._slabs if is_short else self._programs)[way] if beside else self._thin
        if view.filter == "cubic" and way is RenderingMethod.AVERAGE_IP:
            program, uniforms["texels"] = self._cubic, np.array(textures.layout.shape[::-1], float)
        line = None
        if program is self._thin:
            uniforms = {name: uniforms[name] for name in ("origin", "across", "down", "volume")}
            line = scale.grey_line(voi, invert=view.invert) if brightening(view.gamma) == 1 else None
        if line is None:
            self._upload_table(uniforms, scale, voi, view)
        else:
            program, uniforms["line"] = self._thin_straight, line
        pixels = self._canvases.painted(program, view.size, uniforms, is_colour=False)
        assert pixels is not None
        return pixels

    def _draw_curved(self, textures: VolumeTextures, scale: TexelScale, view: PlaneView, voi: Voi) -> Pixels:
        if view.slab_mm or view.filter != "linear":
            raise NotDrawable(
                "A curved surface has no thickness, and no filter but the linear one.", key="curve-is-thin"
            )
        uniforms, places = curve_uniforms(view.curve, view.camera, view.size, textures.layout)
        columns = Texture.of_shape((1, view.size[0], 4), np.float32, gl.GL_RGBA32F)
        columns.upload(places)
        uniforms |= {"volume": textures.fine, "columns": columns}
        self._upload_table(uniforms, scale, voi, view)
        pixels = self._canvases.painted(self._curved, view.size, uniforms, is_colour=False)
        columns.free()
        assert pixels is not None
        return pixels

    def draw_projection(
        self,
        textures: VolumeTextures,
        scale: TexelScale,
        view: VolumeView,
        size: tuple[int, int],
        voi: Voi,
        *,
        step_texels: float | None = None,
        keep_going: Callable[[], bool] | None = None,
    ) -> Pixels | None:
        """The whole volume along the camera's direction, at ``size``; None when ``keep_going`` says that nobody waits.

        Interactive views are cast through the half volume. ``step_texels`` is the length of a step in parts of the finest
        texel, where it is to be another than usual.
        """
        is_half = view.interactive and textures.has_half
        step_mm = textures.layout.finest_mm * (step_texels or (max(textures.layout.half_factors) if is_half else 1))
        uniforms = {
            **ray_uniforms(view.camera, size, textures.layout, step_mm, view.clip),
            "volume": textures.half if is_half else textures.fine,
            "reach": half_reach(textures.layout) if is_half else (1.0, 1.0, 1.0),
            "steps": _EVERYWHERE,
        }
        if view.method is not RenderingMethod.AVERAGE_IP:
            uniforms |= {"blocks": textures.blocks, "ends": _ends(scale, voi)}
        self._upload_table(uniforms, scale, voi, view)
        return self._canvases.painted(
            self._programs[view.method], size, uniforms, is_colour=False, keep_going=keep_going
        )

    def _upload_table(
        self, uniforms: dict[str, object], scale: TexelScale, voi: Voi, view: PlaneView | VolumeView
    ) -> None:
        self._table.upload(_table(scale, voi, view.invert, brightening(view.gamma)))
        uniforms["table"] = self._table


@lru_cache(maxsize=64)
def _table(scale: TexelScale, voi: Voi, is_inverted: bool, power: float) -> Pixels:
    """Grey of each texel, 256 x 256. Kept, since making it takes longer than drawing a small plane."""
    grey = scale.grey_table(voi, invert=is_inverted).reshape(256, 256)
    return grey if power == 1 else np.rint((grey / 255) ** power * 255).astype(np.uint8)


def _ends(scale: TexelScale, voi: Voi) -> tuple[float, float]:
    """Where a window is black and where it is white, in 0…1 of the texture's range; all of it for what may not stop a ray.

    Sigmoid windows change grey far beyond their ends, and tables rise and fall as they like.
    """
    if not isinstance(voi, Window) or voi.function == "sigmoid":
        return 0.0, 1.0
    low, high = (scale.position(voi.center + side * voi.width / 2) for side in (-1, 1))
    return min(max(low, 0.0), 1.0), max(min(high, 1.0), 0.0)
