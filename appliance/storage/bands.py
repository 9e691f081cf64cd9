"""Some rows of a native frame, as an image of their own: what a region needs, where the frame is too large to be read for it."""

from __future__ import annotations

from dataclasses import replace

from appliance.domain.image import ImageDescription, PixelFormat
from appliance.storage.transfer_syntaxes import DEFLATED_EXPLICIT_LITTLE_ENDIAN, is_native

_SUBSAMPLED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})


def can_be_parted(image: ImageDescription, frame_index: int) -> bool:
    """Whether the rows of the frame lie in the object one after the other, each in whole bytes."""
    form, fragments = image.pixel_format, image.frames[frame_index].fragments
    return (
        is_native(image.transfer_syntax_uid)
        and image.transfer_syntax_uid != DEFLATED_EXPLICIT_LITTLE_ENDIAN
        and form.bits_allocated % 8 == 0
        and (form.samples_per_pixel == 1 or form.planar_configuration == 0)
        and len(fragments) == 1
        and fragments[0][1] == form.rows * row_bytes(form)
    )


def band_of(image: ImageDescription, frame_index: int, first: int, end: int) -> ImageDescription:
    """The rows from ``first`` up to ``end`` of a frame that ``can_be_parted``, as the only frame of an image.

    Nothing lies over it, and positions in it count from its own first row.
    """
    form, frame = image.pixel_format, image.frames[frame_index]
    ((offset, _),) = frame.fragments
    place = (offset + first * row_bytes(form), (end - first) * row_bytes(form))
    return replace(
        image,
        pixel_format=replace(form, rows=end - first),
        frames=(replace(frame, fragments=(place,), overlays=(), shutter=None),),
    )


def row_bytes(form: PixelFormat) -> int:
    """Of a native frame that is not planar."""
    # Two luminances share their chrominances (PS3.3 C.7.6.3.1.2).
    samples = 2 if form.photometric_interpretation in _SUBSAMPLED else form.samples_per_pixel
    return form.columns * samples * form.bits_allocated // 8
