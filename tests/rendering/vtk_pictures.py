"""The same views drawn by VTK: a stranger to compare pictures and times with.

VTK keeps an OpenGL context of its own current, so all of it runs on one thread of its own (``on_its_thread``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from appliance.domain.image import Window
from appliance.domain.views import Camera, PlaneView, RenderingMethod
from appliance.rendering.rays import camera_axes
from appliance.rendering.transfer_functions import TransferFunction

P = ParamSpec("P")
R = TypeVar("R")

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="vtk")
_BLENDS = {
    RenderingMethod.MAXIMUM_IP: "SetBlendModeToMaximumIntensity",
    RenderingMethod.MINIMUM_IP: "SetBlendModeToMinimumIntensity",
    RenderingMethod.AVERAGE_IP: "SetBlendModeToAverageIntensity",
    RenderingMethod.VOLUME_RENDERED: "SetBlendModeToComposite",
}
_SLABS = {
    RenderingMethod.MAXIMUM_IP: "SetSlabModeToMax",
    RenderingMethod.MINIMUM_IP: "SetSlabModeToMin",
    RenderingMethod.AVERAGE_IP: "SetSlabModeToMean",
}


def on_its_thread(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def run(*arguments: P.args, **named: P.kwargs) -> R:
        return _THREAD.submit(function, *arguments, **named).result()

    return run


def image_of(values: NDArray[Any], spacing_mm: tuple[float, float, float], first_mm: tuple[float, ...]) -> Any:
    """Axial ``values`` (slices, rows, columns), whose first voxel has its centre at ``first_mm`` (x, y, z)."""
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape[::-1])
    image.SetSpacing(*spacing_mm[::-1])
    image.SetOrigin(*first_mm)
    scalars = numpy_to_vtk(np.ascontiguousarray(values).reshape(-1), deep=False)
    scalars.kept = values  # VTK does not own it
    image.GetPointData().SetScalars(scalars)
    return image


class VtkPlanes:
    """Planes and slabs by vtkImageReslice, trilinear, windowed to grey."""

    @on_its_thread
    def __init__(self, image: Any, *, is_cubic: bool = False) -> None:
        self._reslice = vtk.vtkImageReslice()
        self._reslice.SetInputData(image)
        self._reslice.SetOutputDimensionality(2)
        self._reslice.SetBackgroundLevel(-30000)
        self._reslice.SetSlabTrapezoidIntegration(False)
        if is_cubic:
            self._reslice.SetInterpolationModeToCubic()
        else:
            self._reslice.SetInterpolationModeToLinear()

    @on_its_thread
    def draw(self, view: PlaneView, window: Window, *, slab_samples: int = 1) -> NDArray[np.uint8]:
        """The view at its size; a slab in ``slab_samples``."""
        axes, (width, height) = camera_axes(view.camera), view.size
        pixel_mm = view.camera.field_of_view_mm / height
        turned = vtk.vtkMatrix4x4()
        for column, axis in enumerate((axes.right, -axes.up, axes.ahead, np.array(view.camera.look_at))):
            for row in range(3):
                turned.SetElement(row, column, float(axis[row]))
        reslice = self._reslice
        reslice.SetResliceAxes(turned)
        reslice.SetOutputSpacing(pixel_mm, pixel_mm, view.slab_mm / max(slab_samples - 1, 1) or 1)
        reslice.SetOutputOrigin(-(width - 1) / 2 * pixel_mm, -(height - 1) / 2 * pixel_mm, 0)
        reslice.SetOutputExtent(0, width - 1, 0, height - 1, 0, 0)
        if slab_samples > 1:
            reslice.SetSlabNumberOfSlices(slab_samples)
            getattr(reslice, _SLABS[view.method])()
        reslice.Update()
        values = vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(height, width)
        low = window.center - window.width / 2
        return np.rint(np.clip((values - low) * (255 / window.width), 0, 255)).astype(np.uint8)


class VtkVolumes:
    """Projections and lit volumes by a volume mapper; ``is_gpu`` is the one that draws with OpenGL."""

    @on_its_thread
    def __init__(self, image: Any, *, is_gpu: bool) -> None:
        self._mapper = vtk.vtkOpenGLGPUVolumeRayCastMapper() if is_gpu else vtk.vtkFixedPointVolumeRayCastMapper()
        self._mapper.SetInputData(image)
        self._mapper.SetAutoAdjustSampleDistances(False)
        if is_gpu:
            self._mapper.SetMaxMemoryInBytes(1 << 32)
            self._mapper.SetMaxMemoryFraction(1.0)
            self._mapper.SetUseJittering(False)
        else:
            # It takes every render of a window for an interactive one otherwise.
            self._mapper.SetImageSampleDistance(1)
            self._mapper.SetIntermixIntersectingGeometry(False)
        self._property = vtk.vtkVolumeProperty()
        self._property.SetInterpolationTypeToLinear()
        volume = vtk.vtkVolume()
        volume.SetMapper(self._mapper)
        volume.SetProperty(self._property)
        self._renderer = vtk.vtkRenderer()
        self._renderer.AddVolume(volume)
        self._renderer.SetAutomaticLightCreation(False)
        self._light = vtk.vtkLight()
        self._light.SetLightTypeToSceneLight()
        self._renderer.AddLight(self._light)
        self._window = vtk.vtkEGLRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.AddRenderer(self._renderer)

    @on_its_thread
    def look(self, method: RenderingMethod, look: Window | TransferFunction, step_mm: float) -> None:
        """What the next pictures show: grey through a window, or lit colours through a transfer function."""
        colours, opacity = vtk.vtkColorTransferFunction(), vtk.vtkPiecewiseFunction()
        shaded = isinstance(look, TransferFunction)
        if isinstance(look, TransferFunction):
            for value, red, green, blue, dense in look.points:
                colours.AddRGBPoint(value, red, green, blue)
                opacity.AddPoint(value, dense)
            ambient, diffuse, specular, exponent = look.light
            self._property.SetAmbient(ambient)
            self._property.SetDiffuse(diffuse)
            self._property.SetSpecular(specular)
            self._property.SetSpecularPower(exponent)
        else:
            low, high = look.center - look.width / 2, look.center + look.width / 2
            colours.AddRGBPoint(low, 0, 0, 0)
            colours.AddRGBPoint(high, 1, 1, 1)
            opacity.AddPoint(-5000, 1)
            opacity.AddPoint(5000, 1)
        self._property.SetShade(shaded)
        self._property.SetColor(colours)
        self._property.SetScalarOpacity(opacity)
        self._property.SetScalarOpacityUnitDistance(1.0)
        self._mapper.SetSampleDistance(step_mm)
        if isinstance(self._mapper, vtk.vtkFixedPointVolumeRayCastMapper):
            self._mapper.SetInteractiveSampleDistance(step_mm)
        getattr(self._mapper, _BLENDS[method])()

    @on_its_thread
    def draw(self, camera: Camera, size: tuple[int, int]) -> NDArray[np.uint8]:
        """(rows, columns, 3)."""
        axes = camera_axes(camera)
        seen = self._renderer.GetActiveCamera()
        seen.SetParallelProjection(True)
        seen.SetParallelScale(camera.field_of_view_mm / 2)
        seen.SetFocalPoint(*camera.look_at)
        seen.SetPosition(*camera.position)
        seen.SetViewUp(*camera.up)
        self._renderer.ResetCameraClippingRange()
        light = -axes.ahead + 0.45 * axes.up - 0.35 * axes.right  # as our composites are lit
        self._light.SetFocalPoint(*camera.look_at)
        self._light.SetPosition(*(np.array(camera.look_at) + 1000 * light))
        self._window.SetSize(*size)
        self._window.Render()
        pixels = vtk.vtkUnsignedCharArray()
        self._window.GetPixelData(0, 0, size[0] - 1, size[1] - 1, 0, pixels, 0)
        return vtk_to_numpy(pixels).reshape(size[1], size[0], 3)[::-1].copy()

    @on_its_thread
    def close(self) -> None:
        """To be called: VTK's objects must end on its thread, or they take our context away."""
        self._window.Finalize()
        self.__dict__.clear()
