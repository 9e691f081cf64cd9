"""Stored values of real files come back bit for bit from what is sent of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from appliance.domain.errors import NotDrawable
from appliance.rendering.stored_values import encoded_values, planes, remaining_values
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory

REAL = {
    "CT of 12 bits": ("01-volumes/ct-chest-lidc-0314/080.dcm", "uint16"),
    "CT, signed": ("10-transfer-syntaxes/nema-ct1/CT1_UNC.explicit-le.dcm", "int16"),
    "MR": ("01-volumes/mr-head-sag-decubitus-left/017.dcm", "uint16"),
    "PET": ("01-volumes/pet-qin-headneck-0024/149.dcm", "int16"),
    "CR of 10 bits": ("04-xray/RG3_J2KR.dcm", "uint16"),
    "DX": ("04-xray/DX-C3L-00277.dcm", "uint16"),
    "ultrasound in colour": ("10-transfer-syntaxes/nema-us1/US1_UNC.dcm", "uint8"),
    "8 bits": ("04-xray/RF-KarstenHilbert.dcm", "uint8"),
    "dose of 32 bits": ("07-radiotherapy/rtdose.dcm", "uint32"),
    "map of floats": ("08-seg-parametric/parametric_map_float.dcm", "float32"),
    "map of doubles": ("08-seg-parametric/parametric_map_double_float.dcm", "float64"),
}


def stored_values(path: Path) -> np.ndarray:
    reader = InMemory(path.read_bytes())
    image = parse(reader).image
    assert image is not None
    return np.asarray(decode_frame(image, 0, reader))


def undone(lines: np.ndarray, type_: str, samples: int) -> np.ndarray:
    """The contract of docs/api.md in its own words, not the encoder's."""
    if samples == 3:
        green, red, blue = np.split(lines, 3)
        lines = np.stack([red + green, green, blue + green], -1)
    wanted = np.dtype(type_)
    if wanted.itemsize > 2:
        count = wanted.itemsize // 2
        parts = np.split(lines, count)
        bits = sum(part.astype(np.uint64) << np.uint64(16 * (count - 1 - n)) for n, part in enumerate(parts))
        unsigned = np.asarray(bits).astype(f"u{wanted.itemsize}")
        if wanted.kind == "i":
            unsigned ^= np.array(1 << (8 * wanted.itemsize - 1), unsigned.dtype)
        return unsigned.view(wanted)
    if wanted.kind == "i":
        half = 2 ** (8 * wanted.itemsize - 1)
        return (lines.astype(np.int32) - half).astype(wanted)
    return lines


@pytest.mark.parametrize(("file", "type_"), REAL.values(), ids=REAL)
def test_all_bits_come_back(dicom_dir: Path, file: str, type_: str) -> None:
    stored = stored_values(dicom_dir / file)

    body, about = encoded_values(stored)

    back = undone(np.asarray(imagecodecs.jpegls_decode(body)), about.type, about.samples)
    assert (about.type, back.shape) == (type_, stored.shape)
    assert np.array_equal(back, stored)
    assert about.sha256 == hashlib.sha256(stored.tobytes()).hexdigest()
    assert len(body) < (0.55 if stored.itemsize <= 2 else 0.95) * stored.nbytes


@pytest.mark.parametrize("type_", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_the_extremes_of_each_type_come_back(type_: str) -> None:
    limits = np.iinfo(type_)
    stored = np.array([[limits.min, limits.max, 0], [limits.max, limits.min, 1]], type_)

    body, about = encoded_values(stored)

    assert np.array_equal(undone(np.asarray(imagecodecs.jpegls_decode(body)), type_, 1), stored)
    assert about.type == type_


def test_big_endian_values_have_the_digest_of_little_endian_ones() -> None:
    stored = np.arange(12, dtype=np.uint16).reshape(3, 4)

    assert encoded_values(stored.astype(">u2"))[1].sha256 == encoded_values(stored)[1].sha256


@pytest.mark.parametrize("type_", ["float32", "float64"])
def test_floats_come_back_bit_for_bit_whatever_they_are(type_: str) -> None:
    stored = np.array([[0.0, -0.0, np.inf], [np.nan, np.finfo(type_).tiny, -1.5]], type_)

    body, about = encoded_values(stored)

    assert undone(np.asarray(imagecodecs.jpegls_decode(body)), about.type, 1).tobytes() == stored.tobytes()


@pytest.mark.parametrize(
    "stored", [np.zeros((2, 2, 3), np.uint32), np.zeros((2, 2), np.uint64)], ids=["colours", "64 bits"]
)
def test_what_no_image_has_is_refused(stored: np.ndarray) -> None:
    with pytest.raises(NotDrawable) as caught:
        encoded_values(stored)

    assert caught.value.key == "values-too-wide"


def test_colours_become_planes_of_differences() -> None:
    assert planes(np.array([[[9, 10, 12]]], np.uint8)).tolist() == [[10], [255], [2]]


GREY = {name: REAL[name] for name in ("CT of 12 bits", "CT, signed", "MR", "PET", "CR of 10 bits", "8 bits")}


def greys(stored: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.asarray(np.rint(np.clip((stored.astype(float) - low) / (high - low), 0, 1) * 255), np.uint8)


def given_back(body: bytes, grey: np.ndarray, type_: str) -> np.ndarray:
    """The contract of docs/api.md in its own words: the number of the grey, plus the sample less half the range."""
    size = np.dtype(type_).itemsize
    distances = np.asarray(imagecodecs.jpegls_decode(body[512:])).astype(np.int64) - (1 << (8 * size - 1))
    raised = (np.frombuffer(body, "<u2", 256).astype(np.int64)[grey] + distances) % (1 << (8 * size))
    return undone(raised.astype(f"u{size}"), type_, 1)


@pytest.mark.parametrize(("file", "type_"), GREY.values(), ids=GREY)
@pytest.mark.parametrize(("low", "high"), [(2, 60), (40, 60), (100, 0)], ids=["wide", "narrow", "turned over"])
def test_a_picture_and_what_it_does_not_tell_are_all_bits(
    dicom_dir: Path, file: str, type_: str, low: int, high: int
) -> None:
    stored = stored_values(dicom_dir / file)
    first, last = np.percentile(stored, (low, high))
    grey = greys(stored, first, last + 1e-3)

    body, about = remaining_values(stored, grey)

    assert np.array_equal(given_back(body, grey, type_), stored)
    assert about.is_without_picture and about.sha256 == hashlib.sha256(stored.tobytes()).hexdigest()


def test_what_a_picture_does_not_tell_is_much_less_than_all(dicom_dir: Path) -> None:
    stored = stored_values(dicom_dir / REAL["CT of 12 bits"][0])
    grey = greys(stored, -450 - 1000 + 1000, -450 + 1000 + 1000)  # the window of the file, for lung

    rest, whole = remaining_values(stored, grey)[0], encoded_values(stored)[0]

    assert len(rest) < 0.62 * len(whole)


@pytest.mark.parametrize("type_", ["int8", "uint8", "int16", "uint16"])
def test_extremes_come_back_from_any_picture(type_: str) -> None:
    limits = np.iinfo(type_)
    stored = np.array([[limits.min, limits.max, 0], [limits.max, limits.min, 1]], type_)

    for grey in (np.zeros((2, 3), np.uint8), np.array([[0, 255, 7], [7, 255, 0]], np.uint8)):
        assert np.array_equal(given_back(remaining_values(stored, grey)[0], grey, type_), stored)
