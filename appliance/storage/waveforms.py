"""Waveforms, read into ``domain.waveforms`` (PS3.3 C.10.9)."""

from __future__ import annotations

import math
import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from appliance.domain.errors import NotDrawable
from appliance.domain.waveforms import Channel, WaveformGroup
from appliance.storage.attributes import UNREADABLE, bytes_of, integer_of, items_of, number_of, text_of, value_of
from appliance.storage.parsing import Header
from appliance.storage.transfer_syntaxes import EXPLICIT_BIG_ENDIAN

_SAMPLES = {("SB", 8): "i1", ("UB", 8): "u1", ("SS", 16): "i2", ("US", 16): "u2", ("SL", 32): "i4", ("UL", 32): "u4"}
"""Waveform Sample Interpretation and Waveform Bits Allocated of what is measured (C.10.9.1.5); the others are of sound."""
_MOST_CHANNELS = 512
_LEAD = re.compile(r"(?i)^lead\s+|\s*\([^)]*\)$")
_PADDING = Tag(0x5400, 0x100A)


def waveforms_of(header: Header) -> tuple[WaveformGroup, ...]:
    """The groups of an object, in its order. Raises NotDrawable with the reason where there are none that can be drawn."""
    items = items_of(header.ds, "WaveformSequence")
    if not items:
        raise NotDrawable("The object has no waveforms.", key="no-waveform")
    order: Literal["<", ">"] = ">" if header.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else "<"
    return tuple(_group(item, order) for item in items)


def _group(item: Dataset, order: Literal["<", ">"]) -> WaveformGroup:
    samples = _samples(item, order)
    definitions = items_of(item, "ChannelDefinitionSequence")
    count = samples.shape[1]
    if len(definitions) != count:
        raise _wrong("ChannelDefinitionSequence", f"{len(definitions)} of {count} channels")
    frequency = number_of(item, "SamplingFrequency")
    if frequency is None or frequency <= 0:
        raise _wrong("SamplingFrequency", "missing")
    values = samples.astype(np.float64)
    for number, one in enumerate(definitions):
        values[:, number] = values[:, number] * _scale(one) + (number_of(one, "ChannelBaseline") or 0.0)
    padding = _padding(item, samples.dtype)
    if padding is not None:
        values[samples == padding] = math.nan
    return WaveformGroup(
        text_of(item, "MultiplexGroupLabel"),
        text_of(item, "WaveformOriginality").upper() == "DERIVED",
        frequency,
        tuple(_channel(one) for one in definitions),
        values,
    )


def _samples(item: Dataset, order: Literal["<", ">"]) -> NDArray[np.integer]:
    """(samples, channels), as stored: channels of one moment lie side by side (C.10.9.1.6)."""
    kind = (text_of(item, "WaveformSampleInterpretation").upper(), integer_of(item, "WaveformBitsAllocated") or 0)
    if kind not in _SAMPLES:
        raise NotDrawable(f"Samples of {kind[1]} bits, {kind[0] or 'of no kind'}, are not drawn.", key="no-waveform")
    channels, count = integer_of(item, "NumberOfWaveformChannels"), integer_of(item, "NumberOfWaveformSamples")
    if not channels or not count or not 0 < channels <= _MOST_CHANNELS or count < 0:
        raise _wrong("NumberOfWaveformSamples", f"{count} of {channels} channels")
    dtype = np.dtype(_SAMPLES[kind])
    data = bytes_of(item, "WaveformData")
    if len(data) < channels * count * dtype.itemsize:
        raise _wrong("WaveformData", f"{len(data)} bytes, expected {channels * count * dtype.itemsize}")
    # Words of eight bits are words all the same: they are swapped in pairs where the object is big endian.
    if order == ">" and dtype.itemsize == 1:
        data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    stored = np.frombuffer(data, dtype.newbyteorder(order), channels * count)
    return stored.astype(dtype).reshape(count, channels)


def _scale(definition: Dataset) -> float:
    """Units for one step of the samples (C.10.9.1.4.2); without a sensitivity the steps themselves are the values."""
    sensitivity = number_of(definition, "ChannelSensitivity")
    correction = number_of(definition, "ChannelSensitivityCorrectionFactor")
    return (1.0 if sensitivity is None else sensitivity) * (1.0 if correction is None else correction)


def _channel(definition: Dataset) -> Channel:
    source = next((text_of(one, "CodeMeaning") for one in items_of(definition, "ChannelSourceSequence")), "")
    unit = next((text_of(one, "CodeValue") for one in items_of(definition, "ChannelSensitivityUnitsSequence")), "")
    return Channel(_LEAD.sub("", text_of(definition, "ChannelLabel") or source), unit)


def _padding(item: Dataset, dtype: np.dtype[np.integer]) -> int | None:
    """The sample that stands for none; its representation is that of the samples (OB or OW)."""
    try:
        raw = item[_PADDING].value if _PADDING in item else value_of(item, "WaveformPaddingValue")
    except UNREADABLE:
        return None
    if isinstance(raw, bytes):
        return int(np.frombuffer(raw[: dtype.itemsize], dtype)[0]) if len(raw) >= dtype.itemsize else None
    return int(raw) if isinstance(raw, int) else None


def _wrong(keyword: str, found: str) -> NotDrawable:
    return NotDrawable(f"{keyword} is {found}", key="no-waveform", attribute=keyword)
