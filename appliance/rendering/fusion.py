"""Two pictures of one place laid over one another: one grey, the other in the colours of hot metal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.rendering.slices import Pixels


def _hot_metal() -> NDArray[np.float32]:
    """(256, 3): from black over red, orange and yellow to white, 0…255."""
    part = np.linspace(0, 3, 256, dtype=np.float32)[:, None] - np.arange(3, dtype=np.float32)
    return (np.clip(part, 0, 1) * 255).astype(np.float32)


HOT_METAL = _hot_metal()


def fused(below: Pixels, above: Pixels, opacity: float) -> Pixels:
    """(rows, columns, 3) of two grey pictures (rows, columns).

    ``above`` covers by its own grey, white as much as ``opacity`` says: where it has nothing, ``below`` is as it was.
    """
    share = (above.astype(np.float32) * (opacity / 255))[..., None]
    mixed = below.astype(np.float32)[..., None] * (1 - share) + HOT_METAL[above] * share
    return np.asarray(np.rint(mixed), np.uint8)
