"""By which rules pictures are drawn is known by the program itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.services import drawing_rules


@pytest.mark.parametrize(
    "of",
    ["domain/grayscale.py", "rendering/shaders/slice.glsl", "rendering/transfer_functions.json", "storage/decoding.py"],
)
def test_what_decides_of_a_picture_is_one_of_the_rules(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, read = drawing_rules._rules(), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: read(file) + (b" " if str(file).endswith(of) else b""))

    assert drawing_rules._rules() != before


def test_the_same_program_has_the_same_rules() -> None:
    assert drawing_rules._rules() == drawing_rules.DRAWING_RULES
