"""Colours through ICC profiles: made here by Little CMS's own primaries, and those of a real file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, LookUpTable, PixelFormat
from appliance.rendering.colours import in_srgb
from appliance.storage.decoding import read_profile
from appliance.storage.parsing import image_of, read_header
from appliance.storage.stream import InMemory

# CIE XYZ of the primaries of sRGB under D50 (IEC 61966-2-1, adapted): red, green, blue.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def profile(primaries: tuple[tuple[float, float, float], ...], gamma: float = 2.2) -> bytes:
    """A matrix profile of version 2 for a monitor (ICC.1:2001-04 §6.3.1.2)."""
    white = (0.9642, 1.0, 0.8249)

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3l", *(round(value * 65536) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">LH", 1, round(gamma * 256)) + b"\0\0"
    text = b"text\0\0\0\0free\0\0\0\0"
    described = b"desc\0\0\0\0" + struct.pack(">L", 5) + b"test\0" + bytes(8 + 2 + 1 + 67 + 2)
    tags = {b"wtpt": xyz(white), b"desc": described, b"cprt": text}
    tags |= {name: xyz(value) for name, value in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        padded = value + b"\0" * (-len(value) % 4)
        table += name + struct.pack(">LL", offset + len(body), len(value))
        body += padded
    head = struct.pack(">L4sL4s4s4s", offset + len(body), b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3l", *(round(value * 65536) for value in white))
    return head.ljust(128, b"\0") + struct.pack(">L", len(tags)) + table + body


def image_of_colours(bits: int = 8, **changes: object) -> ImageDescription:
    form = PixelFormat(2, 3, 3, bits, bits, bits - 1, False, "RGB")
    return ImageDescription(
        InstanceUid("1.2"),
        "1.2",
        "1.2.840.10008.1.2.1",
        "XC",
        form,
        (FrameDescription(((0, 18),)),),
        **changes,  # type: ignore[arg-type]
    )


COLOURS = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 0), (128, 128, 128), (255, 255, 255)]], np.uint8)


def test_the_profile_of_srgb_changes_next_to_nothing() -> None:
    pixels, _ = in_srgb(COLOURS, image_of_colours(), profile(SRGB))

    assert np.abs(pixels.astype(int) - COLOURS).max() <= 3  # its curve is not quite a power of 2.2


def test_a_profile_whose_red_is_green_turns_red_into_green() -> None:
    red, green, blue = SRGB

    pixels, _ = in_srgb(COLOURS, image_of_colours(), profile((green, red, blue)))

    assert np.abs(pixels.astype(int) - COLOURS[..., [1, 0, 2]]).max() <= 3


def test_a_steeper_curve_makes_middle_tones_darker_and_leaves_black_and_white() -> None:
    pixels, _ = in_srgb(COLOURS, image_of_colours(), profile(SRGB, gamma=3.0))

    assert pixels[1, 0].max() <= 1
    assert pixels[1, 2].min() >= 254
    assert np.abs(pixels[1, 1].astype(float) - 255 * (128 / 255) ** (3.0 / 2.2)).max() < 4


def test_palettes_and_wide_colours_become_eight_bits_of_srgb() -> None:
    ramp = LookUpTable(0, 16, (np.arange(256) * 257).astype("<u2").tobytes())
    form = PixelFormat(2, 3, 1, 8, 8, 7, False, "PALETTE COLOR")
    palette = ImageDescription(
        InstanceUid("1.2"),
        "1.2",
        "1.2.840.10008.1.2.1",
        "SM",
        form,
        (FrameDescription(((0, 6),)),),
        palette=(ramp,) * 3,
    )

    of_palette, image = in_srgb(COLOURS[..., 0], palette, profile(SRGB))
    of_words, _ = in_srgb(COLOURS.astype(np.uint16) * 257, image_of_colours(16), profile(SRGB))

    assert np.abs(of_palette.astype(int) - COLOURS[..., :1]).max() <= 3
    assert np.abs(of_words.astype(int) - COLOURS).max() <= 3
    assert image.is_colour and image.palette is None


@pytest.mark.parametrize("broken", [b"no profile" * 20, profile(SRGB)[:200]])
def test_what_is_no_profile_is_left_out(broken: bytes) -> None:
    pixels, _ = in_srgb(COLOURS, image_of_colours(), broken)

    assert np.array_equal(pixels, COLOURS)


def test_the_profile_of_a_real_slide_is_found_in_its_optical_path(dicom_dir: Path) -> None:
    reader = InMemory((dicom_dir / "08-seg-parametric/highdicom-sm_image.dcm").read_bytes())
    image = image_of(read_header(reader), InstanceUid("1.2"), "1.2")

    found = read_profile(image, reader)

    assert found is not None
    assert found[36:40] == b"acsp"
    assert np.abs(in_srgb(COLOURS, image_of_colours(), found)[0].astype(int) - COLOURS).max() <= 60
