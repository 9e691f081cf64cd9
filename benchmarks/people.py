"""How long a search for patients takes among 1,000,000 of them, in both engines.

    python -m benchmarks.people [--engine sqlite|postgresql] [--patients 1000000] [--times 15]

Names are drawn as they are in a county: the commonest family names are borne by some thousands, given names by tens of thousands.
Each figure is the median of some searches of one kind, each for something else; CPU time of this process is printed
beside it, since on a machine that does other work the clock says more of that. PostgreSQL runs without fsync.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from uuid import UUID

import psycopg

from appliance.domain.identifiers import InstitutionId, PatientId
from appliance.domain.people import Patient, PatientIdentity
from appliance.storage import toplevel
from appliance.storage.database import Database, migrate
from tests.postgresql import running_postgresql

CLINIC = InstitutionId(UUID(int=1))
_PORTION = 10_000
_SYLLABLES = (
    "ba", "če", "di", "đu", "fra", "go", "hor", "ić", "ju", "ko", "lo", "ma", "no", "pe", "ra", "ša", "to",
    "vu", "za", "ži",
)  # fmt: skip
_GIVEN = (
    "Ana", "Marija", "Ivan", "Josip", "Ivana", "Marko", "Petra", "Luka", "Željka", "Đuro", "Šime", "Tomislav",
    "Lucija", "Mia",
)  # fmt: skip


def people(count: int) -> Iterator[Patient]:
    """The same people each time."""
    draw = random.Random(4711)  # names, no secrets
    families = ["".join(draw.choices(_SYLLABLES, k=3)).capitalize() for _ in range(20_000)]
    # summed once, and not for each draw
    weights = list(itertools.accumulate(1 / (rank + 20) for rank in range(len(families))))
    givens = [*_GIVEN, *("".join(draw.choices(_SYLLABLES, k=2)).capitalize() for _ in range(500))]
    given_weights = list(itertools.accumulate(1 / (rank + 5) for rank in range(len(givens))))
    for number in range(count):
        (family,) = draw.choices(families, cum_weights=weights)
        (given,) = draw.choices(givens, cum_weights=given_weights)
        born = date(1925, 1, 1) + timedelta(days=draw.randrange(36_000))
        identity = PatientIdentity(CLINIC, "", f"{number:09}")
        yield Patient(PatientId(UUID(int=number + 1)), family, given, born, "FMO"[number % 2], (identity,), (CLINIC,))  # type: ignore[arg-type]


def fill(url: str, count: int) -> list[Patient]:
    """They are in the empty tables of a toplevel, as it would have written them one by one in an hour; some of them."""
    some: list[Patient] = []

    def kept() -> Iterator[Patient]:
        for number, one in enumerate(people(count), start=1):
            if number % max(1, count // 500) == 0:
                some.append(one)
            yield one

    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            _fill_sqlite(file, kept())
    else:
        with psycopg.connect(url, autocommit=True) as server:
            _fill_postgresql(server, kept())
    return some


def _fill_sqlite(file: sqlite3.Connection, patients: Iterator[Patient]) -> None:
    file.execute("PRAGMA synchronous = off")
    while portion := [_rows(one) for one in itertools.islice(patients, _PORTION)]:
        for table, columns in _COLUMNS.items():
            statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(columns.split(', ')))})"
            rows = [row for one in portion for row in one[table]]
            file.executemany(statement, [tuple(_plain(value) for value in row) for row in rows])
        file.commit()
    file.execute("ANALYZE")
    file.commit()


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return value.hex
    return value.isoformat() if isinstance(value, date) else value


def _fill_postgresql(server: psycopg.Connection, patients: Iterator[Patient]) -> None:
    # An index that is made when the rows are there costs a tenth of one that is kept up with each of them.
    indexes = server.execute(_PLAIN_INDEXES, (list(_COLUMNS),)).fetchall()
    for name, _ in indexes:
        server.execute(f'DROP INDEX "{name}"')  # type: ignore[arg-type]
    while portion := [_rows(one) for one in itertools.islice(patients, _PORTION)]:
        for table, columns in _COLUMNS.items():
            with server.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:  # type: ignore[arg-type]
                for one in portion:
                    for row in one[table]:
                        copy.write_row(row)
    server.execute("SET maintenance_work_mem = '256MB'")
    for _, definition in indexes:
        server.execute(definition)
    server.execute("VACUUM ANALYZE")


_PLAIN_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = ANY(%s) AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""
"""Of some tables, those that belong to no key."""
_COLUMNS = {
    "patient": "id, family_name, given_name, birth_date, gender, revision, words, sequence",
    "patient_identity": "institution_id, issuer, value, patient_id",
    "patient_institution": "patient_id, institution_id",
    "patient_search": "word, words, patient_id",
}


def _rows(one: Patient) -> dict[str, list[tuple[object, ...]]]:
    terms = toplevel.words_of(one)
    words = " ".join(("", *terms, ""))
    names = (one.family_name, one.given_name, one.birth_date, one.gender)
    return {
        "patient": [(one.id, *names, 1, words, one.id.int)],
        "patient_identity": [(CLINIC, "", one.identities[0].value, one.id)],
        "patient_institution": [(one.id, CLINIC)],
        "patient_search": [(word, words, one.id) for word in sorted(set(terms))],
    }


KINDS: dict[str, Callable[[Patient], str]] = {
    "family name": lambda one: one.family_name,
    "3 letters": lambda one: one.family_name[:3],
    "1 letter": lambda one: one.family_name[:1],
    "given name": lambda one: one.given_name,
    "given and family": lambda one: f"{one.given_name} {one.family_name}",
    "family and given, begun": lambda one: f"{one.family_name[:4]} {one.given_name[:2]}",
    "number": lambda one: one.identities[0].value,
    "birth date": lambda one: f"{one.birth_date:%d.%m.%Y.}",
    "name and year": lambda one: f"{one.family_name} {one.birth_date:%Y}",
    "nothing": lambda one: "",
    "nobody": lambda one: f"{one.family_name} qqq",
}


def figures(database: Database, some: list[Patient], times: int) -> Iterator[tuple[str, float, float, int]]:
    """Kind of search, median milliseconds by the clock and of CPU, patients found in the median."""
    draw = random.Random(1)
    for kind, written in KINDS.items():
        clocks, busy, totals = [], [], []
        for one in draw.sample(some, min(times, len(some))):
            wanted = written(one)
            began, began_busy = time.perf_counter(), time.process_time()
            found = database.read(lambda tx, wanted=wanted: toplevel.search_patients(tx, wanted, limit=50, offset=0))  # type: ignore[misc]
            busy.append((time.process_time() - began_busy) * 1000)
            clocks.append((time.perf_counter() - began) * 1000)
            totals.append(found[1])
        yield kind, statistics.median(clocks), statistics.median(busy), int(statistics.median(totals))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--patients", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=15)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.engine == "postgresql":
            url = stack.enter_context(running_postgresql()).new_database()
        else:
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/people.sqlite"
        database = Database(url)
        stack.callback(database.close)
        migrate(database, "toplevel", toplevel.MIGRATIONS)
        began = time.perf_counter()
        some = fill(url, arguments.patients)
        print(
            f"{arguments.engine}: {arguments.patients:,} patients, in {time.perf_counter() - began:.0f} s", flush=True
        )
        for kind, clock_ms, busy_ms, found in figures(database, some, arguments.times):
            print(f"{kind:<26} {clock_ms:>8.2f} ms  {busy_ms:>8.2f} ms of CPU here  {found:>5} found", flush=True)


if __name__ == "__main__":
    main()
