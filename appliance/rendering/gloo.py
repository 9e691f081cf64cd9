"""glumpy.gloo as this house uses it: the one place that knows its defects.

What is mended here, and why (glumpy 1.2.1 on NumPy 2 and core-profile OpenGL):

- its package imports ``triangle``, needed only for polygons and under a restrictive licence: an empty module stands in;
- importing it adds a handler to the logger "glumpy", which would print beside our own log: removed;
- it sets ``ndarray.shape`` in every texture, which newer NumPy deprecates: that one warning is filtered;
- uniforms given as numbers, tuples or lists raise on NumPy 2: ``Program`` makes them arrays;
- textures keep a copy in memory, upload all of it for any change, upload the wrong rows for a part, and default to 8 bits a
  channel: ``Texture`` and ``VolumeTexture`` hold no copy, have a sized format and upload what they are told to;
- a core profile draws nothing without a vertex array, and rows of odd width need an alignment of 1: ``prepare``;
- frame buffers cannot be resized: there is one for each size (``Canvases``).

All of it belongs to the thread whose context is current.
"""

from __future__ import annotations

import logging
import sys
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from appliance.rendering import context  # noqa: F401  # names the OpenGL platform before anything imports OpenGL

sys.modules.setdefault("triangle", types.ModuleType("triangle"))
warnings.filterwarnings("ignore", message="Setting the shape on a NumPy array", category=DeprecationWarning)
warnings.filterwarnings("ignore", message="invalid escape sequence", category=SyntaxWarning)
warnings.filterwarnings("ignore", message="invalid escape sequence", category=DeprecationWarning)

from glumpy import gl  # noqa: E402
from glumpy.gloo import FrameBuffer, GLObject, Snippet  # noqa: E402
from glumpy.gloo import Program as _Program  # noqa: E402
from glumpy.gloo.framebuffer import ColorBuffer  # noqa: E402
from glumpy.gloo.texture import Texture as _Texture  # noqa: E402
from glumpy.gloo.texture import Texture2D as _Texture2D  # noqa: E402
from glumpy.gloo.texture import Texture3D as _Texture3D  # noqa: E402

logging.getLogger("glumpy").handlers.clear()

__all__ = ["Canvases", "Program", "Texture", "VolumeTexture", "gl", "prepare", "shader"]

_GLSL_VERSION = "430"
_MOST_CANVASES = 16
_STRIP_PIXELS = 128 * 1024
"""Of a long drawing between two looks at whether it is still wanted."""
_CHANNELS = {1: gl.GL_RED, 2: gl.GL_RG, 3: gl.GL_RGB, 4: gl.GL_RGBA}


def prepare() -> None:
    """The current context can draw: one vertex array for its life, and rows that are not padded."""
    gl.glBindVertexArray(gl.glGenVertexArrays(1))
    gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
    gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)


def shader(*names: str) -> str:
    """The text of shaders of this package, one after another."""
    folder = resources.files("appliance.rendering") / "shaders"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


class Program(_Program):  # type: ignore[misc]
    """A program that draws one rectangle over the whole of what it is drawn into."""

    def __init__(self, fragment: str) -> None:
        super().__init__(shader("rectangle.glsl"), fragment, count=4, version=_GLSL_VERSION)
        self["corner"] = [(-1, -1), (-1, 1), (1, -1), (1, 1)]

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(value, GLObject | Snippet | str):
            value = np.atleast_1d(np.asarray(value))
        super().__setitem__(name, value)

    def paint(self, uniforms: Mapping[str, Any]) -> None:
        """The rectangle is drawn with these uniforms; those that are not named stay as they are."""
        for name, value in uniforms.items():
            self[name] = value
        self.draw(gl.GL_TRIANGLE_STRIP)


class _UncopiedTexture(_Texture):  # type: ignore[misc]
    """What the two textures below share: storage of a fixed, sized format, and no copy in memory."""

    _handle: int

    def _update(self) -> None:
        self._pending_data = None
        self._need_update = False

    def free(self) -> None:
        """The card's memory is given back; the texture must not be used again."""
        if self._handle > 0:
            gl.glDeleteTextures(1, np.array([self._handle], np.uint32))
            self._handle = -1

    @property
    def size_bytes(self) -> int:
        """What it holds on the card, about."""
        return int(np.prod(self.shape)) * int(self.itemsize)


class Texture(_UncopiedTexture, _Texture2D):  # type: ignore[misc]
    """A picture on the card. Make it by ``of_shape``."""

    @classmethod
    def of_shape(cls, shape: tuple[int, int, int], dtype: Any, gpu_format: int, *, is_smooth: bool = False) -> Texture:
        """An empty texture of (rows, columns, channels)."""
        texture: Any = np.broadcast_to(np.zeros((), dtype), shape).view(cls)
        texture._gpu_format = gpu_format
        texture._interpolation = (gl.GL_LINEAR,) * 2 if is_smooth else (gl.GL_NEAREST,) * 2
        return cast(Texture, texture)

    def _setup(self) -> None:
        _Texture._setup(self)
        gl.glTexStorage2D(self.target, 1, self._gpu_format, self.shape[1], self.shape[0])

    def upload(self, values: NDArray[Any]) -> None:
        """All of it becomes ``values``, (rows, columns[, channels])."""
        self.activate()
        rows, columns, channels = self.shape
        pixels = np.ascontiguousarray(values, self.dtype)
        gl.glTexSubImage2D(self.target, 0, 0, 0, columns, rows, _CHANNELS[channels], self.gtype, pixels)


class VolumeTexture(_UncopiedTexture, _Texture3D):  # type: ignore[misc]
    """A volume on the card, filled slice by slice. Make it by ``of_shape``."""

    @classmethod
    def of_shape(
        cls, shape: tuple[int, int, int, int], dtype: Any, gpu_format: int, *, is_smooth: bool = True
    ) -> VolumeTexture:
        """A texture of (slices, rows, columns, channels), whose content is not defined before it is uploaded."""
        texture: Any = np.broadcast_to(np.zeros((), dtype), shape).view(cls)
        texture._gpu_format = gpu_format
        texture._interpolation = (gl.GL_LINEAR,) * 2 if is_smooth else (gl.GL_NEAREST,) * 2
        return cast(VolumeTexture, texture)

    def _setup(self) -> None:
        _Texture._setup(self)
        slices, rows, columns, _ = self.shape
        gl.glTexStorage3D(self.target, 1, self._gpu_format, columns, rows, slices)

    def upload(self, first: int, values: NDArray[Any]) -> None:
        """The slices from ``first`` on become ``values``, (slices, rows, columns[, channels])."""
        self.activate()
        _, rows, columns, channels = self.shape
        pixels = np.ascontiguousarray(values, self.dtype)
        gl.glTexSubImage3D(
            self.target, 0, 0, 0, first, columns, rows, len(values), _CHANNELS[channels], self.gtype, pixels
        )

    def clear(self, value: float) -> None:
        """Every channel of every texel becomes ``value``, in the range of the format (0…1 for unsigned ones)."""
        self.activate()
        texel = np.full(4, value, np.float32)
        gl.glClearTexImage(self.handle, 0, gl.GL_RGBA, gl.GL_FLOAT, texel)


class Canvases:
    """Frame buffers to draw into, one for each size and kind, the least recently used given back."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int, int], FrameBuffer] = OrderedDict()

    def painted(
        self,
        program: Program,
        size: tuple[int, int],
        uniforms: Mapping[str, Any],
        *,
        is_colour: bool,
        keep_going: Callable[[], bool] | None = None,
        over: tuple[Program, Mapping[str, Any]] | None = None,
    ) -> NDArray[np.uint8] | None:
        """What ``program`` paints at ``size`` (width, height): (rows, columns), or (rows, columns, 3) in colour.

        ``over``, a program and its uniforms, is painted after it, over what it does not discard.

        The first row that is read is the first that is painted: shaders take y downwards, as pictures do.

        With ``keep_going`` it is painted in strips, since a draw cannot be interrupted: after each, ``keep_going`` may use the
        context for something else, and None comes back as soon as it says no.
        """
        width, height = size
        frame_buffer = self._frame_buffer(width, height, gl.GL_RGBA8 if is_colour else gl.GL_R8)
        strip = height if keep_going is None else max(1, _STRIP_PIXELS // width)
        for top in range(0, height, strip):
            if top and keep_going is not None and not keep_going():
                return None
            frame_buffer.activate()
            gl.glViewport(0, 0, width, height)
            gl.glEnable(gl.GL_SCISSOR_TEST)
            gl.glScissor(0, top, width, strip)
            program.paint(uniforms)
            if over is not None:
                over[0].paint(over[1])
            gl.glDisable(gl.GL_SCISSOR_TEST)
            if strip < height:
                gl.glFinish()
            frame_buffer.deactivate()
        pixels = np.empty((height, width, 3) if is_colour else (height, width), np.uint8)
        frame_buffer.activate()
        gl.glReadPixels(0, 0, width, height, gl.GL_RGB if is_colour else gl.GL_RED, gl.GL_UNSIGNED_BYTE, array=pixels)
        frame_buffer.deactivate()
        return pixels

    def _frame_buffer(self, width: int, height: int, kind: int) -> FrameBuffer:
        key = (width, height, kind)
        if key not in self._kept:
            if len(self._kept) >= _MOST_CANVASES:
                _, oldest = self._kept.popitem(last=False)
                gl.glDeleteRenderbuffers(1, np.array([oldest.color[0].handle], np.uint32))
                gl.glDeleteFramebuffers(1, np.array([oldest.handle], np.uint32))
            self._kept[key] = FrameBuffer(color=[ColorBuffer(width, height, kind)])
        self._kept.move_to_end(key)
        return self._kept[key]
