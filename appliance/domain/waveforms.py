"""Waveforms: what electrodes and catheters measured, as values over time (PS3.3 C.10.9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Channel:
    name: str
    unit: str
    """UCUM, like mV or mm[Hg]; empty where the file does not say."""


@dataclass(frozen=True, slots=True)
class WaveformGroup:
    """Channels that were sampled together: one item of the Waveform Sequence."""

    label: str
    is_derived: bool
    frequency_hz: float
    channels: tuple[Channel, ...]
    values: NDArray[np.float64]
    """(samples, channels), in the unit of each channel; NaN where there is none."""

    @property
    def duration_s(self) -> float:
        return len(self.values) / self.frequency_hz
