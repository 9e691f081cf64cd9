"""Rays through a volume: from a camera in the patient to numbers for the shaders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.views import Camera, Vector
from appliance.rendering.volume_textures import BLOCK, VolumeLayout

_LEAST_GAMMA = 0.1
Vector3 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CameraAxes:
    """The directions of a picture in the patient, unit vectors."""

    right: Vector3
    up: Vector3
    ahead: Vector3
    """From the eye into the picture."""


def camera_axes(camera: Camera) -> CameraAxes:
    """Raises NotDrawable for a camera that looks nowhere or along its own up."""
    ahead = np.subtract(camera.look_at, camera.position).astype(float)
    right = np.cross(ahead, camera.up)
    if np.linalg.norm(ahead) < 1e-6 or np.linalg.norm(right) < 1e-6 * np.linalg.norm(ahead):
        raise NotDrawable("The camera looks along its own up direction, or nowhere.", key="camera-direction")
    if not camera.field_of_view_mm > 0:
        raise NotDrawable("The field of view has no height.", key="camera-field-of-view")
    ahead /= np.linalg.norm(ahead)
    right /= np.linalg.norm(right)
    return CameraAxes(right, np.cross(right, ahead), ahead)


def ray_uniforms(
    camera: Camera,
    size: tuple[int, int],
    layout: VolumeLayout,
    step_mm: float,
    clip: tuple[Vector, Vector] | None = None,
) -> dict[str, Any]:
    """Uniforms of ``rays.glsl`` for a picture of ``size`` (width, height), but for ``steps`` and ``reach``.

    Step 0 lies in the plane of ``look_at``, the middle of the picture.
    """
    axes = camera_axes(camera)
    height_mm = camera.field_of_view_mm
    width_mm = height_mm * size[0] / size[1]
    corner = np.array(camera.look_at) - axes.right * (width_mm / 2) + axes.up * (height_mm / 2)
    to_texture = np.linalg.inv(layout.texture_to_patient)
    turned = to_texture[:3, :3]
    blocks = np.array(layout.shape[::-1]) / BLOCK
    distance_mm = float(np.linalg.norm(np.subtract(camera.look_at, camera.position)))
    seen_mm = (width_mm, height_mm, distance_mm) if camera.is_perspective else (0.0, 0.0, 0.0)
    return {
        "origin": turned @ corner + to_texture[:3, 3],
        "across": turned @ (axes.right * width_mm),
        "down": turned @ (axes.up * -height_mm),
        "parallel": turned @ (axes.ahead * step_mm),
        "viewpoint": turned @ np.array(camera.position) + to_texture[:3, 3],
        "perspective": np.array(seen_mm) / step_mm,
        **_clip_uniforms(layout, clip),
        "blocks_in_volume": blocks,
        "block_side": 1 / blocks,
        "block_texels": np.array(layout.blocks_shape[::-1], float),
    }


def _clip_uniforms(layout: VolumeLayout, clip: tuple[Vector, Vector] | None) -> dict[str, Any]:
    """Texture space to that in which ``clip`` is the box from 0 to 1; the volume's own box where there is none."""
    matrix, corner = np.eye(3), np.zeros(3)
    if clip is not None:
        least, side = np.array(clip[0]), np.subtract(clip[1], clip[0])
        if not (side > 0).all():
            raise NotDrawable("The clip box has no inside.", key="clip-box")
        matrix = layout.texture_to_patient[:3, :3] / side[:, None]
        corner = (layout.texture_to_patient[:3, 3] - least) / side
    return {"clip_x": matrix[0], "clip_y": matrix[1], "clip_z": matrix[2], "clip_corner": corner}


def curve_uniforms(
    points: Sequence[Vector], camera: Camera, size: tuple[int, int], layout: VolumeLayout
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Uniforms of ``curved.glsl``, and the places of its columns: (1, columns, 4).

    Raises NotDrawable for points that make no line and an ``up`` that makes no surface of it.
    """
    line = np.array(points, float).reshape(-1, 3)
    if not np.isfinite(line).all():
        raise NotDrawable("A point of the curve is no place.", key="curve-points")
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    up = np.array(camera.up, float)
    if not lengths[-1] > 0:
        raise NotDrawable("The points of the curve make no line: two different ones are needed.", key="curve-points")
    if not np.linalg.norm(up) > 0 or not (np.linalg.norm(np.cross(np.diff(line, axis=0), up), axis=1) > 1e-9).any():
        raise NotDrawable("The curve runs along the direction in which it is to be moved.", key="curve-direction")
    if not camera.field_of_view_mm > 0:
        raise NotDrawable("The field of view has no height.", key="camera-field-of-view")
    width, height = size
    pixel_mm = camera.field_of_view_mm / height
    at = lengths[-1] / 2 + (np.arange(width) + 0.5 - width / 2) * pixel_mm
    to_texture = np.linalg.inv(layout.texture_to_patient)
    columns = np.zeros((1, width, 4), np.float32)
    places = np.stack([np.interp(at, lengths, line[:, axis]) for axis in range(3)], axis=-1)
    columns[0, :, :3] = places @ to_texture[:3, :3].T + to_texture[:3, 3]
    columns[0, :, 3] = (at >= 0) & (at <= lengths[-1])
    down = to_texture[:3, :3] @ (up / np.linalg.norm(up)) * -camera.field_of_view_mm
    return {"down": down}, columns


def brightening(gamma: float) -> float:
    """The power to which grey and colours are raised. Raises NotDrawable for a gamma that is none."""
    if not _LEAST_GAMMA <= gamma <= 1 / _LEAST_GAMMA:
        raise NotDrawable(f"Gamma lies between {_LEAST_GAMMA} and {1 / _LEAST_GAMMA:g}.", key="gamma")
    return 1 / gamma


def half_reach(layout: VolumeLayout) -> Vector3:
    """The volume's share of the half texture's box along x, y, z."""
    covered = np.array(layout.half_shape) * layout.half_factors
    return (np.array(layout.shape) / covered)[::-1]
