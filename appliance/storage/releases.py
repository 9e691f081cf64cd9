"""Which studies the institution has said to be a patient's; written from its feed alone.

A study without a row waits for its patient as far as the node knows: it is held back from other institutions. Nothing is
written when a study is stored, so that one is held back from its first instance on.
"""

from __future__ import annotations

from typing import Any

from peewee import BigIntegerField, CharField, TextField

from appliance.domain.changes import ReleaseCursor, Releases
from appliance.domain.identifiers import StudyUid
from appliance.storage.database import Table, Transaction

_THE_FEED = "releases"


class ReleasedStudyRow(Table):
    study_uid = TextField(primary_key=True)

    class Meta:
        table_name = "released_study"


class FeedCursorRow(Table):
    """How far the feed was heard."""

    feed = CharField(max_length=16, primary_key=True)
    sequence = BigIntegerField()
    study_uid = TextField()

    class Meta:
        table_name = "feed_cursor"


def create_tables(tx: Transaction) -> None:
    tx.create_tables(ReleasedStudyRow, FeedCursorRow)


def is_released(tx: Transaction, study_uid: StudyUid) -> bool:
    return tx.exists(ReleasedStudyRow.select().where(ReleasedStudyRow.study_uid == study_uid))


def released() -> Any:  # Any: peewee has no types
    """The UIDs of the studies that are released, to be part of a query."""
    return ReleasedStudyRow.select(ReleasedStudyRow.study_uid)


def forget(tx: Transaction, study_uid: StudyUid) -> None:
    """The study is held no more; if it comes again, the institution says again whether it is a patient's."""
    tx.execute(ReleasedStudyRow.delete().where(ReleasedStudyRow.study_uid == study_uid))


def cursor(tx: Transaction) -> ReleaseCursor:
    row = tx.first(FeedCursorRow.select().where(FeedCursorRow.feed == _THE_FEED))
    return ReleaseCursor() if row is None else ReleaseCursor(row.sequence, row.study_uid)


def take(tx: Transaction, told: Releases) -> None:
    """What the institution told, and how far that was."""
    for one in told.studies:
        forget(tx, StudyUid(one.study_uid))
        if one.is_released:
            tx.insert(ReleasedStudyRow, study_uid=one.study_uid)
    tx.execute(FeedCursorRow.delete().where(FeedCursorRow.feed == _THE_FEED))
    tx.insert(FeedCursorRow, feed=_THE_FEED, sequence=told.cursor.sequence, study_uid=told.cursor.study_uid)
