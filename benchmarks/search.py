"""How long the index takes for one more instance, and for the searches of QIDO-RS, at 1,000, 10,000 and 100,000 instances.

    python -m benchmarks.search [SIZE ...]

Studies have 100 instances in 4 series. Each figure is the median of some runs, in milliseconds, with the database in a
temporary folder on the disk.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import msgspec

from appliance.domain.hierarchy import (
    InstanceAttributes,
    ParsedInstance,
    PatientAttributes,
    SeriesAttributes,
    StudyAttributes,
)
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.searches import Filter, Level, Search
from appliance.storage import index, queries
from appliance.storage.database import Database, Transaction, migrate
from appliance.storage.dicom_json import packed
from appliance.storage.index import StoredBytes

NODE = UUID(int=1)
SIZES = (1_000, 10_000, 100_000)
_FAMILIES = ("Muster", "Müller", "Nguyễn", "Öztürk", "Kovač", "Smith", "Dubois", "Rossi", "Novák", "Silva")
_AT_ONCE = 500
_METADATA = packed(
    {f"{tag:08X}": {"vr": "LO", "Value": [f"value {tag * 7919}"]} for tag in range(0x00180010, 0x00180080)}
)


def instance(number: int) -> ParsedInstance:
    study, rest = divmod(number, 100)
    series = rest // 25
    study_uid = f"1.2.826.0.1.{study}"
    name = f"{_FAMILIES[study % 10]}{study // 10}^{chr(65 + study % 26)}na"
    return ParsedInstance(
        PatientAttributes(name, f"P{study:06}", "", f"{1930 + study % 80}-01-31", "FMO"[study % 3]),
        StudyAttributes(StudyUid(study_uid), f"20{study % 26:02}-{study % 12 + 1:02}-{study % 28 + 1:02}", "10:00:00",
                        "Chest", f"A{study:06}"),
        SeriesAttributes(SeriesUid(f"{study_uid}.{series}"), ("CT", "MR", "SR", "PT")[series], series),
        InstanceAttributes(InstanceUid(f"{study_uid}.{series}.{rest}"), "1.2.840.10008.5.1.4.1.1.2",
                           "1.2.840.10008.1.2.1", rest, 512, 512, 1, 16),
        metadata=_METADATA,
    )  # fmt: skip


def add(tx: Transaction, number: int) -> None:
    index.add(tx, NODE, instance(number), StoredBytes(f"{number:064x}", f"{number:032x}", 500_000))


SEARCHES: dict[str, Callable[[int], Search]] = {
    "studies, newest 100": lambda n: Search(Level.STUDY, limit=100),
    "study by patient id": lambda n: Search(Level.STUDY, (Filter("PatientID", f"P{n // 200:06}"),)),
    "studies by name*": lambda n: Search(Level.STUDY, (Filter("PatientName", "mull*"),), limit=100),
    "studies, fuzzy name": lambda n: Search(Level.STUDY, (Filter("PatientName", "nguyen3"),), is_fuzzy=True, limit=100),
    "studies by day": lambda n: Search(Level.STUDY, (Filter("StudyDate", "20120101-20120331"),), limit=100),
    "studies with MR": lambda n: Search(Level.STUDY, (Filter("ModalitiesInStudy", "MR"),), limit=100),
    "series of a study": lambda n: Search(Level.SERIES, study_uid=StudyUid(f"1.2.826.0.1.{n // 200}")),
    "instances of a series": lambda n: Search(
        Level.INSTANCE,
        study_uid=StudyUid(f"1.2.826.0.1.{n // 200}"),
        series_uid=SeriesUid(f"1.2.826.0.1.{n // 200}.1"),
    ),
    "instances, first 100": lambda n: Search(Level.INSTANCE, limit=100),
    "instances by patient id": lambda n: Search(Level.INSTANCE, (Filter("PatientID", f"P{n // 200:06}"),)),
    "instance by uid": lambda n: Search(Level.INSTANCE, (Filter("SOPInstanceUID", f"1.2.826.0.1.{n // 200}.1.30"),)),
}


def figures(database: Database, size: int) -> Iterator[tuple[str, float, int]]:
    """What was measured, milliseconds, results."""
    numbers = iter(range(size, size + 20))
    yield "add one, durable", median_ms(lambda: database.run(lambda tx: add(tx, next(numbers))), 20), 1
    for name, search in SEARCHES.items():
        wanted = search(size)
        count = len(database.read(lambda tx, wanted=wanted: queries.search(tx, wanted)).results)  # type: ignore[misc]
        yield name, median_ms(lambda: database.read(lambda tx: queries.search(tx, wanted)), 7), count  # noqa: B023


def median_ms(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def main(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'index.sqlite'}")
        migrate(database, "node", index.MIGRATIONS)
        filled = 0
        for size in sizes:
            while filled < size:
                several = range(filled, min(size, filled + _AT_ONCE))
                database.run(lambda tx, several=several: [add(tx, number) for number in several])  # type: ignore[misc]
                # A parent acknowledges what it is told; an outbox that only grows is not what is measured.
                database.run(lambda tx: index.acknowledge(tx, 2**62))
                filled = several.stop
            for name, taken_ms, count in figures(database, size):
                print(f"{size:>8} instances  {name:<26} {taken_ms:>9.2f} ms  {count:>6} results", flush=True)
            filled += 20
        database.close()


if __name__ == "__main__":
    main([msgspec.convert(one, int, strict=False) for one in sys.argv[1:]] or list(SIZES))
