"""Walking over data sets: what is too deep or too large is refused before a parser builds anything of it."""

import struct

import pytest

from appliance.domain.errors import TooLarge
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory
from appliance.storage.structure import DataSetLimits, check_structure
from appliance.storage.transfer_syntaxes import EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from tests.services.node_parts import ct_slice, encoded

UNDEFINED = 0xFFFFFFFF
PIXELS = frozenset({0x7FE00010})


def explicit(tag: int, vr: bytes, value: bytes, length: int | None = None, order: str = "<") -> bytes:
    """An element of a representation with a long length (PS3.5 §7.1.2)."""
    length = len(value) if length is None else length
    return struct.pack(f"{order}HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, length) + value


def item(value: bytes, length: int | None = None, order: str = "<") -> bytes:
    return struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(value) if length is None else length) + value


ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def nested(depth: int, *, is_defined: bool) -> bytes:
    """(0008,1140) within (0008,1140), so deep."""
    value = b""
    for _ in range(depth):
        if is_defined:
            value = explicit(0x00081140, b"SQ", item(value))
        else:
            value = explicit(0x00081140, b"SQ", item(value + ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED)
    return value


def check(data: bytes, syntax: str = EXPLICIT_LITTLE_ENDIAN, **limits: int) -> None:
    check_structure(InMemory(data), 0, syntax, DataSetLimits(**limits), PIXELS)


def refusal_of(data: bytes, syntax: str = EXPLICIT_LITTLE_ENDIAN, **limits: int) -> str:
    with pytest.raises(TooLarge) as refusal:
        check(data, syntax, **limits)
    return refusal.value.key


@pytest.mark.parametrize("is_defined", [True, False])
def test_sequences_may_be_as_deep_as_the_limit_and_no_deeper(is_defined):
    check(nested(5, is_defined=is_defined), nesting_depth=5)

    assert refusal_of(nested(6, is_defined=is_defined), nesting_depth=5) == "nested-too-deeply"


def test_a_sequence_beside_another_is_not_deeper():
    check(nested(3, is_defined=True) * 10 + nested(3, is_defined=False) * 10, nesting_depth=3)


def test_elements_and_items_of_all_levels_are_counted():
    data = explicit(0x00081140, b"SQ", item(explicit(0x00080008, b"UC", b"ab")) * 10)

    check(data, element_count=21)

    assert refusal_of(data, element_count=20) == "too-many-elements"


def test_an_implicit_sequence_is_known_by_its_tag_or_by_having_no_length():
    inner = item(b"")
    known = struct.pack("<HHL", 0x0008, 0x1140, len(inner)) + inner
    private = struct.pack("<HHL", 0x0009, 0x1001, UNDEFINED) + inner + SEQUENCE_END

    for data in (known, private):
        check(data, IMPLICIT_LITTLE_ENDIAN, nesting_depth=1, element_count=3)
        assert refusal_of(data, IMPLICIT_LITTLE_ENDIAN, nesting_depth=0) == "nested-too-deeply"


def test_big_endian_is_walked_over():
    data = explicit(0x00081140, b"SQ", item(b"", order=">"), order=">")

    assert refusal_of(data, EXPLICIT_BIG_ENDIAN, nesting_depth=0) == "nested-too-deeply"


def test_an_unknown_representation_without_a_length_is_a_sequence_in_implicit_little_endian():
    inner = item(struct.pack("<HHL", 0x0008, 0x0008, 2) + b"ab" + ITEM_END, UNDEFINED)
    data = explicit(0x00091001, b"UN", inner + SEQUENCE_END, UNDEFINED) + nested(2, is_defined=True)

    assert refusal_of(data, nesting_depth=1) == "nested-too-deeply"


def test_an_icon_that_is_encapsulated_does_not_end_the_walk():
    icon = explicit(0x7FE00010, b"OB", item(b"\xff" * 6) + item(b"\xff" * 4) + SEQUENCE_END, UNDEFINED)
    data = explicit(0x00880200, b"SQ", item(icon)) + nested(3, is_defined=True)

    assert refusal_of(data, nesting_depth=2) == "nested-too-deeply"


def test_pixels_end_the_walk():
    check(explicit(0x7FE00010, b"OW", b"") + nested(3, is_defined=True), nesting_depth=0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\x00",
        bytes(100),
        explicit(0x00081140, b"SQ", b"", 1 << 31),
        explicit(0x00080008, b"UT", b"", 0xFFFFFFFE),
        SEQUENCE_END * 5,
        ITEM_END * 5,
        item(b"ab"),
        b"\xff" * 64,
    ],
)
def test_what_makes_no_sense_ends_the_walk_and_is_left_to_the_parser(data):
    check(data)


@pytest.mark.parametrize(
    ("attribute", "value", "key"),
    [("NumberOfFrames", 5, "too-many-frames"), ("Rows", 5, "too-many-pixels"), ("Columns", 7, "too-many-pixels")],
)
def test_frames_and_their_size_have_limits(attribute, value, key):
    limits = DataSetLimits(frame_count=4, frame_pixels=24)
    ds = ct_slice()
    parse(InMemory(encoded(ds)), limits)
    setattr(ds, attribute, value)

    with pytest.raises(TooLarge) as refusal:
        parse(InMemory(encoded(ds)), limits)

    assert refusal.value.key == key
