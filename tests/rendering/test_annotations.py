"""Text in pictures: where it is, that it is read, and that it does no harm."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.domain.annotations import Annotation
from appliance.rendering.annotations import annotated

NAMED = Annotation(patient=("Čuček, Željko", "4711"), technique=("CT  Chest",))


@pytest.mark.parametrize("background", [0, 128, 255])
def test_text_is_white_and_outlined_in_black_on_any_background(background: int) -> None:
    pixels = np.full((512, 512), background, np.uint8)

    out = annotated(pixels, NAMED)

    changed = out[out != background]
    assert (out == 255).any() and (out == 0).any()
    assert 0.002 < changed.size / out.size < 0.05


def test_the_patient_is_above_and_the_technique_below() -> None:
    pixels = np.full((300, 400), 90, np.uint8)

    above = annotated(pixels, Annotation(patient=("A",))) != 90
    below = annotated(pixels, Annotation(technique=("A",))) != 90

    assert above[:60].any() and not above[60:].any()
    assert below[240:].any() and not below[:240].any()


def test_text_grows_with_the_picture() -> None:
    small, large = [(annotated(np.full((side, side), 90, np.uint8), NAMED) != 90) for side in (400, 1600)]

    height = [np.flatnonzero(one[: len(one) // 2].any(1)).size for one in (small, large)]
    assert 3 < height[1] / height[0] < 5


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (40, 20), (512, 16), (20, 3000)])
def test_text_fits_into_any_picture(shape: tuple[int, int]) -> None:
    out = annotated(
        np.zeros(shape, np.uint8), Annotation(("A very long name, with very many given names",) * 5, ("x",) * 9)
    )

    assert out.shape == shape


def test_a_long_line_becomes_smaller_and_is_not_cut() -> None:
    out = annotated(np.zeros((512, 512), np.uint8), Annotation(patient=("W" * 120,)))

    assert not out[:, -4:].any()
    assert out[:, 400:].any()


def test_colours_are_written_into_too() -> None:
    pixels = np.full((800, 900, 3), (200, 30, 30), np.uint8)

    out = annotated(pixels, NAMED)

    assert (out == 255).all(-1).any()
    assert (pixels == (200, 30, 30)).all(), "the frame is shared: it is not written into"


def test_what_looks_like_markup_is_written_as_it_is() -> None:
    pixels = np.zeros((200, 600), np.uint8)

    plain, marked = [
        annotated(pixels, Annotation(patient=(text,))) for text in ("Eva", '<span size="90pt">Eva</span> & <')
    ]

    assert marked.astype(bool).sum() > 3 * plain.astype(bool).sum()


def test_letters_with_and_without_accents_differ() -> None:
    pixels = np.zeros((200, 300), np.uint8)

    assert not np.array_equal(*(annotated(pixels, Annotation(patient=(text,))) for text in ("Cucek", "Čuček")))
