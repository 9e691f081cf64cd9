"""No blank id and no missing filter makes an operation reach further: whatever names no row changes none and finds none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import PatientAsHeld, PatientNumber, StudyHeld
from appliance.domain.errors import ApplianceError
from appliance.domain.identifiers import AccountId, InstanceUid, InstitutionId, PatientId, ReportId, SeriesUid, StudyUid
from appliance.domain.people import Patient, PatientIdentity
from appliance.domain.reports import PatientWritten as Written
from appliance.domain.reports import ReportContent, ReportText, Signature, Version, VersionState, Writer
from appliance.services.passwords import refuse_weak
from appliance.storage import enrolment, inbox, index, institution, reports, second_factors, toplevel
from appliance.storage.database import Database, Transaction, migrate
from appliance.storage.index import StoredBytes
from appliance.storage.toplevel import KeptSession
from benchmarks.search import instance

HERE, NODE = InstitutionId(UUID(int=1)), UUID(int=2)
ANA = AccountId(UUID(int=5))
AT = datetime(2026, 11, 22, tzinfo=UTC)
DRAFT = Version(1, VersionState.DRAFT, 1, ReportContent(ReportText("CT")), Writer(ANA, "Ana Anić"), AT, AT)
SIGNATURE = Signature(
    Writer(ANA, "Ana"), AT, PatientId(UUID(int=3)), Written("A", "B", None, None), "Clinic", "ab" * 32
)

TEXTS = st.one_of(
    st.sampled_from(["", " ", "\t", "\x00", "%", "_", "*", "?", "''", "1.", ".", "0", "NULL", "None", "null"]),
    st.text(st.sampled_from("%_*? \t'\"!\\.-"), max_size=6),
)
"""What names nothing: blanks, wildcards of any language, what stands for nothing elsewhere."""
UUIDS = st.one_of(st.just(UUID(int=0)), st.uuids().filter(lambda one: one.int > 1000))
BYTES = st.one_of(st.just(b""), st.binary(max_size=4))


class Undone(Exception):
    """Ends a transaction without a trace."""


def rows_of(tx: Transaction) -> dict[str, list[Any]]:
    tables = tx._engine.get_tables()
    return {name: sorted(tx._engine.execute_sql(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in tables}


def changes(database: Database, operation: Callable[[Transaction], object], *, but: tuple[str, ...] = ()) -> list[str]:
    """The tables whose rows an operation changes; it is undone afterwards."""
    found: list[str] = []

    def work(tx: Transaction) -> None:
        before = rows_of(tx)
        with suppress(ApplianceError):  # what is refused may be refused
            operation(tx)
        after = rows_of(tx)
        found.extend(name for name in before if before[name] != after[name] and name not in but)
        raise Undone

    with suppress(Undone):
        database.run(work)
    return found


def fill_toplevel(tx: Transaction) -> None:
    for number in (11, 12):
        account = Account(AccountId(UUID(int=number)), f"u{number}", "", "", frozenset({Role.PHYSICIAN}), HERE)
        toplevel.create_account(tx, account, "hash")
        session = KeptSession(UUID(int=number), account.id, AT, AT, "", "")
        toplevel.begin_session(tx, bytes([number] * 32), session, timedelta(days=9999))
        toplevel.know_device(tx, bytes([number] * 32), account.id, forget_after=timedelta(days=9999))
        toplevel.count_failure(tx, account.username, forget_after=timedelta(days=9999))
        second_factors.replace_recovery_codes(tx, account.id, [bytes([number] * 32)])
        patient = Patient(PatientId(UUID(int=number)), f"Muster{number}", "Eva", date(1970, 1, 31), "F")
        toplevel.add_patient(tx, patient)
        toplevel.know_number(tx, PatientIdentity(HERE, "", f"47{number}"), patient.id)
        toplevel.note_held(tx, patient.id, HERE)
        enrolment.keep_child(tx, "institution", UUID(int=number), "Clinic", f"key{number}")


def fill_institution(tx: Transaction) -> None:
    for number in (11, 12, 13):
        value = f"47{number}" if number < 13 else " "  # one study without a Patient ID
        held = StudyHeld(
            f"1.{number}", NODE, PatientAsHeld("", value, "Muster^Eva", None, None), None, None, "", "", (), 1, 1
        )
        institution.keep_study(tx, held)
        report_id = ReportId(UUID(int=number))
        reports.begin(tx, report_id, PatientId(UUID(int=number)), DRAFT)
    institution.OUTBOX.put(
        tx, StudyHeld("1.1", NODE, PatientAsHeld("", "", "", None, None), None, None, "", "", (), 1, 1)
    )


def fill_node(tx: Transaction) -> None:
    for number in (0, 1, 30, 100):
        index.add(tx, NODE, instance(number), StoredBytes(f"{number:064x}", f"{number:032x}", 1))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Database]]:
    folder: Path = tmp_path_factory.mktemp("kept")
    rooms = {
        "toplevel": (toplevel.MIGRATIONS, fill_toplevel),
        "institution": (institution.MIGRATIONS, fill_institution),
        "node": (index.MIGRATIONS, fill_node),
    }
    made = {}
    for name, (migrations, fill) in rooms.items():
        made[name] = database = Database(f"sqlite:///{folder}/{name}.sqlite")
        migrate(database, name, migrations)
        migrate(database, "enrolment", enrolment.MIGRATIONS)
        database.run(fill)
    yield made
    for database in made.values():
        database.close()


Named = tuple[str, UUID, UUID, bytes]
AT_TOPLEVEL: dict[str, Callable[[Transaction, Named], object]] = {
    "set_password_hash": lambda tx, n: toplevel.set_password_hash(tx, AccountId(n[1]), "stolen"),
    "deactivate": lambda tx, n: toplevel.set_active(tx, AccountId(n[1]), is_active=False),
    "spend_session": lambda tx, n: toplevel.spend_session(tx, n[3]),
    "end_session": lambda tx, n: toplevel.end_session(tx, KeptSession(n[1], AccountId(n[2]), AT, AT, "", "")),
    "end_sessions": lambda tx, n: toplevel.end_sessions(tx, AccountId(n[1])),
    "forget_devices": lambda tx, n: toplevel.forget_devices(tx, AccountId(n[1])),
    "forget_failures": lambda tx, n: toplevel.forget_failures(tx, n[0]),
    "take_back_failure": lambda tx, n: toplevel.take_back_failure(tx, n[0]),
    "stamp_failure": lambda tx, n: toplevel.stamp_failure(tx, n[0]),
    "forget_second_factor": lambda tx, n: second_factors.forget(tx, n[1]),
    "spend_recovery_code": lambda tx, n: second_factors.spend_recovery_code(tx, n[1], n[3]),
    "forget_number": lambda tx, n: toplevel.forget_number(tx, PatientIdentity(HERE, "", n[0]), PatientId(n[1])),
    "note_not_held": lambda tx, n: toplevel.note_not_held(tx, PatientId(n[1]), HERE),
    "change_patient": lambda tx, n: toplevel.change_patient(tx, Patient(PatientId(n[1]), "", "", None, None)),
    "delete_patient": lambda tx, n: toplevel.delete_patient(tx, PatientId(n[1])),
    "forget_child": lambda tx, n: enrolment.forget_child(tx, "institution", n[1]),
}
AT_INSTITUTION: dict[str, Callable[[Transaction, Named], object]] = {
    "forget_study": lambda tx, n: institution.forget_study(tx, n[0], NODE),
    "forget_study of a node": lambda tx, n: institution.forget_study(tx, "1.11", n[1]),
    "ask_again": lambda tx, n: inbox.ask_again(tx, PatientNumber("", n[0])),
    "ask_again of an issuer": lambda tx, n: inbox.ask_again(tx, PatientNumber(n[0], "")),
    "repoint studies": lambda tx, n: inbox.repoint(tx, PatientId(n[1]), PatientId(UUID(int=12))),
    "repoint reports": lambda tx, n: reports.repoint(tx, PatientId(n[1]), PatientId(UUID(int=12))),
    "keep_draft": lambda tx, n: reports.keep_draft(tx, ReportId(n[1]), replace(DRAFT, content=ReportContent())),
    "keep_draft of no number": lambda tx, n: reports.keep_draft(tx, ReportId(UUID(int=11)), replace(DRAFT, number=0)),
    "discard_draft": lambda tx, n: reports.discard_draft(tx, ReportId(n[1]), 1),
    "discard_draft of no number": lambda tx, n: reports.discard_draft(tx, ReportId(UUID(int=11)), 0),
    "sign": lambda tx, n: reports.sign(tx, ReportId(n[1]), DRAFT, SIGNATURE),
    "acknowledge": lambda tx, n: institution.OUTBOX.acknowledge(tx, 0),
}
AT_NODE: dict[str, Callable[[Transaction, Named], object]] = {
    "delete_study": lambda tx, n: index.delete_study(tx, NODE, StudyUid(n[0])),
    "delete_series": lambda tx, n: index.delete_series(tx, NODE, StudyUid("1.2.826.0.1.0"), SeriesUid(n[0])),
    "delete_series of no study": lambda tx, n: index.delete_series(
        tx, NODE, StudyUid(n[0]), SeriesUid("1.2.826.0.1.0.0")
    ),
    "delete_instance": lambda tx, n: index.delete_instance(
        tx, NODE, StudyUid("1.2.826.0.1.0"), SeriesUid("1.2.826.0.1.0.0"), InstanceUid(n[0])
    ),
    "forget_removal": lambda tx, n: index.forget_removal(tx, n[0]),
    "mark_missing": lambda tx, n: index.mark_missing(tx, n[0], missing=True),
}
OPERATIONS = [
    *(("toplevel", name, operation) for name, operation in AT_TOPLEVEL.items()),
    *(("institution", name, operation) for name, operation in AT_INSTITUTION.items()),
    *(("node", name, operation) for name, operation in AT_NODE.items()),
]
properties = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize(("room", "name", "operation"), OPERATIONS, ids=lambda one: one if isinstance(one, str) else "")
@properties
@given(named=st.tuples(TEXTS, UUIDS, UUIDS, BYTES))
def test_what_names_no_row_changes_none(
    kept: dict[str, Database], room: str, name: str, operation: Callable[[Transaction, Named], object], named: Named
) -> None:
    # That somebody is shut out is noted by the id that was given, which is nobody's; a feed may leave a number out.
    assert changes(kept[room], lambda tx: operation(tx, named), but=("revocation", "release_end")) == []


@properties
@given(text=TEXTS, one=UUIDS, secret=BYTES)
def test_what_names_no_row_finds_none(kept: dict[str, Database], text: str, one: UUID, secret: bytes) -> None:
    def look(tx: Transaction) -> list[object]:
        return [
            toplevel.credentials(tx, text),
            toplevel.account(tx, AccountId(one)),
            toplevel.patient(tx, PatientId(one)),
            toplevel.patient_with_number(tx, PatientIdentity(HERE, "", text)),
            *toplevel.patients_with_number(tx, "", text),
            *toplevel.sessions_of(tx, AccountId(one)),
            *toplevel.told_after(tx, InstitutionId(one), 0, limit=9)[0],
            enrolment.token(tx, "institution", secret),
            enrolment.child(tx, "institution", one),
        ]

    def look_at_institution(tx: Transaction) -> list[object]:
        found = [reports.report(tx, ReportId(one)), *reports.reports_of(tx, PatientId(one))]
        return [*found, *institution.studies_of(tx, PatientId(one)), *institution.held_studies(tx, (text,))]

    assert not [found for found in kept["toplevel"].read(look) if found is not None]
    assert not [found for found in kept["institution"].read(look_at_institution) if found is not None]


@properties
@given(text=TEXTS.filter(str.strip))
def test_no_wildcard_finds_a_patient(kept: dict[str, Database], text: str) -> None:
    found, _ = kept["toplevel"].read(lambda tx: toplevel.search_patients(tx, text, limit=9, offset=0))

    assert found == ()


@properties
@given(blank=TEXTS)
def test_a_blank_is_nobodys_number(kept: dict[str, Database], blank: str) -> None:
    identity = PatientIdentity(HERE, "", blank)

    def work(tx: Transaction) -> bool:
        return toplevel.know_number(tx, identity, PatientId(UUID(int=11)))

    if not blank.strip():
        assert changes(kept["toplevel"], work) == []


@properties
@given(password=st.text(st.sampled_from(" \t\n\u00a0"), max_size=80))
def test_a_blank_is_nobodys_password(password: str) -> None:
    with pytest.raises(ApplianceError):
        refuse_weak(password, [])


def test_what_does_name_a_row_changes_it(kept: dict[str, Database]) -> None:
    """The tests above could not fail if the operations did nothing, or if what they do were not seen."""
    eleven, twelve = UUID(int=11), UUID(int=12)
    named: Named = ("4711", eleven, eleven, bytes([11] * 32))
    idle = []
    for room, name, operation in OPERATIONS:
        told = {
            "forget_failures": ("u11", *named[1:]), "take_back_failure": ("u11", *named[1:]),
            "stamp_failure": ("u11", *named[1:]), "forget_study": ("1.11", *named[1:]),
            "forget_study of a node": ("", NODE, twelve, b""), "mark_missing": (f"{1:064x}", *named[1:]),
            "delete_study": ("1.2.826.0.1.0", *named[1:]), "delete_series of no study": ("1.2.826.0.1.0", *named[1:]),
            "delete_series": ("1.2.826.0.1.0.0", *named[1:]), "delete_instance": ("1.2.826.0.1.0.0.0", *named[1:]),
        }.get(name, named)  # fmt: skip
        if not changes(kept[room], lambda tx: operation(tx, told)):  # type: ignore[arg-type]  # noqa: B023
            idle.append(name)

    assert set(idle) == {  # they name nothing by themselves, or there is nothing of the kind
        "ask_again of an issuer", "repoint studies", "keep_draft of no number",
        "discard_draft of no number", "acknowledge", "forget_removal",
    }  # fmt: skip
