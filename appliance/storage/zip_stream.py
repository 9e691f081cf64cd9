"""A ZIP archive that is written while it is sent: nothing of it is read again, and only its table of contents is kept.

Sizes and checksums follow the files (APPNOTE 4.3.9, data descriptors), and the table of contents has them too.
"""

from __future__ import annotations

import zipfile
from datetime import datetime
from typing import IO

_FAST = 1
"""zlib's least effort: pixels become little smaller with more."""
_ZIP64_FROM_BYTES = 1 << 31
"""Where a file may be longer, its descriptor has eight bytes for a length; older programs read only four."""
_MODE = 0o644 << 16


class ZipStream:
    """Files go in one after the other; each call gives the bytes by which the archive goes on.

    For one thread at a time."""

    def __init__(self) -> None:
        self._outlet = _Outlet()
        self._zip = zipfile.ZipFile(self._outlet, "w", allowZip64=True)  # type: ignore[call-overload]  # it is only written to
        self._open: IO[bytes] | None = None

    def begin(self, name: str, at: datetime, *, longest_bytes: int, deflate: bool) -> None:
        """What is written from now on is the file ``name``, of at most so many bytes."""
        about = zipfile.ZipInfo(name, at.timetuple()[:6])
        about.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
        about._compresslevel = _FAST  # type: ignore[attr-defined]  # public as compress_level from Python 3.13 on
        about.external_attr = _MODE
        self._open = self._zip.open(about, "w", force_zip64=longest_bytes >= _ZIP64_FROM_BYTES)

    def write(self, data: bytes) -> bytes:
        """The archive goes on by what this gives back."""
        assert self._open is not None, "a file was begun"
        self._open.write(data)
        return self._outlet.taken()

    def end(self) -> bytes:
        """The file is whole."""
        assert self._open is not None, "a file was begun"
        self._open.close()
        self._open = None
        return self._outlet.taken()

    def close(self) -> bytes:
        """The archive is whole."""
        self._zip.close()
        return self._outlet.taken()


class _Outlet:
    """A file that cannot be sought in, as far as ``zipfile`` needs one."""

    def __init__(self) -> None:
        self._pending: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pending.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        return

    def taken(self) -> bytes:
        pending, self._pending = self._pending, []
        return b"".join(pending)
