"""A current OpenGL context without a window, by EGL: a graphics card if there is one, else Mesa's software rasteriser.

glumpy has no headless back end; its ``gloo`` needs nothing but a context that is current on the calling thread. EGL gives one
without a display server and without a surface: first on each EGL device, hardware before software, then on the surfaceless
platform. A context belongs to the thread that opened it. A card may lose it (reset, driver); a driver that tells is asked to.

References: EGL 1.5 (§3.7.1.1, reset notification); OpenGL 4.5 §2.3.2 (graphics reset recovery); EGL_EXT_device_enumeration;
EGL_EXT_platform_device; EGL_MESA_platform_surfaceless; EGL_KHR_no_config_context; EGL_KHR_surfaceless_context.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from appliance.domain.errors import Unavailable

# PyOpenGL chooses its platform at the first import of OpenGL, whoever does it.
os.environ["PYOPENGL_PLATFORM"] = "egl"

log = logging.getLogger(__name__)

_EGL_OPENGL_API = 0x30A2
_EGL_EXTENSIONS = 0x3055
_EGL_NONE = 0x3038
_EGL_CONTEXT_MAJOR_VERSION = 0x3098
_EGL_CONTEXT_MINOR_VERSION = 0x30FB
_EGL_CONTEXT_OPENGL_PROFILE_MASK = 0x30FD
_EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT = 0x1
_EGL_CONTEXT_OPENGL_RESET_NOTIFICATION_STRATEGY = 0x31BD
_EGL_LOSE_CONTEXT_ON_RESET = 0x31BF
_EGL_PLATFORM_DEVICE = 0x313F
_EGL_PLATFORM_SURFACELESS = 0x31DD
_GL_VERSIONS = ((4, 5), (4, 4))
"""4.4 is the least: ``glTexStorage3D`` and ``glClearTexImage``."""
_MOST_DEVICES = 32
_SOFTWARE_RENDERERS = ("llvmpipe", "softpipe", "swrast", "swiftshader")
_SOFTWARE_TEXTURE_BYTES = 2 * 1024**3 - 1
"""Mesa's software rasteriser refuses a texture of more than 2 GiB."""


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """What draws, and how large a thing it can hold."""

    vendor: str
    renderer: str
    version: str
    is_software: bool
    way: str
    """Through which EGL platform it was reached."""
    largest_texture_side: int
    largest_volume_side: int
    largest_texture_bytes: int
    tells_resets: bool = False
    """Whether the driver tells when the card was reset."""


class Context:
    """An OpenGL context that is current on the thread that made this object."""

    def __init__(self, egl: ctypes.CDLL, display: int, handle: int, info: ContextInfo) -> None:
        self._egl = egl
        self._display = display
        self._handle = handle
        self.info = info

    def is_lost(self) -> bool:
        """Whether what was drawn since it was opened cannot be relied upon: it is not current any more, or was reset."""
        from OpenGL import GL as gl  # noqa: N811

        if self._egl.eglGetCurrentContext() != self._handle:
            return True
        return bool(gl.glGetGraphicsResetStatus()) if self.info.tells_resets else False

    def close(self) -> None:
        """Nothing is current any more, and what was on the card is gone."""
        self._egl.eglMakeCurrent(self._display, None, None, None)
        self._egl.eglDestroyContext(self._display, self._handle)


def open_context(*, software_only: bool = False) -> Context:
    """The best context of this machine, current on the calling thread; ``software_only`` leaves a graphics card alone.

    Raises Unavailable when there is no EGL, or none of its devices gives OpenGL 4.4.
    """
    egl = _library()
    tried: list[str] = []
    for way, display in _displays(egl):
        handle = _context_on(egl, display)
        if handle is None:
            tried.append(way)
            continue
        info = _info(way)
        opened = Context(egl, display, handle, info)
        if software_only and not info.is_software:
            opened.close()
            tried.append(way)
            continue
        log.info("drawing with %s (%s) through EGL %s", info.renderer, info.version, way)
        return opened
    raise Unavailable("No OpenGL 4.4 was found through EGL", key="no-opengl", tried=", ".join(tried))


def _library() -> ctypes.CDLL:
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError as error:
        raise Unavailable("libEGL.so.1 is not installed", key="no-opengl") from error
    pointer = ctypes.c_void_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "eglGetProcAddress": (pointer, [ctypes.c_char_p]),
        "eglInitialize": (ctypes.c_uint, [pointer, pointer, pointer]),
        "eglBindAPI": (ctypes.c_uint, [ctypes.c_uint]),
        "eglCreateContext": (pointer, [pointer, pointer, pointer, ctypes.POINTER(ctypes.c_int)]),
        "eglMakeCurrent": (ctypes.c_uint, [pointer, pointer, pointer, pointer]),
        "eglDestroyContext": (ctypes.c_uint, [pointer, pointer]),
        "eglGetCurrentContext": (pointer, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(egl, name)
        function.restype, function.argtypes = result, arguments
    return egl


def _extension(egl: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any] | None:
    # Asked by entry and not by extension string: some drivers have the one without the other.
    address = egl.eglGetProcAddress(name.encode())
    return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None


def _displays(egl: ctypes.CDLL) -> Iterator[tuple[str, int]]:
    """Displays that could be initialised, the likeliest hardware first."""
    pointer = ctypes.c_void_p
    get_display = _extension(egl, "eglGetPlatformDisplayEXT", pointer, ctypes.c_uint, pointer, pointer)
    if get_display is None:
        return
    devices = _devices(egl)
    for number, (device, is_software) in enumerate(sorted(devices, key=lambda found: found[1])):
        display = get_display(_EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(display, None, None):
            yield f"device {number} ({'software' if is_software else 'hardware'})", display
    display = get_display(_EGL_PLATFORM_SURFACELESS, None, None)
    if display and egl.eglInitialize(display, None, None):
        yield "surfaceless", display


def _devices(egl: ctypes.CDLL) -> list[tuple[int, bool]]:
    """EGL devices, and whether each says that it is software."""
    pointer = ctypes.c_void_p
    query = _extension(
        egl, "eglQueryDevicesEXT", ctypes.c_uint, ctypes.c_int, ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_int)
    )
    if query is None:
        return []
    found, count = (pointer * _MOST_DEVICES)(), ctypes.c_int()
    if not query(_MOST_DEVICES, found, ctypes.byref(count)):
        return []
    query_string = _extension(egl, "eglQueryDeviceStringEXT", ctypes.c_char_p, pointer, ctypes.c_int)

    def is_software(device: int) -> bool:
        extensions = query_string(device, _EGL_EXTENSIONS) if query_string else None
        return b"EGL_MESA_device_software" in (extensions or b"")

    return [(device, is_software(device)) for device in found[: count.value] if device]


def _context_on(egl: ctypes.CDLL, display: int) -> int | None:
    """A core-profile context, current without a surface; None where the display has none."""
    if not egl.eglBindAPI(_EGL_OPENGL_API):
        return None
    told = (_EGL_CONTEXT_OPENGL_RESET_NOTIFICATION_STRATEGY, _EGL_LOSE_CONTEXT_ON_RESET)
    for (major, minor), notified in itertools.product(_GL_VERSIONS, (told, ())):
        wanted = (
            *notified,
            *(_EGL_CONTEXT_MAJOR_VERSION, major),
            *(_EGL_CONTEXT_MINOR_VERSION, minor),
            *(_EGL_CONTEXT_OPENGL_PROFILE_MASK, _EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT),
            _EGL_NONE,
        )
        handle = egl.eglCreateContext(display, None, None, (ctypes.c_int * len(wanted))(*wanted))
        if not handle:
            continue
        if egl.eglMakeCurrent(display, None, None, handle):
            return int(handle)
        egl.eglDestroyContext(display, handle)
    return None


def _info(way: str) -> ContextInfo:
    from OpenGL import GL as gl  # noqa: N811  # only now is there a context to ask

    def text(name: int) -> str:
        return str(gl.glGetString(name).decode("utf-8", "replace"))

    renderer = text(gl.GL_RENDERER)
    is_software = any(name in renderer.lower() for name in _SOFTWARE_RENDERERS)
    return ContextInfo(
        vendor=text(gl.GL_VENDOR),
        renderer=renderer,
        version=text(gl.GL_VERSION),
        is_software=is_software,
        way=way,
        largest_texture_side=int(gl.glGetIntegerv(gl.GL_MAX_TEXTURE_SIZE)),
        largest_volume_side=int(gl.glGetIntegerv(gl.GL_MAX_3D_TEXTURE_SIZE)),
        largest_texture_bytes=_SOFTWARE_TEXTURE_BYTES if is_software else 1 << 62,
        tells_resets=bool(gl.glGetGraphicsResetStatus)
        and int(gl.glGetIntegerv(gl.GL_RESET_NOTIFICATION_STRATEGY)) == gl.GL_LOSE_CONTEXT_ON_RESET,
    )
