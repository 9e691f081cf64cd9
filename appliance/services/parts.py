"""What of a frame is read for a picture: all of it, or only the rows of the region that is asked for.

A frame that was read is kept, and the next region of it costs nothing; one that is so large that reading it is felt is not read
for a small part of it. Only native frames can be had in part: no decoder here decodes a part of a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from appliance.domain.grayscale import has_own_voi
from appliance.domain.image import ImageDescription, StoredImage
from appliance.domain.masks import has_mask
from appliance.domain.views import SliceView
from appliance.rendering.slices import SlicePlan
from appliance.storage.bands import band_of, can_be_parted, row_bytes

_LARGE_BYTES = 16 * 1024**2
"""Smaller frames are read whole, in milliseconds."""
_MOST_SHARE = 0.5
"""Of the rows: for more than these the frame itself is as good, and is kept."""
_BAND_ROWS = 128
"""Bands begin and end at multiples of it, so that a region that is moved a little is in memory already."""


@dataclass(frozen=True, slots=True)
class Part:
    """A frame, or rows of one, and where the picture is in it."""

    image: StoredImage
    frame_index: int
    plan: SlicePlan


def needed_part(image: StoredImage, frame_index: int, view: SliceView, plan: SlicePlan) -> Part:
    """What has to be read for the picture of ``plan``, which is the same as of the whole frame."""
    whole = Part(image, frame_index, plan)
    if not _is_worth_it(image.description, frame_index, view):
        return whole
    rows, region = image.description.pixel_format.rows, plan.region
    # A pixel more on each side, which interpolation reaches.
    first = max(0, math.floor((region.y - 1) / _BAND_ROWS) * _BAND_ROWS)
    end = min(rows, math.ceil((region.y + region.height + 1) / _BAND_ROWS) * _BAND_ROWS)
    if not 0 < end - first <= rows * _MOST_SHARE:
        return whole
    band = StoredImage(image.key, band_of(image.description, frame_index, first, end))
    return Part(band, 0, replace(plan, region=replace(region, y=region.y - first)))


def _is_worth_it(image: ImageDescription, frame_index: int, view: SliceView) -> bool:
    form = image.pixel_format
    if form.rows * row_bytes(form) < _LARGE_BYTES or not can_be_parted(image, frame_index):
        return False
    # A window that is found from the values is found from all of them; masks and figures lie in the whole frame.
    is_told = image.is_colour or view.window is not None or has_own_voi(image, frame_index)
    has_layers = (view.layers and has_mask(image, frame_index)) or bool(image.graphics)
    return is_told and not has_layers
