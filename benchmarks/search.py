"""How long the index takes for one more instance, and for the searches of QIDO-RS, at 1,000, 10,000 and 100,000 instances.

    python -m benchmarks.search [--engine sqlite|postgresql] [SIZE ...]

Studies have 100 instances in 4 series. Each figure is the median of some runs, in milliseconds, with the database in a
temporary folder on the disk; PostgreSQL runs without fsync.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from uuid import UUID

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
from appliance.storage.database import Database, Transaction
from appliance.storage.dicom_json import packed
from appliance.storage.index import StoredBytes
from benchmarks.filling import Instance, fill
from benchmarks.index import empty_index

NODE = UUID(int=1)
SIZES = (1_000, 10_000, 100_000)
_FAMILIES = ("Muster", "Müller", "Nguyễn", "Öztürk", "Kovač", "Smith", "Dubois", "Rossi", "Novák", "Silva")
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


def held(number: int) -> Instance:
    return instance(number), StoredBytes(f"{number:064x}", f"{number:032x}", 500_000)


def add(tx: Transaction, number: int) -> None:
    index.add(tx, NODE, *held(number))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=list(SIZES), metavar="SIZE")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    with empty_index(arguments.engine) as database:
        filled = 0
        for size in arguments.sizes:
            fill(database, NODE, (held(number) for number in range(filled, size)))
            for name, taken_ms, count in figures(database, size):
                print(f"{size:>8} instances  {name:<26} {taken_ms:>9.2f} ms  {count:>6} results", flush=True)
            filled = size + 20


if __name__ == "__main__":
    main()
