"""The defects of glumpy.gloo that ``rendering.gloo`` mends, one by one: they guard an upgrade."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from appliance.rendering.context import Context
from appliance.rendering.gloo import Canvases, Program, Texture, VolumeTexture, gl

pytestmark = pytest.mark.usefixtures("context")

SHOW_UNIFORM = """
uniform float value;
uniform vec3 colour;
in vec2 place;
out vec4 painted;
void main() { painted = vec4(colour * value, 1.0); }
"""
SHOW_TEXTURE = """
uniform sampler2D picture;
in vec2 place;
out vec4 painted;
void main() { painted = texelFetch(picture, ivec2(floor(place * vec2(textureSize(picture, 0)))), 0); }
"""
SHOW_SLICE = """
uniform sampler3D volume;
uniform int slice;
in vec2 place;
out vec4 painted;
void main() {
    float value = texelFetch(volume, ivec3(floor(place * vec2(textureSize(volume, 0).xy)), slice), 0).r;
    int stored = int(value * 65535.0 + 0.5);
    painted = vec4(float(stored & 255) / 255.0, float(stored >> 8) / 255.0, 0.0, 1.0);
}
"""


def test_the_context_tells_what_draws(context: Context) -> None:
    info = context.info

    assert info.version.startswith("4.")
    assert info.renderer
    assert info.largest_volume_side >= 2048
    assert info.is_software == ("llvmpipe" in info.renderer)


@pytest.mark.parametrize("number", [0.5, np.float64(0.5), np.float32(0.5)])
@pytest.mark.parametrize("triple", [(1, 0.5, 0), [1, 0.5, 0], np.array([1, 0.5, 0])])
def test_uniforms_may_be_numbers_and_sequences(canvases: Canvases, number: object, triple: object) -> None:
    program = Program(SHOW_UNIFORM)

    pixels = canvases.painted(program, (3, 2), {"value": number, "colour": triple}, is_colour=True)

    assert pixels is not None
    assert np.abs(pixels.astype(int) - [128, 64, 0]).max() <= 1


def test_eight_bit_pictures_of_odd_width_come_back_as_they_went_in(canvases: Canvases) -> None:
    values = np.random.default_rng(1).integers(0, 256, (5, 7)).astype(np.uint8)
    texture = Texture.of_shape((5, 7, 1), np.uint8, gl.GL_R8)
    texture.upload(values)

    pixels = canvases.painted(Program(SHOW_TEXTURE), (7, 5), {"picture": texture}, is_colour=False)

    assert np.array_equal(pixels, values)
    texture.free()


def test_one_slice_of_a_volume_is_replaced_and_all_its_bits_arrive(canvases: Canvases) -> None:
    volume = VolumeTexture.of_shape((3, 256, 256, 1), np.uint16, gl.GL_R16)
    volume.clear(0)
    every = np.arange(1 << 16, dtype=np.uint16).reshape(1, 256, 256)
    volume.upload(1, every)
    program = Program(SHOW_SLICE)

    planes = [
        canvases.painted(program, (256, 256), {"volume": volume, "slice": number}, is_colour=True)
        for number in range(3)
    ]

    assert planes[1] is not None
    stored = planes[1][..., 0] + 256 * planes[1][..., 1].astype(int)
    assert np.array_equal(stored, every[0])
    assert not any(plane is None or plane[..., :2].any() for plane in (planes[0], planes[2]))
    volume.free()


def test_a_volume_on_the_card_has_no_copy_in_memory() -> None:
    volume = VolumeTexture.of_shape((512, 512, 512, 1), np.uint16, gl.GL_R16)

    assert volume.strides == (0, 0, 0, 0)
    assert volume.size_bytes == 2 * 512**3


def test_more_sizes_than_are_kept_can_be_drawn() -> None:
    canvases, program = Canvases(), Program(SHOW_UNIFORM)

    for side in range(1, 40):
        pixels = canvases.painted(program, (side, 2), {"value": 1.0, "colour": (1, 1, 1)}, is_colour=False)
        assert pixels is not None
        assert (pixels == 255).all()


def test_glumpy_prints_nothing_and_needs_no_triangle() -> None:
    assert logging.getLogger("glumpy").handlers == []
    assert not hasattr(sys.modules["triangle"], "triangulate")
