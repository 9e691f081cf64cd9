"""What the 128 bytes before the prefix of a DICOM file are (PS3.10 §7.1).

The standard leaves them to whoever writes the file, so a file can be DICOM and something else at once. With a TIFF header that is
meant (slide scanners do it); with that of a program it is how malware travels among images (CVE-2019-11687). What a preamble is,
is recorded when a file comes in; the bytes that are kept stay as they came; on the way out a dangerous one is zeroed.
"""

from __future__ import annotations

PREAMBLE_BYTES = 128
PREFIX = b"DICM"

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"MZ", "windows-executable"),
    (b"\x7fELF", "elf"),
    (b"\xfe\xed\xfa\xce", "mach-o"),
    (b"\xfe\xed\xfa\xcf", "mach-o"),
    (b"\xce\xfa\xed\xfe", "mach-o"),
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"\xca\xfe\xba\xbe", "mach-o"),  # of several processors; a class of Java begins so too
    (b"dex\n", "android-executable"),
    (b"\x00asm", "web-assembly"),
    (b"#!", "script"),
    (b"PK", "zip"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"%PDF", "pdf"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "windows-shortcut"),
    (b"\xd0\xcf\x11\xe0", "windows-compound"),  # an installer, a document with macros
    (b"<", "markup"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)
_HARMLESS = frozenset({"", "tiff", "other"})


def preamble_of(start: bytes) -> str:
    """What the preamble of a file that begins with ``start`` (132 bytes or more) is.

    Empty where there is none or it is zero, as it should be; ``other`` where it is nothing that is known.
    """
    preamble = start[:PREAMBLE_BYTES]
    if start[PREAMBLE_BYTES : PREAMBLE_BYTES + len(PREFIX)] != PREFIX or not any(preamble):
        return ""
    return next((kind for beginning, kind in _STARTS if preamble.startswith(beginning)), "other")


def is_dangerous(kind: str) -> bool:
    """Whether a preamble of that kind is zeroed on the way out: some system would run the file, or unpack it."""
    return kind not in _HARMLESS


def dangerous_kinds() -> tuple[str, ...]:
    """Every kind that is zeroed on the way out, each once."""
    return tuple(dict.fromkeys(kind for _, kind in _STARTS if is_dangerous(kind)))
