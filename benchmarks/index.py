"""How fast the index of a node takes in and finds, at 1,000, 10,000 and 100,000 instances, in SQLite and in PostgreSQL.

    python -m benchmarks.index [--instances 100000] [--engine sqlite|postgresql]

The index is filled up to each mark; the last of its instances come by one writer, a transaction each, durable, as an ingest does
it; no bytes and no parsing. At each mark: of these the instances a second, and the median of each search in milliseconds.
PostgreSQL runs without fsync here, so its ingest is only to be compared with itself.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

from appliance.domain.hierarchy import ParsedInstance
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.storage import index
from appliance.storage.database import Database, Transaction, migrate
from appliance.storage.index import StoredBytes
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory
from benchmarks.filling import fill
from tests.postgresql import running_postgresql
from tests.services.node_parts import ct_slice, encoded

_NODE = UUID(int=1)
_IN_A_SERIES = 100
_IN_A_STUDY = 400
_MARKS = (1_000, 10_000, 100_000, 1_000_000)
_MEASURED = 300
"""Instances that come one by one before each mark."""
_SEARCHES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append")
    arguments = parser.parse_args()
    print(
        f"{'engine':>10} {'instances':>9} {'ingest/s':>9}   {'  '.join(f'{name:>14}' for name in _searches(1))}  (ms)"
    )
    for engine in arguments.engine or ("sqlite", "postgresql"):
        with empty_index(engine) as database:
            _measure(engine, database, arguments.instances)


@contextlib.contextmanager
def empty_index(engine: str) -> Iterator[Database]:
    """A database of the engine, of its own, gone at the end."""
    with contextlib.ExitStack() as stack:
        if engine == "sqlite":
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/index.sqlite"
        else:
            url = stack.enter_context(running_postgresql()).new_database()
        database = Database(url)
        migrate(database, "node", index.MIGRATIONS)
        stack.callback(database.close)
        yield database


def _measure(engine: str, database: Database, most: int) -> None:
    """Prints a line at each mark."""
    template = parse(InMemory(encoded(ct_slice())))
    filled = 0
    for mark in sorted({*(mark for mark in _MARKS if mark < most), most}):
        last = range(mark - min(_MEASURED, mark - filled) + 1, mark + 1)
        fill(database, _NODE, (_instance(template, number) for number in range(filled + 1, last.start)))
        began = time.perf_counter()
        for number in last:
            parsed, stored = _instance(template, number)
            database.run(lambda tx, parsed=parsed, stored=stored: index.add(tx, _NODE, parsed, stored))  # type: ignore[misc]
        rate = len(last) / (time.perf_counter() - began)
        found = "  ".join(f"{_median_ms(database, search):14.2f}" for search in _searches(mark).values())
        print(f"{engine:>10} {mark:>9} {rate:>9.0f}   {found}", flush=True)
        filled = mark


def _instance(template: ParsedInstance, number: int) -> tuple[ParsedInstance, StoredBytes]:
    study = StudyUid(f"1.2.{number // _IN_A_STUDY}")
    series = SeriesUid(f"{study}.{number // _IN_A_SERIES}")
    parsed = replace(
        template,
        patient=replace(template.patient, patient_id=f"P{number // _IN_A_STUDY}"),
        study=replace(template.study, study_uid=study, accession_number=f"A{number // _IN_A_STUDY}"),
        series=replace(template.series, series_uid=series),
        instance=replace(template.instance, instance_uid=InstanceUid(f"{series}.{number}"), number=number),
    )
    return parsed, StoredBytes(f"{number * 2654435761 % 2**64:064x}", f"{number:032x}", 500_000)


def _searches(count: int) -> dict[str, Callable[[Transaction], object]]:
    """Something in the middle of all that is held, in the ways that the doors look for it."""
    middle = count // 2
    study = StudyUid(f"1.2.{middle // _IN_A_STUDY}")
    series = SeriesUid(f"{study}.{middle // _IN_A_SERIES}")
    key = f"{middle * 2654435761 % 2**64:064x}"
    is_patient = index.StudyRow.patient_id == f"P{middle // _IN_A_STUDY}"
    is_accession = index.StudyRow.accession_number == f"A{middle // _IN_A_STUDY}"
    return {
        "study": lambda tx: index.study(tx, study),
        "series, 100": lambda tx: index.stored_series(tx, study, series),
        "instance": lambda tx: index.stored_image(tx, study, series, InstanceUid(f"{series}.{middle}")),
        "key": lambda tx: index.is_held(tx, key),
        "by patient": lambda tx: tx.rows(index.StudyRow.select().where(is_patient)),
        "by accession": lambda tx: tx.rows(index.StudyRow.select().where(is_accession)),
        "conflicts": lambda tx: index.conflicts(tx, limit=100),
    }


def _median_ms(database: Database, search: Callable[[Transaction], object]) -> float:
    took_ms = []
    for _ in range(_SEARCHES):
        began = time.perf_counter()
        database.read(search)
        took_ms.append((time.perf_counter() - began) * 1000)
    return statistics.median(took_ms)


if __name__ == "__main__":
    main()
