"""Whose the studies of an institution are: a row for each study, with its patient or with the reason for which it waits.

Functions here take a ``Transaction``. What a person decided is never changed by the rule, and is kept in a history.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
    DateTimeField,
    TextField,
    UUIDField,
)

from appliance.domain.changes import Answer, PatientAsHeld, PatientNumber, Release, ReleaseCursor, Releases, StudyHeld
from appliance.domain.errors import NotFound
from appliance.domain.identifiers import AccountId, PatientId, StudyUid
from appliance.domain.matching import Reason, is_blank
from appliance.storage.database import Table, Transaction

_THE_FEED = "releases"
_NEVER = datetime(1970, 1, 1)
"""When the toplevel was asked of a study of which it was not."""


class StudyAtNodeRow(Table):
    """A study that one of the nodes holds, as the node said."""

    study_uid = CharField(max_length=64)
    node_id = UUIDField()
    held = BlobField()
    """``changes.StudyHeld`` in MessagePack."""

    class Meta:
        table_name = "study_at_node"
        primary_key = CompositeKey("study_uid", "node_id")


class StudyPatientRow(Table):
    """Whose a study is, at whatever nodes it lies."""

    study_uid = CharField(max_length=64, primary_key=True)
    patient_id = UUIDField(null=True, index=True)
    """None of a study that waits."""
    reason = CharField(max_length=32, null=True)
    """Why it waits; None of one that does not."""
    candidate_id = UUIDField(null=True)
    is_decided = BooleanField()
    """Whether a person said so."""
    issuer = TextField()
    value = TextField(index=True)
    """Of the Patient ID; empty where there is none."""
    patient = BlobField()
    """``changes.PatientAsHeld`` in MessagePack, as the study was asked about."""
    since = DateTimeField(index=True)
    """It waits, or has its patient."""
    asked_at = DateTimeField(index=True)
    sequence = BigIntegerField(null=True, index=True)
    """Grows whenever nodes are to hear anew whether it waits."""

    class Meta:
        table_name = "study_patient"


class AssignmentRow(Table):
    """What a person decided about a study; only ever added to."""

    id = UUIDField(primary_key=True)
    study_uid = CharField(max_length=64, index=True)
    patient_id = UUIDField(null=True)
    """None: taken back."""
    previous_patient_id = UUIDField(null=True)
    with_number = BooleanField()
    account_id = UUIDField()
    account_name = TextField()
    assigned_at = DateTimeField()

    class Meta:
        table_name = "assignment"


@dataclass(frozen=True, slots=True)
class StudyPatient:
    """Whose a study is, or why it waits."""

    study_uid: StudyUid
    patient: PatientAsHeld
    patient_id: PatientId | None
    reason: Reason | None
    candidate_id: PatientId | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Assignment:
    """A decision of a person."""

    id: UUID
    study_uid: StudyUid
    patient_id: PatientId | None
    """None: taken back into the inbox."""
    previous_patient_id: PatientId | None
    with_number: bool
    """Whether it was about all studies with that Patient ID."""
    account_id: AccountId
    account_name: str
    assigned_at: datetime


class ReleaseEndRow(Table):
    """The last number that was given to a change of whether a study waits."""

    feed = CharField(max_length=16, primary_key=True)
    sequence = BigIntegerField()

    class Meta:
        table_name = "release_end"


def create_tables(tx: Transaction) -> None:
    tx.create_tables(StudyPatientRow, AssignmentRow, ReleaseEndRow)


def number_studies(tx: Transaction) -> None:
    """Studies of a version that told no node whether they wait are told of now."""
    tx.add_columns(StudyPatientRow.sequence)
    create_tables(tx)
    first = _next_sequence(tx)
    tx.execute(StudyPatientRow.update(sequence=first).where(StudyPatientRow.sequence.is_null()))


# What a node tells


def note_study(tx: Transaction, held: StudyHeld, before: PatientAsHeld | None) -> None:
    """The study has a row. ``before`` is what the same node called its patient until now; None if it did not hold the study.

    Another patient in the header is another question, unless a person has answered it.
    """
    row = tx.first(StudyPatientRow.select().where(StudyPatientRow.study_uid == held.study_uid))
    if row is None:
        _insert(tx, held, None, _first_reason(held.patient), is_decided=False)
    elif not row.is_decided and held.patient not in (before, _patient(row)):
        tx.execute(StudyPatientRow.delete().where(StudyPatientRow.study_uid == held.study_uid))
        _insert(tx, held, None, _first_reason(held.patient), is_decided=False)
    elif before is None:
        _change(tx, StudyPatientRow.study_uid == held.study_uid)


def note_patient(tx: Transaction, held: StudyHeld, patient_id: PatientId) -> None:
    """The study has a row and is the patient's, as the rule has it; one that has a row keeps it."""
    if not tx.exists(StudyPatientRow.select().where(StudyPatientRow.study_uid == held.study_uid)):
        _insert(tx, held, patient_id, None, is_decided=False)


def forget(tx: Transaction, study_uid: str) -> None:
    """No node holds the study any more. What persons decided about it stays in the history."""
    tx.execute(StudyPatientRow.delete().where(StudyPatientRow.study_uid == study_uid))


def _first_reason(patient: PatientAsHeld) -> Reason:
    return Reason.NO_ID if is_blank(patient.number) else Reason.NOT_ASKED


def _insert(
    tx: Transaction, held: StudyHeld, patient_id: PatientId | None, reason: Reason | None, *, is_decided: bool
) -> None:
    tx.insert(
        StudyPatientRow,
        study_uid=held.study_uid,
        patient_id=patient_id,
        reason=reason,
        is_decided=is_decided,
        issuer=held.patient.issuer,
        value=held.patient.value,
        patient=msgspec.msgpack.encode(held.patient),
        since=_now(),
        asked_at=_NEVER,
        sequence=_next_sequence(tx),
    )


def _change(tx: Transaction, which: Any, **values: object) -> None:
    """Rows have other values, and nodes hear of them."""
    tx.execute(StudyPatientRow.update(**values, sequence=_next_sequence(tx)).where(which))


def _next_sequence(tx: Transaction) -> int:
    # The update comes first: it makes other writers wait, so that numbers come to be seen in their order.
    mine = ReleaseEndRow.feed == _THE_FEED
    if not tx.execute(ReleaseEndRow.update(sequence=ReleaseEndRow.sequence + 1).where(mine)):
        tx.insert(ReleaseEndRow, feed=_THE_FEED, sequence=1)
    return _last_sequence(tx)


def _last_sequence(tx: Transaction) -> int:
    return int(tx.value(ReleaseEndRow.select(ReleaseEndRow.sequence).where(ReleaseEndRow.feed == _THE_FEED)) or 0)


# What nodes are told


def releases(tx: Transaction, node_id: UUID, after: ReleaseCursor, *, limit: int) -> Releases:
    """The next studies at a node of which it was said whether they wait, in the order in which that was said."""
    row = StudyPatientRow
    if after.sequence > _last_sequence(tx):
        after = ReleaseCursor()  # of a time after the backup that this database was restored from
    is_later = (row.sequence > after.sequence) | ((row.sequence == after.sequence) & (row.study_uid > after.study_uid))
    at_node = StudyAtNodeRow.select(StudyAtNodeRow.study_uid).where(StudyAtNodeRow.node_id == node_id)
    query = row.select(row.study_uid, row.patient_id, row.sequence).where(is_later & row.study_uid.in_(at_node))
    rows = tx.rows(query.order_by(row.sequence, row.study_uid).limit(limit))
    told = tuple(Release(one.study_uid, one.patient_id is not None) for one in rows)
    cursor = ReleaseCursor(rows[-1].sequence, rows[-1].study_uid) if rows else after
    return Releases(told, cursor, is_all=len(rows) < limit)


# What the toplevel is asked and answers


def to_ask(tx: Transaction, *, asked_before: datetime, limit: int) -> tuple[StudyPatient, ...]:
    """Studies that wait for the rule and that the toplevel was not asked of since then, the longest first."""
    rows = tx.rows(
        StudyPatientRow.select()
        .where(
            StudyPatientRow.patient_id.is_null()
            & (StudyPatientRow.is_decided == False)  # noqa: E712  # a column, not a truth
            & (StudyPatientRow.reason != Reason.NO_ID)
            & (StudyPatientRow.asked_at < _plain(asked_before))
        )
        .order_by(StudyPatientRow.asked_at, StudyPatientRow.study_uid)
        .limit(limit)
    )
    return tuple(map(_study_patient, rows))


def take_answer(tx: Transaction, asked: StudyPatient, answer: Answer) -> bool:
    """Whether the answer counts: the study waits as it did when it was asked about."""
    row = tx.first(StudyPatientRow.select().where(StudyPatientRow.study_uid == asked.study_uid))
    if row is None or row.is_decided or row.patient_id is not None or _patient(row) != asked.patient:
        return False
    values: dict[str, object] = {
        "patient_id": answer.patient_id,
        "reason": answer.reason,
        "candidate_id": answer.candidate_id,
        "asked_at": _now(),
    }
    if answer.patient_id is not None:
        values["since"] = _now()
        _change(tx, StudyPatientRow.study_uid == asked.study_uid, **values)
    else:
        tx.execute(StudyPatientRow.update(**values).where(StudyPatientRow.study_uid == asked.study_uid))
    return True


def ask_again(tx: Transaction, number: PatientNumber) -> None:
    """The rule looks again at all studies of a Patient ID, those that it had matched too; what persons said stays.

    Studies without a Patient ID have nothing in common: of no number there are none.
    """
    if is_blank(number):
        return
    of_number = (StudyPatientRow.issuer == number.issuer) & (StudyPatientRow.value == number.value)
    undecided = of_number & (StudyPatientRow.is_decided == False)  # noqa: E712
    again = {"patient_id": None, "reason": Reason.NOT_ASKED, "candidate_id": None, "asked_at": _NEVER}
    _change(tx, undecided, **again)


# What persons decide


def study_patient(tx: Transaction, study_uid: StudyUid) -> StudyPatient:
    """Whose a study is. Raises NotFound."""
    row = tx.first(StudyPatientRow.select().where(StudyPatientRow.study_uid == study_uid))
    if row is None:
        raise NotFound("no such study is held", study_uid=study_uid)
    return _study_patient(row)


def decide(tx: Transaction, assignment: Assignment) -> None:
    """The study is whose a person said, and the history has it."""
    values: dict[str, object] = {
        "patient_id": assignment.patient_id,
        "reason": Reason.TAKEN_BACK if assignment.patient_id is None else None,
        "candidate_id": None,
        "is_decided": True,
        "since": _plain(assignment.assigned_at),
    }
    _change(tx, StudyPatientRow.study_uid == assignment.study_uid, **values)
    tx.insert(
        AssignmentRow,
        id=assignment.id,
        study_uid=assignment.study_uid,
        patient_id=assignment.patient_id,
        previous_patient_id=assignment.previous_patient_id,
        with_number=assignment.with_number,
        account_id=assignment.account_id,
        account_name=assignment.account_name,
        assigned_at=_plain(assignment.assigned_at),
    )


def history(tx: Transaction, study_uid: StudyUid) -> tuple[Assignment, ...]:
    """What persons decided about a study, the newest first."""
    rows = tx.rows(
        AssignmentRow.select()
        .where(AssignmentRow.study_uid == study_uid)
        .order_by(AssignmentRow.assigned_at.desc(), AssignmentRow.id)
    )
    return tuple(map(_assignment, rows))


def is_known(tx: Transaction, patient_id: PatientId) -> bool:
    """Whether a study here is the patient's."""
    return tx.exists(StudyPatientRow.select().where(StudyPatientRow.patient_id == patient_id))


def repoint(tx: Transaction, before: PatientId, after: PatientId) -> int:
    """Studies of one patient are another's, with whom the first was merged; how many. The history stays as it was."""
    tx.execute(StudyPatientRow.update(candidate_id=after).where(StudyPatientRow.candidate_id == before))
    return tx.execute(StudyPatientRow.update(patient_id=after).where(StudyPatientRow.patient_id == before))


# Looking


def waiting(tx: Transaction, *, limit: int, offset: int) -> tuple[StudyPatient, ...]:
    """The studies that wait, the newest first."""
    rows = tx.rows(
        StudyPatientRow.select()
        .where(StudyPatientRow.patient_id.is_null())
        .order_by(StudyPatientRow.since.desc(), StudyPatientRow.study_uid)
        .limit(limit)
        .offset(offset)
    )
    return tuple(map(_study_patient, rows))


def waiting_count(tx: Transaction) -> int:
    return tx.count(StudyPatientRow.select(StudyPatientRow.study_uid).where(StudyPatientRow.patient_id.is_null()))


def study_uids_of(tx: Transaction, patient_id: PatientId) -> tuple[StudyUid, ...]:
    rows: Iterable[Any] = tx.rows(StudyPatientRow.select().where(StudyPatientRow.patient_id == patient_id))
    return tuple(StudyUid(row.study_uid) for row in rows)


def _study_patient(row: Any) -> StudyPatient:
    return StudyPatient(
        StudyUid(row.study_uid),
        _patient(row),
        _patient_id(row.patient_id),
        Reason(row.reason) if row.reason else None,
        _patient_id(row.candidate_id),
        row.since.replace(tzinfo=UTC),
    )


def _patient(row: Any) -> PatientAsHeld:
    return msgspec.msgpack.decode(bytes(row.patient), type=PatientAsHeld)


def _assignment(row: Any) -> Assignment:
    return Assignment(
        row.id,
        StudyUid(row.study_uid),
        _patient_id(row.patient_id),
        _patient_id(row.previous_patient_id),
        row.with_number,
        AccountId(row.account_id),
        row.account_name,
        row.assigned_at.replace(tzinfo=UTC),
    )


def _patient_id(value: UUID | None) -> PatientId | None:
    return None if value is None else PatientId(value)


def _plain(moment: datetime) -> datetime:
    """UTC without a zone, which every engine stores alike."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
