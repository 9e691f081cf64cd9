"""Preambles: what is recorded, and which are zeroed on the way out."""

import pytest

from appliance.domain.preamble import is_dangerous, preamble_of


def file_with(preamble: bytes) -> bytes:
    return preamble.ljust(128, b"\0") + b"DICM"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"MZ\x90\x00", "windows-executable"),
        (b"\x7fELF\x02", "elf"),
        (b"\xcf\xfa\xed\xfe", "mach-o"),
        (b"#!/bin/sh\n", "script"),
        (b"PK\x03\x04", "zip"),
        (b"%PDF-1.7", "pdf"),
        (b"<script>", "markup"),
    ],
)
def test_the_header_of_another_format_is_known_and_dangerous(start, kind):
    assert preamble_of(file_with(start)) == kind
    assert is_dangerous(kind)


@pytest.mark.parametrize("start", [b"II*\x00\x08", b"MM\x00*", b"GEMS\x01"])
def test_a_tiff_header_or_an_unknown_one_is_recorded_and_stays(start):
    kind = preamble_of(file_with(start))

    assert kind in ("tiff", "other")
    assert not is_dangerous(kind)


def test_zeros_and_no_preamble_are_nothing():
    assert preamble_of(file_with(b"")) == ""
    assert preamble_of(b"MZ without a prefix".ljust(200, b"x")) == ""
    assert preamble_of(b"MZ") == ""
    assert not is_dangerous("")
