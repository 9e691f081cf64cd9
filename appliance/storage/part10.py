"""A data set that came without a file around it, made into a DICOM file and found in one again (PS3.10 §7).

What is written before the data set depends on nothing but the three UIDs and this program: the same data set from two
senders is the same file, and stored once.
"""

from __future__ import annotations

import hashlib
import struct

from appliance.storage.stream import Readable

IMPLEMENTATION_CLASS_UID = "2.25.175093204377459870342903912084562839146"
"""Ours, made from a random UUID (PS3.5 B.2)."""
IMPLEMENTATION_VERSION_NAME = "APPLIANCE"
_PREAMBLE = bytes(128) + b"DICM"
_META_GROUP = b"\x02\x00"
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_PIECE_BYTES = 4 * 1024 * 1024
_LONGEST_META_BYTES = 1024 * 1024


def file_head(sop_class_uid: str, instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """What stands before the data set: preamble, prefix and meta information."""
    elements = (
        b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"  # File Meta Information Version
        + _text(0x0002, b"UI", sop_class_uid)
        + _text(0x0003, b"UI", instance_uid)
        + _text(0x0010, b"UI", transfer_syntax_uid)
        + _text(0x0012, b"UI", IMPLEMENTATION_CLASS_UID)
        + _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME)
    )
    return _PREAMBLE + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(elements)) + elements


def data_set_offset(reader: Readable) -> int:
    """Where the data set of a stored object begins: after the meta information, if it has any."""
    head = reader.read_at(0, _LONGEST_META_BYTES)
    at = len(_PREAMBLE) if head[128:132] == b"DICM" else 0
    # By the elements and not by the group's length, which is wrong in some files.
    while head[at : at + 2] == _META_GROUP:
        if head[at + 4 : at + 6] in _LONG_VRS:
            at += 12 + int.from_bytes(head[at + 8 : at + 12], "little")
        else:
            at += 8 + int.from_bytes(head[at + 6 : at + 8], "little")
    return at


def data_set_digest(reader: Readable) -> bytes:
    """SHA-256 of the data set alone."""
    digest = hashlib.sha256()
    at = data_set_offset(reader)
    while piece := reader.read_at(at, _PIECE_BYTES):
        digest.update(piece)
        at += len(piece)
    return digest.digest()


def _text(element: int, vr: bytes, value: str) -> bytes:
    padding = b"\0" if vr == b"UI" else b" "
    data = value.encode("ascii")
    data += padding * (len(data) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(data)) + data
