"""How data sets and pixels may be encoded (PS3.5 §10 and annex A; UIDs of PS3.6 annex A)."""

from __future__ import annotations

from enum import StrEnum

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"


class Codec(StrEnum):
    """What turns the bytes of a frame into values."""

    NATIVE = "native"
    NATIVE_BIG_ENDIAN = "native, big endian"
    RLE = "RLE"
    JPEG = "JPEG"
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "HTJ2K"
    JPEG_XL = "JPEG XL"
    DEFLATED_FRAME = "deflated frame"
    VIDEO = "video"


_VIDEO = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))
"""MPEG-2, MPEG-4 AVC and HEVC; those up to 106 may end in ``.1`` for their fragmentable form."""

CODECS: dict[str, Codec] = {
    IMPLICIT_LITTLE_ENDIAN: Codec.NATIVE,
    EXPLICIT_LITTLE_ENDIAN: Codec.NATIVE,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN: Codec.NATIVE,
    EXPLICIT_BIG_ENDIAN: Codec.NATIVE_BIG_ENDIAN,
    "1.2.840.10008.1.2.5": Codec.RLE,
    "1.2.840.10008.1.2.4.50": Codec.JPEG,
    "1.2.840.10008.1.2.4.51": Codec.JPEG,
    "1.2.840.10008.1.2.4.53": Codec.JPEG,  # spectral selection, retired: the same decoder takes it
    "1.2.840.10008.1.2.4.55": Codec.JPEG,  # full progression, retired
    "1.2.840.10008.1.2.4.57": Codec.JPEG_LOSSLESS,
    "1.2.840.10008.1.2.4.70": Codec.JPEG_LOSSLESS,
    "1.2.840.10008.1.2.4.80": Codec.JPEG_LS,
    "1.2.840.10008.1.2.4.81": Codec.JPEG_LS,
    "1.2.840.10008.1.2.4.90": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.91": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.92": Codec.JPEG_2000,  # part 2, as far as a frame has its own components and no others
    "1.2.840.10008.1.2.4.93": Codec.JPEG_2000,
    "1.2.840.10008.1.2.4.201": Codec.HTJ2K,
    "1.2.840.10008.1.2.4.202": Codec.HTJ2K,
    "1.2.840.10008.1.2.4.203": Codec.HTJ2K,
    "1.2.840.10008.1.2.4.110": Codec.JPEG_XL,
    "1.2.840.10008.1.2.4.111": Codec.JPEG_XL,
    "1.2.840.10008.1.2.4.112": Codec.JPEG_XL,
    "1.2.840.10008.1.2.8.1": Codec.DEFLATED_FRAME,
    **dict.fromkeys(_VIDEO, Codec.VIDEO),
    **dict.fromkeys((f"{uid}.1" for uid in _VIDEO[:7]), Codec.VIDEO),
}
"""Every transfer syntax whose frames can be decoded."""


def is_native(transfer_syntax_uid: str) -> bool:
    """Whether frames lie there one after the other, not in fragments."""
    return CODECS.get(transfer_syntax_uid) in (Codec.NATIVE, Codec.NATIVE_BIG_ENDIAN)


def is_video(transfer_syntax_uid: str) -> bool:
    """Whether all frames are one stream, which begins with the first (PS3.5 §8.2.5 to §8.2.9)."""
    return CODECS.get(transfer_syntax_uid) is Codec.VIDEO


def reason_without_codec(transfer_syntax_uid: str) -> str | None:
    """Why frames of this syntax cannot be decoded, in plain words; None where they can."""
    if transfer_syntax_uid in CODECS:
        return None
    return f"transfer syntax {transfer_syntax_uid} is not known"
