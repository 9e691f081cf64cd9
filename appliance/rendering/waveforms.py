"""Waveforms on millimetre paper, as SVG: 25 mm for a second and, of voltages, 10 mm for a millivolt.

A channel is a row; all lie on one time axis. Samples that come closer than the paper shows are drawn as what they span: no
peak is lost, and ten seconds of an ECG are some 35 kB on the line. Units of the drawing are millimetres, so that it prints in
true size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.waveforms import Channel, WaveformGroup

SPEED_MM_S = 25.0
GAIN_MM_MV = 10.0
LONGEST_S = 60.0
"""Of one drawing."""
_MILLIVOLTS = {"V": 1000.0, "mV": 1.0, "uV": 0.001, "µV": 0.001, "nV": 0.000001}
"""Of units by UCUM, and the letter that some writers take."""
_STEP_MM = 0.2
"""What is closer in time is drawn as one upright line."""
_UNIT_MM = 0.05
"""Coordinates of lines are whole numbers of these."""
_MARGIN_MM = 20.0
_HEAD_MM = 10.0
_SQUARE_MM = 5.0
_LEAST_ROW_MM = 15.0
_USUAL_ROW_MM = 40.0
"""As high as a channel of another unit than volts becomes at most."""
_MOST_SAMPLES = 8_000_000
"""Of one drawing, all channels together."""


def drawn(groups: Sequence[WaveformGroup], start_s: float = 0.0) -> bytes:
    """SVG of a minute of each of ``groups`` from ``start_s`` on, one below the other.

    Raises NotDrawable where nothing begins so late, or there is too much.
    """
    shown = [one for one in groups if one.duration_s > start_s]
    if not shown:
        raise NotDrawable(
            f"The waveforms are over after {max(one.duration_s for one in groups):g} s", key="no-waveform"
        )
    if sum(min(one.duration_s, LONGEST_S) * one.frequency_hz * len(one.channels) for one in shown) > _MOST_SAMPLES:
        raise NotDrawable("There are too many samples to be drawn", key="no-waveform")
    strips, top_mm, width_mm = [], 0.0, 0.0
    for group in shown:
        strip, size = _strip(group, start_s, top_mm)
        strips.append(strip)
        top_mm += size[1]
        width_mm = max(width_mm, size[0])
    return _paper(width_mm, top_mm, "".join(strips)).encode()


def scale_mm(channel: Channel, values: NDArray[np.float64]) -> float:
    """Millimetres for a unit of ``channel``; of others than voltages the roundest by which they fit a row."""
    if channel.unit in _MILLIVOLTS:
        return GAIN_MM_MV * _MILLIVOLTS[channel.unit]
    finite = values[np.isfinite(values)]
    span = float(finite.max() - finite.min()) if finite.size else 0.0
    if span <= 0:
        return 1.0
    largest = _USUAL_ROW_MM / span
    decade = 10.0 ** math.floor(math.log10(largest))
    return max(step * decade for step in (1, 2, 5) if step * decade <= largest * (1 + 1e-9))


def _strip(group: WaveformGroup, start_s: float, top_mm: float) -> tuple[str, tuple[float, float]]:
    """A group, and its (width, height) in mm."""
    first = round(start_s * group.frequency_hz)
    values = group.values[first : first + round(LONGEST_S * group.frequency_hz)]
    width = _MARGIN_MM + len(values) / group.frequency_hz * SPEED_MM_S + _SQUARE_MM
    rows, at = [], top_mm + _HEAD_MM
    for channel, column in zip(group.channels, values.T, strict=True):
        scale = scale_mm(channel, column)
        low, high = _extent_mm(column * scale)
        at += high
        rows.append(_row(channel, column * scale, group.frequency_hz, at, scale))
        at -= low
    end_s = start_s + len(values) / group.frequency_hz
    said = f"{start_s:g}\u2013{end_s:g} s / {group.duration_s:g} s"
    title = " \u00b7 ".join(filter(None, (group.label, said, f"{SPEED_MM_S:g} mm/s", _gain(group))))
    text = f'<text class="head" x="2" y="{top_mm + 6:g}">{escape(title)}</text>'
    return text + "".join(rows), (width, at + _SQUARE_MM - top_mm)


def _gain(group: WaveformGroup) -> str:
    return f"{GAIN_MM_MV:g} mm/mV" if any(one.unit in _MILLIVOLTS for one in group.channels) else ""


def _extent_mm(heights: NDArray[np.float64]) -> tuple[float, float]:
    """Whole squares below and above zero that hold a row; below is negative unless all of it is above."""
    finite = heights[np.isfinite(heights)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    low = math.floor(low / _SQUARE_MM) * _SQUARE_MM
    high = max(math.ceil(high / _SQUARE_MM) * _SQUARE_MM, low + _LEAST_ROW_MM)
    return low, high


def _row(channel: Channel, heights_mm: NDArray[np.float64], frequency_hz: float, zero_mm: float, scale: float) -> str:
    name = (
        channel.name
        if channel.unit in _MILLIVOLTS
        else f"{channel.name} ({_SQUARE_MM / scale:g} {channel.unit} / {_SQUARE_MM:g} mm)"
    )
    middle = zero_mm - float(np.nanmean(heights_mm)) if np.isfinite(heights_mm).any() else zero_mm
    place = f"translate({_MARGIN_MM:g} {zero_mm:g}) scale({_UNIT_MM:g})"
    points = path_of(heights_mm, frequency_hz)
    line = f'<path data-channel="{escape(channel.name)}" transform="{place}" d="{points}"/>'
    return f'<text x="2" y="{middle:g}">{escape(name)}</text>{line}\n'


def path_of(heights_mm: NDArray[np.float64], frequency_hz: float) -> str:
    """A line through ``heights_mm``, upwards, in steps of 0.05 mm from time and height 0; y grows downwards."""
    return "".join(_moves(*_points(heights_mm, SPEED_MM_S / frequency_hz)))


def _points(heights_mm: NDArray[np.float64], sample_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y, mm: each sample, or the lowest and the highest of those that fall on one step, in the order in which they came."""
    together = int(_STEP_MM / sample_mm)
    if together <= 2:
        return np.arange(len(heights_mm), dtype=np.float64) * sample_mm, heights_mm
    count = -(-len(heights_mm) // together)
    padded = np.full(count * together, np.nan)
    padded[: len(heights_mm)] = heights_mm
    blocks = padded.reshape(count, together)
    known = np.isfinite(blocks)
    lows = np.where(known, blocks, np.inf).argmin(axis=1)
    highs = np.where(known, blocks, -np.inf).argmax(axis=1)
    places = np.sort(np.stack([lows, highs], axis=1), axis=1)
    rows = np.arange(count)[:, None]
    return ((rows * together + places) * sample_mm).ravel(), blocks[rows, places].ravel()


def _moves(x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> Iterator[str]:
    """Path commands, relative to what is already rounded: errors do not add up. A gap begins a new line."""
    is_there = np.isfinite(y_mm)
    xs = np.round(x_mm / _UNIT_MM).astype(np.int64)
    ys = np.round(np.where(is_there, -y_mm, 0.0) / _UNIT_MM).astype(np.int64)
    is_new = True
    last = (0, 0)
    for there, x, y in zip(is_there.tolist(), xs.tolist(), ys.tolist(), strict=True):
        if not there:
            is_new = True
            continue
        if is_new:
            yield f"M{x} {y}l"
        elif (x, y) != last:
            dx, dy = x - last[0], y - last[1]
            yield f"{dx}{dy}" if dy < 0 else f"{dx} {dy}"
            yield " "
        is_new, last = False, (x, y)


_STYLE = (
    "text{font:4px sans-serif;fill:#1b2226}.head{fill:#5b6a72}"
    "path{fill:none;stroke:#10181c;stroke-width:5;stroke-linejoin:round}"
    ".fine{stroke:#f3c9c4;stroke-width:.1}.square{stroke:#e39b92;stroke-width:.2}"
)


def _paper(width_mm: float, height_mm: float, content: str) -> str:
    width, height = (math.ceil(side / _SQUARE_MM) * int(_SQUARE_MM) for side in (width_mm, height_mm))
    fine = "M1 0V5M2 0V5M3 0V5M4 0V5M0 1H5M0 2H5M0 3H5M0 4H5"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}">\n'
        f'<style>{_STYLE}</style>\n<defs><pattern id="mm" width="5" height="5" patternUnits="userSpaceOnUse">'
        f'<path class="fine" d="{fine}"/><path class="square" d="M0 0V5M0 0H5"/></pattern></defs>\n'
        f'<rect width="100%" height="100%" fill="#fffaf9"/><rect width="100%" height="100%" fill="url(#mm)"/>\n{content}</svg>\n'
    )
