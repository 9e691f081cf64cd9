"""What the page is sent, as a fixture that both sides test against: ``tests/wire/stored_values.json``.

    python -m tests.rendering.test_stored_values_on_the_wire

writes it anew, for a change of the encoder that is meant.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from appliance.domain.views import StoredValues
from appliance.rendering.stored_values import encoded_values, remaining_values

WIRE = Path(__file__).resolve().parents[1] / "wire" / "stored_values.json"
ROWS, COLUMNS = 24, 40


def frames() -> dict[str, np.ndarray]:
    """Small frames that go through every part of the code: runs and their ends, all contexts, escapes, each type."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    noise = np.random.default_rng(7).integers(0, 1 << 16, (ROWS, COLUMNS))
    smooth = 1000 + 40 * np.sin(x / 5) * y
    disc = np.where((x - 20) ** 2 + (y - 12) ** 2 < 90, smooth, 0)
    return {
        "smooth": smooth.astype(np.uint16),
        "noise": noise.astype(np.uint16),
        "disc on nothing": disc.astype(np.uint16),
        "flat": np.full((ROWS, COLUMNS), 4095, np.uint16),
        "flat but for one": np.where((x == 39) & (y == 23), 65535, 17).astype(np.uint16),
        "signed": (disc - 1024).astype(np.int16),
        "extremes, signed": np.where(noise & 1, -32768, 32767).astype(np.int16),
        "8 bits": (noise >> 8).astype(np.uint8),
        "8 bits, signed": (noise >> 8).astype(np.uint8).view(np.int8),
        "colours": np.stack([disc / 8, smooth / 8, noise >> 9], -1).astype(np.uint8),
        "colours of 16 bits": np.stack([disc, smooth, noise], -1).astype(np.uint16),
        "32 bits": (noise.astype(np.uint32) << 16 | smooth.astype(np.uint32)),
        "32 bits, signed": (disc * 1000 - 500_000).astype(np.int32),
        "floats": (disc / 7 - 3).astype(np.float32),
        "doubles": np.where(noise & 1, smooth / 7 - 3, np.nan),
        "one value": np.full((1, 1), 9, np.uint16),
    }


def wire() -> list[dict[str, object]]:
    found = []
    for name, values in frames().items():
        found.append(message(name, values, *encoded_values(values), None))
        if values.ndim == 2 and values.itemsize <= 2:
            grey = picture(values)
            found.append(message(f"{name}, beside its picture", values, *remaining_values(values, grey), grey))
    return found


def picture(values: np.ndarray) -> np.ndarray:
    """The middle third of the values in a window, low values white."""
    low, high = np.percentile(values, (33, 67)).astype(float)
    return np.asarray(np.rint((1 - np.clip((values - low) / max(high - low, 1), 0, 1)) * 255), np.uint8)


def message(
    name: str, values: np.ndarray, body: bytes, about: StoredValues, picture: np.ndarray | None
) -> dict[str, object]:
    header = (
        f"rows={values.shape[0]}, columns={values.shape[1]}, samples={about.samples}, type={about.type}, "
        f"bits={8 * values.itemsize}, photometric=MONOCHROME2, inverted=0, "
        f"{'without=picture, ' if about.is_without_picture else ''}sha-256={about.sha256}"
    )
    shown = None if picture is None else base64.b64encode(picture.tobytes()).decode()
    return {"name": name, "header": header, "body": base64.b64encode(body).decode(), "picture": shown}


def test_the_page_is_tested_with_what_the_encoder_makes() -> None:
    assert json.loads(WIRE.read_text(encoding="utf-8")) == wire()


if __name__ == "__main__":
    WIRE.write_text(json.dumps(wire(), indent=1) + "\n", encoding="utf-8")
