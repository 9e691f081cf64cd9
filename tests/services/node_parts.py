"""The storing half of a node on a folder, and data sets to store: made here, attribute by attribute."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from uuid import UUID

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from appliance.domain.audit import Actor, ActorKind
from appliance.domain.changes import Releases, ReleasesWanted
from appliance.domain.identifiers import InstitutionId
from appliance.services.audit import AuditTrail
from appliance.services.catalogue import Catalogue
from appliance.services.database_threads import DatabaseThreads
from appliance.services.ingest import Ingest, IngestSettings, Sender, Stored
from appliance.services.outboxes import KeptOutbox
from appliance.services.releases import HeldBack
from appliance.storage import audit, index
from appliance.storage.database import Database, migrate
from appliance.storage.index import MIGRATIONS, OUTBOX, ConflictList
from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from appliance.storage.sealing import create_key

NODE_ID = UUID("7d5b1c1e-0f0e-4a53-9a0e-2f8f5f8a0c11")
INSTITUTION_ID = InstitutionId(UUID(int=1))
SOMEBODY = Actor(ActorKind.ACCOUNT, "00000000-0000-0000-0000-000000000009", "ana", "192.0.2.1")


@dataclass
class NodeParts:
    store: InstanceStore
    database: Database
    ingest: Ingest
    catalogue: Catalogue
    outbox: KeptOutbox
    threads: DatabaseThreads
    trail: AuditTrail

    @property
    def sender(self) -> Sender:
        """The road, for somebody."""
        return self.ingest.sender(SOMEBODY)

    async def put(self, data: bytes) -> Stored:
        async with self.sender.receive() as reception:
            for start in range(0, len(data), 100_000):
                await reception.write(data[start : start + 100_000])
            return await reception.finish()

    async def conflicts(self) -> ConflictList:
        """The newest ten."""
        return await self.threads.read(lambda tx: ConflictList(index.conflicts(tx, limit=10), index.conflict_count(tx)))

    def kept_files(self) -> list[Path]:
        return [path for path in self.store._instances.rglob("*") if path.is_file()]

    def spooled_files(self) -> list[Path]:
        return list(self.store.spool_directory.iterdir())


@contextlib.asynccontextmanager
async def node_parts(
    folder: Path, settings: IngestSettings | None = None, *, is_sealed: bool = True, database_url: str = ""
) -> AsyncIterator[NodeParts]:
    key_file = folder / "key" if is_sealed else None
    if key_file and not key_file.exists():
        create_key(key_file)
    store = open_store(StoreSettings(folder / "store", key_file, floor_bytes=0))
    database = Database(database_url or f"sqlite:///{folder}/index.sqlite")
    migrate(database, "node", MIGRATIONS)
    migrate(database, "audit", audit.MIGRATIONS)
    trail = AuditTrail("node", folder / "audit-head")
    threads = DatabaseThreads(database)
    ingest = Ingest(store, database, NODE_ID, settings or IngestSettings(parsers=1), trail)
    await ingest.start()
    try:
        yield NodeParts(
            store,
            database,
            ingest,
            Catalogue(store, threads, NODE_ID, trail),
            KeptOutbox(threads, OUTBOX),
            threads,
            trail,
        )
    finally:
        await ingest.stop()
        await threads.close()
        database.close()


def held_back(parts: NodeParts) -> HeldBack:
    """What other institutions than INSTITUTION_ID do not see; that one tells nothing by itself."""

    async def silent(wanted: ReleasesWanted) -> Releases:
        return Releases((), wanted.after, is_all=True)

    return HeldBack(parts.threads, NODE_ID, INSTITUTION_ID, silent)


def ct_slice(
    number: int = 1, *, study: str = "1.2.3", series: str = "1.2.3.1", value: int = 0, z: float = 0.0
) -> Dataset:
    """An axial CT slice of 4 rows and 6 columns, all of one value."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Muster^Eva", "4711", "19700131", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyDescription = "20261122", "105400", "Chest"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.BodyPartExamined = "CT", 1, number, "CHEST"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.25], 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.WindowCenter, ds.WindowWidth = 35, 350
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 4, 6, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = np.full((4, 6), value, "<u2").tobytes()
    return ds


def encoded(ds: Dataset) -> bytes:
    """The data set as a DICOM file."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
