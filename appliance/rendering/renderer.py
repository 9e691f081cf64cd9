"""All that draws, on one thread: the context and the painters that share it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.domain.errors import Unavailable
from appliance.domain.geometry import LatticeSlice, VolumeGeometry
from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat, Window
from appliance.domain.views import Camera, Encoding, PlaneView, RenderingMethod, SliceView, Viewport, VolumeView
from appliance.rendering.composites import CompositePainter
from appliance.rendering.context import Context, ContextInfo, open_context
from appliance.rendering.gloo import Canvases, prepare
from appliance.rendering.projections import ProjectionPainter
from appliance.rendering.slices import SlicePainter, drawn_plainly, planned
from appliance.rendering.texels import TexelScale
from appliance.rendering.transfer_functions import transfer_function
from appliance.rendering.volume_textures import Preparation, VolumeTextures, gradients, laid_out


class Renderer:
    """Opens the context of the calling thread, and belongs to it.

    Raises Unavailable where there is no OpenGL, or none that draws what it is told.
    """

    def __init__(self, *, software_only: bool = False) -> None:
        self._context: Context = open_context(software_only=software_only)
        prepare()
        canvases = Canvases()
        self.slices = SlicePainter(canvases, self.info.largest_texture_side, filter_is_exact=self.info.is_software)
        self.projections = ProjectionPainter(canvases)
        self.composites = CompositePainter(canvases)
        self._warm()
        self._check()

    @property
    def info(self) -> ContextInfo:
        return self._context.info

    def is_lost(self) -> bool:
        """Whether the context is gone, and everything that it held."""
        return self._context.is_lost()

    def close(self) -> None:
        self._context.close()

    def _check(self) -> None:
        """Raises Unavailable if a picture of known pixels comes back as others."""
        pixel_format = PixelFormat(4, 4, 1, 16, 16, 15, False, "MONOCHROME2")
        image = ImageDescription(InstanceUid("0"), "0", "0", "OT", pixel_format, (FrameDescription(((0, 32),)),))
        stored = np.arange(16, dtype=np.uint16).reshape(4, 4)
        view = SliceView(InstanceUid("0"), 0, Encoding("image/png"), Window(8, 16, "linear-exact"))
        plan = planned(image, view)
        drawn = self.slices.draw(stored, image, 0, view, plan).astype(int)
        if np.abs(drawn - drawn_plainly(stored, image, 0, view, plan)).max() > 1 or self.is_lost():
            raise Unavailable(f"{self.info.renderer} does not draw what it is told", key="no-opengl")

    def _warm(self) -> None:
        """Every program has drawn once: drivers compile at the first drawing, which takes up to a quarter of a second."""
        window, encoding, camera = Window(0, 1), Encoding("image/png"), Camera((0, -9, 0), (0, 0, 0), (0, 0, 1), 4)
        pixel_format = PixelFormat(4, 4, 1, 16, 16, 15, False, "MONOCHROME2")
        image = ImageDescription(InstanceUid("0"), "0", "0", "OT", pixel_format, (FrameDescription(((0, 32),)),))
        for side in (2, 4, 8):  # shrunk, exact, enlarged
            slice_view = SliceView(InstanceUid("0"), 0, encoding, window, Viewport(side, side))
            self.slices.draw(
                *(np.zeros((4, 4), np.uint16), image, 0, slice_view, planned(image, slice_view)),
                mask=np.zeros((4, 4), np.uint8),
            )
        textures, scale = _nothing(), TexelScale(0, 1, True)
        series = SeriesUid("0")
        plane = PlaneView(series, camera, (8, 8), encoding)
        for view in (
            plane,
            replace(plane, gamma=2),
            *(replace(plane, slab_mm=1, method=method) for method in RenderingMethod),
            replace(plane, filter="cubic"),
            replace(plane, curve=((0, 0, 0), (1, 0, 0))),
        ):
            self.projections.draw_plane(textures, scale, view, window)
        for method in RenderingMethod:
            volume = VolumeView(series, camera, (8, 8), encoding, method)
            if method is RenderingMethod.VOLUME_RENDERED:
                transfer = transfer_function("mr", "MR", None, window)
                self.composites.draw(textures, scale, volume, (8, 8), transfer)
            else:
                self.projections.draw_projection(textures, scale, volume, (8, 8), window)
        textures.free()


def _nothing() -> VolumeTextures:
    """An empty volume of 4x4x4."""
    identity = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
    lattice = tuple(LatticeSlice(i, i) for i in range(4))
    geometry = VolumeGeometry((4, 4, 4), (1, 1, 1), identity, (1.5, 1.5, 1.5), (4, 4, 4), lattice)
    layout = laid_out(geometry, largest_side=2048, largest_bytes=1 << 20)
    preparation = Preparation(layout)
    preparation.add(0, 4, np.zeros((4, 4), np.uint16))
    textures = VolumeTextures(layout)
    textures.upload_fine(0, 4, np.zeros((4, 4), np.uint16))
    half = preparation.half()
    textures.upload_prepared(half, gradients(half, layout), preparation.blocks())
    return textures
