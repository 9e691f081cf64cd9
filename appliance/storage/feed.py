"""What each institution is still to be told of the toplevel's rows: a numbered list of subjects, one for each institution.

A subject stands in it once, under the number of its last change; whoever asks after a number gets what changed since, as it is
when they ask. So the list is as long as there are subjects, and whoever begins at 0 gets a whole copy. The numbers are given in
the transaction that changes the rows, one by one: nobody sees 8 before 7.

A feed begins when its institution asks for the first time; until then nothing is noted for it. Functions here take a
``Transaction``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from peewee import BigIntegerField, CharField, CompositeKey, UUIDField

from appliance.domain.changes import FeedCursor, SubjectKind
from appliance.storage.database import Table, Transaction


class FeedRow(Table):
    """A subject that an institution follows."""

    institution_id = UUIDField()
    kind = CharField(max_length=16)
    subject_id = UUIDField()
    number = BigIntegerField()

    class Meta:
        table_name = "feed"
        primary_key = CompositeKey("institution_id", "kind", "subject_id")
        indexes = ((("institution_id", "number"), True), (("kind", "subject_id"), False))


class FeedEndRow(Table):
    """The last number that was given for an institution."""

    institution_id = UUIDField(primary_key=True)
    number = BigIntegerField()
    epoch = UUIDField()
    """Another one whenever the feed begins anew, so that a cursor of the old is known as such."""

    class Meta:
        table_name = "feed_end"


def create(tx: Transaction) -> None:
    tx.create_tables(FeedRow, FeedEndRow)


_AT_ONCE = 100
"""Rows of one insertion; each has four values, and engines allow a thousand or more."""


@dataclass(frozen=True, slots=True)
class Followed:
    kind: SubjectKind
    subject_id: UUID


def changed(tx: Transaction, kind: SubjectKind, subject_id: UUID) -> None:
    """Everybody who follows the subject will be told."""
    for institution_id in followers(tx, kind, subject_id):
        number = _next_number(tx, institution_id)
        tx.execute(FeedRow.update(number=number).where(_is_followed(institution_id, kind, subject_id)))


def followers(tx: Transaction, kind: SubjectKind, subject_id: UUID) -> tuple[UUID, ...]:
    of_subject = (FeedRow.kind == kind) & (FeedRow.subject_id == subject_id)
    rows = tx.rows(FeedRow.select(FeedRow.institution_id).where(of_subject).order_by(FeedRow.institution_id).tuples())
    return tuple(row[0] for row in rows)


def follow(tx: Transaction, institution_id: UUID, kind: SubjectKind, subject_id: UUID) -> None:
    """The institution is told of the subject, from now on; nothing is done if its feed has not begun or it is told already."""
    if is_following(tx, institution_id, kind, subject_id):
        return
    if tx.exists(FeedEndRow.select(FeedEndRow.number).where(FeedEndRow.institution_id == institution_id)):
        number = _next_number(tx, institution_id)
        tx.insert(FeedRow, institution_id=institution_id, kind=kind, subject_id=subject_id, number=number)


def is_following(tx: Transaction, institution_id: UUID, kind: SubjectKind, subject_id: UUID) -> bool:
    return tx.exists(FeedRow.select(FeedRow.number).where(_is_followed(institution_id, kind, subject_id)))


def tell_everybody(tx: Transaction, kind: SubjectKind, subject_id: UUID) -> None:
    """All institutions follow the subject and will be told."""
    changed(tx, kind, subject_id)
    for institution_id, _ in ends(tx):
        follow(tx, institution_id, kind, subject_id)


def cursor(tx: Transaction, institution_id: UUID) -> FeedCursor | None:
    """The end of an institution's feed; None before it has begun."""
    row = tx.first(FeedEndRow.select().where(FeedEndRow.institution_id == institution_id))
    return FeedCursor(row.number, row.epoch) if row else None


def ends(tx: Transaction) -> tuple[tuple[UUID, int], ...]:
    """The last number of each feed that has begun."""
    rows = tx.rows(FeedEndRow.select(FeedEndRow.institution_id, FeedEndRow.number).order_by(FeedEndRow.institution_id))
    return tuple((row.institution_id, row.number) for row in rows)


def begin(tx: Transaction, institution_id: UUID, subjects: Iterable[Followed]) -> None:
    """The feed of an institution that has none: it tells of these subjects first."""
    rows = [
        {
            "institution_id": institution_id,
            "kind": followed.kind,
            "subject_id": followed.subject_id,
            "number": number,
        }
        for number, followed in enumerate(subjects, 1)
    ]
    tx.insert(FeedEndRow, institution_id=institution_id, number=len(rows), epoch=uuid4())
    for start in range(0, len(rows), _AT_ONCE):
        tx.execute(FeedRow.insert_many(rows[start : start + _AT_ONCE]))


def end(tx: Transaction, institution_id: UUID) -> None:
    """Nothing is noted for the institution any more; if it asks again its feed begins anew."""
    tx.execute(FeedRow.delete().where(FeedRow.institution_id == institution_id))
    tx.execute(FeedEndRow.delete().where(FeedEndRow.institution_id == institution_id))


def after(tx: Transaction, institution_id: UUID, number: int, *, limit: int) -> Sequence[tuple[int, Followed]]:
    """What an institution is to be told after a number, in order, each with its own."""
    wanted = (FeedRow.institution_id == institution_id) & (FeedRow.number > number)
    rows = tx.rows(FeedRow.select().where(wanted).order_by(FeedRow.number).limit(limit))
    return [(row.number, Followed(SubjectKind(row.kind), row.subject_id)) for row in rows]


def count_after(tx: Transaction, institution_id: UUID, number: int) -> int:
    wanted = (FeedRow.institution_id == institution_id) & (FeedRow.number > number)
    return tx.count(FeedRow.select(FeedRow.number).where(wanted))


def _next_number(tx: Transaction, institution_id: UUID) -> int:
    this = FeedEndRow.institution_id == institution_id
    tx.execute(FeedEndRow.update(number=FeedEndRow.number + 1).where(this))
    return int(tx.value(FeedEndRow.select(FeedEndRow.number).where(this)))


def _is_followed(institution_id: UUID, kind: SubjectKind, subject_id: UUID) -> Any:  # Any: peewee has no types
    return (FeedRow.institution_id == institution_id) & (FeedRow.kind == kind) & (FeedRow.subject_id == subject_id)
