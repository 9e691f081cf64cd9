"""From the stored bytes of a frame to its values.

*Stored values* are meant here: before the modality LUT, the palette not applied, but bits that are no pixels removed,
the sign extended and colours turned to RGB, so that whoever draws knows no encoding.

Decoding is done by imagecodecs, which releases the GIL. A stream of hostile bytes says itself how large its picture is;
it is asked before a decoder is let at it, so that nothing is allocated for a picture that is not the one described.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from appliance.domain.errors import NotDrawable
from appliance.domain.image import FrameDescription, ImageDescription, Overlay, PixelFormat
from appliance.storage.stream import Filling, InMemory, Readable, inflated
from appliance.storage.transfer_syntaxes import (
    CODECS,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    Codec,
    reason_without_codec,
)

Pixels = NDArray[np.generic]
Room = Callable[[int], NDArray[np.uint8]]
"""Memory of so many bytes that is nobody else's."""

_LONGEST_INFLATED_BYTES = 512 * 1024 * 1024
_RLE_HEADER = struct.Struct("<16L")

# Markers of a JPEG or JPEG-LS stream (ISO/IEC 10918-1 table B.1, 14495-1 C.1.1) that stand alone, without a length.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
# Start of frame: all but DHT (C4), JPG (C8) and DAC (CC); F7 is that of JPEG-LS.
_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN = 0xDA
_APP0, _APP14 = 0xE0, 0xEE

_CODING_STYLE = b"\xff\x52"
"""The marker COD of a JPEG 2000 codestream."""

_JPEG_XL_START = b"\xff\x0a"
_JPEG_XL_SIZE_BITS = (9, 13, 18, 30)
_JPEG_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))

# PS3.3 C.7.6.3.1.2, YBR_FULL: the inverse of the matrix there, as JFIF has it.
_YBR_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32).T


# YBR_PARTIAL: luminance from 16 to 235, chrominance from 16 to 240.
_PARTIAL_SCALE = np.array([255 / 219, 255 / 224, 255 / 224], np.float32)


def new_room(size_bytes: int) -> NDArray[np.uint8]:
    return np.empty(size_bytes, np.uint8)


def decode_frame(description: ImageDescription, frame_index: int, reader: Readable) -> Pixels:
    """The stored values of a frame, counted from 0: (rows, columns), or (rows, columns, 3) in RGB.

    The type is signed where the pixels are, and as wide as Bits Allocated (1 bit as 8). Raises NotDrawable for an encoding
    without a decoder, and for bytes that are not the frame described.
    """
    if not 0 <= frame_index < len(description.frames):
        raise NotDrawable(f"frame {frame_index + 1} of {len(description.frames)}", key="no-such-frame")
    codec, frame, form = _codec(description), description.frames[frame_index], description.pixel_format
    if description.transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN:
        reader = inflated_object(reader)
    if codec is Codec.VIDEO:
        # Only here: FFmpeg is large, and every helper process that never sees a video would wait for it at its start.
        from appliance.storage.video import decode_video_frame

        return decode_video_frame(form, frame, reader)
    data = _frame_bytes(codec, form, frame, reader)
    return _in_rgb(codec, form, data, _masked(form, _decoded(codec, form, frame, data)))


def read_frame(description: ImageDescription, frame_index: int, reader: Filling, room: Room) -> Pixels:
    """What ``decode_frame`` gives, in memory of ``room``: values that are stored as they are wanted go there at once.

    Raises MemoryError besides.
    """
    if not _is_as_wanted(description) or not 0 <= frame_index < len(description.frames):
        return placed(decode_frame(description, frame_index, reader), room)
    form = description.pixel_format
    data = _filled(description.frames[frame_index], reader, room)
    return placed(_masked(form, _native(form, data, 0, "<")), room, unless_in=data)


def placed(values: Pixels, room: Room, *, unless_in: Pixels | None = None) -> Pixels:
    """The values in memory of ``room``; as they are if that of ``unless_in`` is theirs."""
    if unless_in is not None and np.may_share_memory(values, unless_in):
        return values
    there: Pixels = room(values.nbytes).view(values.dtype).reshape(values.shape)
    there[...] = values
    return there


def _is_as_wanted(description: ImageDescription) -> bool:
    """Whether stored bytes are the values, in the order of the machine, but for bits that are no pixels."""
    form = description.pixel_format
    return (
        CODECS.get(description.transfer_syntax_uid) is Codec.NATIVE
        and description.transfer_syntax_uid != DEFLATED_EXPLICIT_LITTLE_ENDIAN
        and form.bits_allocated >= 8
        and not form.is_swapped
        and (form.samples_per_pixel == 1 or (form.photometric_interpretation, form.planar_configuration) == ("RGB", 0))
    )


def _filled(frame: FrameDescription, reader: Filling, room: Room) -> NDArray[np.uint8]:
    data = room(sum(length for _, length in frame.fragments))
    filled = 0
    for offset, length in frame.fragments:
        filled += reader.read_into(offset, data.data[filled : filled + length])
    if filled != len(data):
        raise _shortened(Codec.NATIVE)
    return data


def decode_overlay(
    description: ImageDescription, frame_index: int, overlay: Overlay, reader: Readable
) -> NDArray[np.bool_]:
    """The bits of an overlay of a frame, (rows, columns) of the overlay. Raises NotDrawable as ``decode_frame`` does.

    References: PS3.3 C.9.2; PS3.5 §8.1.2 (bits in the pixels).
    """
    if overlay.embedded_bit is not None:
        codec, frame = _codec(description), description.frames[frame_index]
        if description.transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN:
            reader = inflated_object(reader)
        form = description.pixel_format
        values = _decoded(codec, form, frame, _frame_bytes(codec, form, frame, reader))
        return np.asarray(values.astype(np.int64) >> overlay.embedded_bit & 1, np.bool_)
    data = overlay.bits
    if overlay.place is not None:
        if description.transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN:
            reader = inflated_object(reader)
        data = reader.read_at(*overlay.place)
        if description.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN:  # Overlay Data is words
            data = np.frombuffer(data[: len(data) // 2 * 2], ">u2").astype("<u2").tobytes()
    count = overlay.rows * overlay.columns
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[overlay.first_bit :][:count]
    if len(bits) < count:
        raise NotDrawable(f"an overlay of {len(bits)} bits, expected {count}", key="overlay-damaged")
    return bits.reshape(overlay.rows, overlay.columns).astype(np.bool_)


def read_profile(description: ImageDescription, reader: Readable) -> bytes | None:
    """The ICC profile of an image's colours, None without one."""
    if description.icc_profile is None:
        return None
    if description.transfer_syntax_uid == DEFLATED_EXPLICIT_LITTLE_ENDIAN:
        reader = inflated_object(reader)
    return reader.read_at(*description.icc_profile)


def _codec(description: ImageDescription) -> Codec:
    if reason := reason_without_codec(description.transfer_syntax_uid):
        raise NotDrawable(reason, key="no-decoder")
    return CODECS[description.transfer_syntax_uid]


def bytes_of_frame(form: PixelFormat, frame: FrameDescription, reader: Readable) -> bytes:
    """The bytes of a frame in their order, as many as ``reader`` has of them."""
    if form.is_swapped:
        return b"".join(_unswapped(reader, offset, length) for offset, length in frame.fragments)
    return b"".join(reader.read_at(offset, length) for offset, length in frame.fragments)


def _unswapped(reader: Readable, offset: int, length: int) -> bytes:
    """Bytes of words whose two bytes are exchanged; a frame of an odd length begins or ends in the middle of one."""
    first, end = offset - offset % 2, offset + length + (offset + length) % 2
    words = np.frombuffer(reader.read_at(first, end - first)[: end - first], np.uint8)
    words = words[: len(words) // 2 * 2].reshape(-1, 2)[:, ::-1]
    return words.tobytes()[offset - first : offset - first + length]


def _frame_bytes(codec: Codec, form: PixelFormat, frame: FrameDescription, reader: Readable) -> bytes:
    data = bytes_of_frame(form, frame, reader)
    if len(data) != sum(length for _, length in frame.fragments):
        raise _shortened(codec)
    return data


def inflated_object(reader: Readable) -> InMemory:
    """A deflated object with its data set inflated, in which the places of its frames count (PS3.5 A.5)."""
    return inflated(reader, _data_set_offset(reader), _LONGEST_INFLATED_BYTES)


def _decoded(codec: Codec, form: PixelFormat, frame: FrameDescription, data: bytes) -> Pixels:
    if codec in (Codec.NATIVE, Codec.NATIVE_BIG_ENDIAN):
        return _native(form, data, frame.first_bit, ">" if codec is Codec.NATIVE_BIG_ENDIAN else "<")
    try:
        values = _DECODERS[codec](form, data)
    except NotDrawable:
        raise
    except Exception as error:  # every codec of imagecodecs has an error class of its own, and ValueError besides
        raise _broken(codec, type(error).__name__) from error
    return _shaped(codec, form, values)


def _shaped(codec: Codec, form: PixelFormat, values: Pixels) -> Pixels:
    expected = (form.rows, form.columns) if form.samples_per_pixel == 1 else (form.rows, form.columns, 3)
    if values.shape != expected:
        raise _broken(
            codec, f"a picture of {'x'.join(map(str, values.shape))}, expected {'x'.join(map(str, expected))}"
        )
    return values


def _native(form: PixelFormat, data: bytes | NDArray[np.uint8], first_bit: int, order: Literal["<", ">"]) -> Pixels:
    rows, columns, samples = form.rows, form.columns, form.samples_per_pixel
    if form.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[first_bit : first_bit + rows * columns].reshape(rows, columns)
    values = np.frombuffer(data, _dtype(form).newbyteorder(order)).astype(_dtype(form), copy=False)
    if samples == 1:
        return values.reshape(rows, columns)
    if form.photometric_interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        return _upsampled(values.reshape(rows, columns // 2, 4))
    if form.planar_configuration == 1:
        return _interleaved(values.reshape(samples, rows, columns))
    return values.reshape(rows, columns, samples)


def _interleaved(planes: Pixels) -> Pixels:
    """(samples, rows, columns) as (rows, columns, samples), in that order in memory too: whoever copies a view of the planes as
    if it were so takes ten times as long."""
    values = np.empty((*planes.shape[1:], len(planes)), planes.dtype)
    for number, plane in enumerate(planes):
        values[..., number] = plane
    return values


def _upsampled(pairs: Pixels) -> Pixels:
    """(rows, pairs, [Y1, Y2, B, R]) as (rows, columns, [Y, B, R]) (PS3.3 C.7.6.3.1.2, YBR_FULL_422)."""
    rows, count, _ = pairs.shape
    whole = np.empty((rows, count, 2, 3), pairs.dtype)
    whole[..., 0] = pairs[..., :2]
    whole[..., 1:] = pairs[..., np.newaxis, 2:]
    return whole.reshape(rows, 2 * count, 3)


def _deflated_frame(form: PixelFormat, data: bytes) -> Pixels:
    bits = form.rows * form.columns * form.samples_per_pixel * form.bits_allocated
    values = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, (bits + 7) // 8)
    return _native(form, values, 0, "<")


def _rle(form: PixelFormat, data: bytes) -> Pixels:
    """Byte planes, the most significant first, samples apart (PS3.5 annex G)."""
    width = max(1, form.bits_allocated // 8)
    count, *offsets = _RLE_HEADER.unpack_from(data)
    if count != form.samples_per_pixel * width:
        raise _broken(Codec.RLE, f"{count} segments, expected {form.samples_per_pixel * width}")
    area = form.rows * form.columns
    if form.bits_allocated == 1:
        area = (area + 7) // 8
    pixels = np.empty((area, form.samples_per_pixel, width), np.uint8)
    for number, (start, end) in enumerate(zip(offsets[:count], [*offsets[1:count], len(data)], strict=True)):
        sample, byte = divmod(number, width)
        pixels[:, sample, width - 1 - byte] = _unpacked(data[start:end], area)
    if form.bits_allocated == 1:
        return _native(form, pixels.tobytes(), 0, "<")
    values = pixels.view(_dtype(form).newbyteorder("<"))[..., 0].astype(_dtype(form), copy=False)
    shape = (
        (form.rows, form.columns) if form.samples_per_pixel == 1 else (form.rows, form.columns, form.samples_per_pixel)
    )
    return values.reshape(shape)


def _unpacked(segment: bytes, length: int) -> Pixels:
    out = bytearray(length + 128)  # a last run may overshoot: pad bytes of the segment read as one
    values = np.frombuffer(imagecodecs.packbits_decode(segment, out=out), np.uint8)
    if len(values) < length:
        raise _broken(Codec.RLE, f"a segment of {len(values)} bytes, expected {length}")
    return values[:length]


def _jpeg(form: PixelFormat, data: bytes) -> Pixels:
    stream = _checked_jpeg(form, data)
    if form.samples_per_pixel == 1:
        return _one_channel(imagecodecs.jpeg8_decode(data))
    space = "YCbCr" if stream.is_ybr(form) else "RGB"
    return _any_array(imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace="RGB"))


def _jpeg_lossless(form: PixelFormat, data: bytes) -> Pixels:
    _checked_jpeg(form, data)
    return _one_channel(imagecodecs.jpegsof3_decode(data))


def _jpeg_ls(form: PixelFormat, data: bytes) -> Pixels:
    _checked_jpeg(form, data)
    return _one_channel(imagecodecs.jpegls_decode(data))


def _jpeg_2000(form: PixelFormat, data: bytes, decode: Callable[[bytes], Pixels]) -> Pixels:
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or start + 24 > len(data):
        raise _broken(Codec.JPEG_2000, "no codestream")
    # SIZ (ISO/IEC 15444-1 A.5.1): width and height of the grid, then the offset of the image in it.
    width, height, x, y = struct.unpack_from(">4L", data, start + 8)
    _check_size(Codec.JPEG_2000, form, height - y, width - x)
    return _one_channel(decode(data))


def _high_throughput_decoder(data: bytes) -> Callable[[bytes], Pixels]:
    """OpenJPH where nothing was lost; else OpenJPEG, which is slower, and clips.

    The first, as imagecodecs calls it, lets values that lossy coding pushed out of their range wrap around: white turns
    black (``HTJ2K_08_RGB.dcm``).
    """
    at = data.find(_CODING_STYLE)
    is_reversible = 0 <= at < len(data) - 13 and data[at + 13] == 1  # COD, ISO/IEC 15444-1 A.6.1: 5-3 filter
    return imagecodecs.htj2k_decode if is_reversible else imagecodecs.jpeg2k_decode


def _jpeg_xl(form: PixelFormat, data: bytes) -> Pixels:
    _check_size(Codec.JPEG_XL, form, *_jpeg_xl_size(data))
    return _one_channel(imagecodecs.jpegxl_decode(data))


def _jpeg_xl_size(data: bytes) -> tuple[int, int]:
    """Rows and columns of a JPEG XL picture (ISO/IEC 18181-1 D.2, SizeHeader): bits, the lowest of each byte first."""
    stream = _jpeg_xl_codestream(data)
    if not stream.startswith(_JPEG_XL_START) or len(stream) < 12:
        raise _broken(Codec.JPEG_XL, "no codestream")
    bits = int.from_bytes(stream[2:12], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    is_small = take(1)
    rows = (take(5) + 1) * 8 if is_small else 1 + take(_JPEG_XL_SIZE_BITS[take(2)])
    ratio = take(3)
    if ratio:
        numerator, denominator = _JPEG_XL_RATIOS[ratio - 1]
        return rows, rows * numerator // denominator
    return rows, (take(5) + 1) * 8 if is_small else 1 + take(_JPEG_XL_SIZE_BITS[take(2)])


def _jpeg_xl_codestream(data: bytes) -> bytes:
    """The beginning of the codestream, out of its container if it is in one (ISO/IEC 18181-2 §9)."""
    if data.startswith(_JPEG_XL_START):
        return data[:12]
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        head = 16 if length == 1 else 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
        if kind in (b"jxlc", b"jxlp"):
            begin = at + head + (4 if kind == b"jxlp" else 0)  # a part of it begins with its number
            return data[begin : begin + 12]
        if length < head:
            break
        at += length
    return b""


def _one_channel(values: Pixels) -> Pixels:
    values = _any_array(values)
    return values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values


def _any_array(values: object) -> Pixels:
    return np.asarray(values)


_DECODERS: dict[Codec, Callable[[PixelFormat, bytes], Pixels]] = {
    Codec.RLE: _rle,
    Codec.DEFLATED_FRAME: _deflated_frame,
    Codec.JPEG: _jpeg,
    Codec.JPEG_LOSSLESS: _jpeg_lossless,
    Codec.JPEG_LS: _jpeg_ls,
    Codec.JPEG_2000: partial(_jpeg_2000, decode=imagecodecs.jpeg2k_decode),
    Codec.HTJ2K: lambda form, data: _jpeg_2000(form, data, _high_throughput_decoder(data)),
    Codec.JPEG_XL: _jpeg_xl,
}


class _JpegStream:
    """What the markers before the first scan say."""

    def __init__(self, data: bytes) -> None:
        self.rows = self.columns = 0
        self.adobe_transform: int | None = None
        self.is_jfif = False
        self.component_ids: tuple[int, ...] = ()
        at = 2
        while at + 4 <= len(data):
            if data[at] != 0xFF:
                break
            marker = data[at + 1]
            if marker == 0xFF or marker in _ALONE:
                at += 1 if marker == 0xFF else 2
                continue
            (length,) = struct.unpack_from(">H", data, at + 2)
            self._take(marker, data[at + 4 : at + 2 + length])
            if marker == _START_OF_SCAN:
                break
            at += 2 + length

    def is_ybr(self, form: PixelFormat) -> bool:
        """Whether its three components are luminance and chrominances.

        The stream knows if it has a JFIF or an Adobe marker; only where it has none the data set decides.
        """
        if self.adobe_transform is not None:
            return self.adobe_transform == 1
        if self.component_ids == tuple(b"RGB"):
            return False
        return self.is_jfif or form.photometric_interpretation != "RGB"

    def _take(self, marker: int, body: bytes) -> None:
        if marker in _START_OF_FRAME and len(body) >= 6:
            self.rows, self.columns, count = struct.unpack_from(">HHB", body, 1)
            self.component_ids = tuple(body[6 : 6 + 3 * count : 3])
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            self.adobe_transform = body[11]
        elif marker == _APP0 and body.startswith(b"JFIF"):
            self.is_jfif = True


def _checked_jpeg(form: PixelFormat, data: bytes) -> _JpegStream:
    stream = _JpegStream(data)
    _check_size(Codec.JPEG, form, stream.rows, stream.columns)
    if len(stream.component_ids) != form.samples_per_pixel:
        raise _broken(Codec.JPEG, f"{len(stream.component_ids)} components, expected {form.samples_per_pixel}")
    return stream


def _check_size(codec: Codec, form: PixelFormat, rows: int, columns: int) -> None:
    if (rows, columns) != (form.rows, form.columns):
        raise _broken(codec, f"a stream of {rows}x{columns}, expected {form.rows}x{form.columns}")


def _dtype(form: PixelFormat) -> np.dtype[np.generic]:
    letter = "f" if form.kind != "integer" else "i" if form.is_signed else "u"
    return np.dtype(f"{letter}{max(1, form.bits_allocated // 8)}")


def _masked(form: PixelFormat, values: Pixels) -> Pixels:
    """Values of the right type, of Bits Stored bits below High Bit; what lies beside them is no pixel (PS3.5 §8.1.1)."""
    dtype = _dtype(form)
    if form.kind != "integer" or form.bits_allocated == 1:
        return values.astype(dtype, copy=False)
    width = 8 * dtype.itemsize
    left = width - 1 - form.high_bit
    right = width - form.bits_stored
    values = values.astype(dtype, copy=False)
    if not right or (left == right and _is_within(form, values)):
        return values
    into = values if values.flags.writeable else None
    shifted: Pixels = np.right_shift(np.left_shift(values, left, out=into), right, out=into)
    return shifted


def _is_within(form: PixelFormat, values: Pixels) -> bool:
    """Whether nothing lies above Bits Stored, as in nearly all objects: then there is nothing to make anew."""
    if not values.size or values.max() >= 1 << form.bits_stored - form.is_signed:
        return False
    return not form.is_signed or bool(values.min() >= -(1 << form.bits_stored - 1))


def _in_rgb(codec: Codec, form: PixelFormat, data: bytes, values: Pixels) -> Pixels:
    """RGB of YBR values; decoders of JPEG and JPEG 2000 have undone the transform of their stream already."""
    if form.samples_per_pixel != 3 or not form.photometric_interpretation.startswith(("YBR_FULL", "YBR_PARTIAL")):
        return values
    if codec is Codec.JPEG or (codec in (Codec.JPEG_2000, Codec.HTJ2K) and _has_colour_transform(data)):
        return values
    largest = (1 << form.bits_stored) - 1
    middle = (largest + 1) / 2
    if form.photometric_interpretation.startswith("YBR_FULL"):
        ybr = values.astype(np.float32) - np.array([0, middle, middle], np.float32)
    else:
        ybr = (values.astype(np.float32) - np.array([middle / 8, middle, middle], np.float32)) * _PARTIAL_SCALE
    rgb: Pixels = np.clip(np.floor(ybr @ _YBR_TO_RGB + 0.5), 0, largest).astype(values.dtype)
    return rgb


def _has_colour_transform(data: bytes) -> bool:
    """Whether a JPEG 2000 codestream transforms its components (COD, ISO/IEC 15444-1 A.6.1)."""
    at = data.find(_CODING_STYLE)
    return 0 <= at < len(data) - 8 and data[at + 8] == 1


def _data_set_offset(reader: Readable) -> int:
    """Where the data set begins: after the meta information, whose first element tells its length (PS3.10 §7.1)."""
    start = reader.read_at(0, 144)
    if start[128:136] != b"DICM\x02\x00\x00\x00":
        raise NotDrawable("a deflated object without a length of its meta information", key="pixel-data-damaged")
    return int(144 + struct.unpack_from("<L", start, 140)[0])


def _shortened(codec: Codec) -> NotDrawable:
    return _broken(codec, "the object is shorter than its description")


def _broken(codec: Codec, found: str) -> NotDrawable:
    return NotDrawable(f"{codec} pixel data cannot be decoded: {found}", key="pixel-data-damaged", codec=str(codec))
