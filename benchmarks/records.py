"""The records of the SIVR paper as files, in several codings, and held by a node: for benchmarks of the 2D road.

The slices are the phantom's; of the longer records only some differ, and these follow one another again and again, since making
and compressing all takes minutes. Every file differs by its header, and nothing that reads them looks at its neighbour.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from appliance.domain.hierarchy import ParsedInstance
from appliance.domain.identifiers import SeriesUid, StudyUid
from appliance.domain.image import StoredImage
from appliance.services.audit import AuditTrail
from appliance.services.catalogue import Catalogue
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import audit, index
from appliance.storage.database import Database, migrate
from appliance.storage.index import MIGRATIONS, StoredBytes
from appliance.storage.instances import InstanceStore, Spool, StoreSettings, open_store
from appliance.storage.parsing import parse
from appliance.storage.sealing import create_key
from provisioning.phantom import RECORDS, Phantom, Size, write_files, write_multiframe
from provisioning.phantom.slices import Pixels

_NODE_ID = UUID("7d5b1c1e-0f0e-4a53-9a0e-2f8f5f8a0c11")
_DIFFERENT = {"A": 10, "B": 18, "C": 18, "D": 6}
_WRITERS = 4
_AT_ONCE = 100
SYNTAXES = {"raw": None, "jpeg-ls": JPEGLSLossless, "jpeg2000": JPEG2000Lossless, "rle": RLELossless}


@dataclass(frozen=True)
class Record(Phantom):
    """A phantom of which ``different`` slices are made, and repeated."""

    different: int = 1

    def slices(self) -> Iterator[Pixels]:
        made = self._made()
        for position in range(self.size.slices):
            yield made[position % len(made)]

    def _made(self) -> np.ndarray:
        """(slice, row, column); kept in the folder of temporary files."""
        s = self.size
        kept = Path(tempfile.gettempdir()) / "appliance-benchmarks" / f"{self.different}-{s.rows}x{s.columns}.npy"
        if not kept.is_file():
            # Over the same length, so that all parts of the body are among them.
            spacing_mm = s.slices * s.slice_spacing_mm / self.different
            few = Phantom(Size(self.different, s.rows, s.columns, s.pixel_spacing_mm, spacing_mm), self.seed)
            kept.parent.mkdir(exist_ok=True)
            begun = kept.with_suffix(".part.npy")
            np.save(begun, np.stack(list(few.slices())))
            begun.replace(kept)
        made: np.ndarray = np.load(kept)
        return made

    @property
    def value_bytes(self) -> int:
        """Of all pixels, as they are in memory."""
        return self.size.slices * self.size.rows * self.size.columns * 2


def record(name: str) -> Record:
    """A, B, C or D."""
    return Record(RECORDS[name], different=_DIFFERENT[name])


def five_megapixels(slices: int) -> Record:
    """Slices of 2048 x 2560."""
    return Record(Size(slices, 2560, 2048, 0.15, 3.0), different=4)


def written(wanted: Record, folder: Path, coding: str, *, as_one: bool) -> list[Path]:
    """The record as one file, or one a slice, of a coding in ``SYNTAXES``."""
    if as_one:
        files = [folder / "one.dcm"]
        for _ in write_multiframe(wanted, files[0]):
            pass
    else:
        files = list(write_files(wanted, folder))
    syntax = SYNTAXES[coding]
    if syntax is not None:
        streams: dict[bytes, bytes] = {}
        for file in files:
            _compress(file, syntax, streams)
    return files


def _compress(file: Path, syntax: UID, streams: dict[bytes, bytes]) -> None:
    """The file is of that syntax. What was compressed already is taken from ``streams``."""
    ds = dcmread(file)
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    for frame in frames:
        if frame.tobytes() not in streams:
            streams[frame.tobytes()] = _ENCODERS[syntax](frame)
    ds.PixelData = encapsulate([streams[frame.tobytes()] for frame in frames])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(file, enforce_file_format=True)


def _jpeg_ls(frame: Pixels) -> bytes:
    return bytes(imagecodecs.jpegls_encode(frame))


def _jpeg_2000(frame: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, level=0, reversible=True, codecformat="j2k", bitspersample=12))


def _rle(frame: Pixels) -> bytes:
    """Two segments, the high bytes first; each row by itself (PS3.5 annex G)."""
    segments = []
    for shift in (8, 0):
        plane = (frame >> shift).astype(np.uint8)
        segment = b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in plane)
        segments.append(segment + b"\0" * (len(segment) % 2))
    head = np.zeros(16, "<u4")
    head[:3] = 2, 64, 64 + len(segments[0])
    return head.tobytes() + b"".join(segments)


_ENCODERS = {JPEGLSLossless: _jpeg_ls, JPEG2000Lossless: _jpeg_2000, RLELossless: _rle}


@dataclass(frozen=True)
class Held:
    """Objects of one series in the store and the index of a node, without its doors."""

    folder: Path
    settings: StoreSettings
    store: InstanceStore
    database: Database
    study_uid: StudyUid
    series_uid: SeriesUid

    def catalogue(self, threads: DatabaseThreads) -> Catalogue:
        """One that has looked at nothing yet."""
        return Catalogue(self.store, threads, _NODE_ID, AuditTrail("node", self.folder / "audit-head"))

    def images(self) -> tuple[StoredImage, ...]:
        return self.database.read(lambda tx: index.stored_series(tx, self.study_uid, self.series_uid)).images

    def close(self) -> None:
        self.database.close()


def held(files: Sequence[Path], folder: Path, *, is_sealed: bool) -> Held:
    """The files are kept in ``folder``, parsed and indexed as ingest does it."""
    folder.mkdir(parents=True)
    key_file = folder / "key" if is_sealed else None
    if key_file:
        create_key(key_file)
    settings = StoreSettings(folder / "instances", key_file, floor_bytes=0)
    store = open_store(settings)

    def spooled(file: Path) -> Spool:
        spool = store.begin()
        spool.write(file.read_bytes())
        spool.make_durable()
        return spool

    def parsed(spool: Spool) -> tuple[ParsedInstance, StoredBytes]:
        with store.open(spool.key) as reader:
            return replace(parse(reader), metadata=b""), StoredBytes(spool.key, spool.md5, spool.size_bytes)

    rows = []
    with ThreadPoolExecutor(_WRITERS) as threads:
        for start in range(0, len(files), _AT_ONCE):
            spools = list(threads.map(spooled, files[start : start + _AT_ONCE]))
            store.place(spools)
            rows += [parsed(spool) for spool in spools]
    database = Database(f"sqlite:///{folder}/index.sqlite")
    migrate(database, "node", MIGRATIONS)
    migrate(database, "audit", audit.MIGRATIONS)
    database.run(lambda tx: index.add_all(tx, _NODE_ID, rows))
    first = rows[0][0]
    return Held(folder, settings, store, database, first.study.study_uid, first.series.series_uid)
