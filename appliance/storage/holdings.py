"""Which instances are held under an address, and what is known of each without reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peewee import fn

from appliance.domain.hierarchy import not_held
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.storage.database import Transaction
from appliance.storage.index import InstanceRow, MetadataRow


@dataclass(frozen=True, slots=True)
class Holding:
    """One instance that is held."""

    study_uid: StudyUid
    series_uid: SeriesUid
    instance_uid: InstanceUid
    key: str
    size_bytes: int
    transfer_syntax_uid: str
    preamble: str
    has_pixels: bool
    is_drawable: bool
    sop_class_uid: str = ""

    @property
    def uids(self) -> tuple[StudyUid, SeriesUid, InstanceUid]:
        return self.study_uid, self.series_uid, self.instance_uid


def holdings(
    tx: Transaction,
    study_uid: StudyUid,
    series_uid: SeriesUid | None = None,
    instance_uid: InstanceUid | None = None,
) -> tuple[Holding, ...]:
    """The instances of a study, of a series in it, or one of those, in order of series and number. Raises NotFound."""
    row = InstanceRow
    columns = (
        row.study_uid, row.series_uid, row.instance_uid, row.key, row.size_bytes, row.transfer_syntax_uid, row.preamble,
        row.rows.is_null(False), row.image.is_null(False),
        row.sop_class_uid,
    )  # fmt: skip
    query = row.select(*columns)
    query = query.where(_under(study_uid, series_uid, instance_uid)).order_by(
        row.study_uid, row.series_uid, row.number, row.instance_uid
    )
    found = tuple(map(_holding, tx.rows(query.tuples())))
    if not found:
        raise not_held(study_uid, series_uid, instance_uid)
    return found


def amount(
    tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid | None, instance_uid: InstanceUid | None
) -> tuple[int, int]:
    """How many instances are held there, and of how many bytes."""
    query = InstanceRow.select(fn.COUNT(InstanceRow.key), fn.SUM(InstanceRow.size_bytes))
    ((count, size_bytes),) = tx.rows(query.where(_under(study_uid, series_uid, instance_uid)).tuples())
    return int(count), int(size_bytes or 0)


def _under(study_uid: StudyUid, series_uid: SeriesUid | None, instance_uid: InstanceUid | None) -> Any:
    """The condition of what is held under an address."""
    where: Any = InstanceRow.study_uid == study_uid
    if series_uid is not None:
        where &= InstanceRow.series_uid == series_uid
    if instance_uid is not None:
        where &= InstanceRow.instance_uid == instance_uid
    return where


def _holding(values: Sequence[Any]) -> Holding:
    study_uid, series_uid, instance_uid, key, size_bytes, syntax, preamble, has_rows, is_drawable, sop_class_uid = (
        values
    )
    return Holding(
        StudyUid(study_uid),
        SeriesUid(series_uid),
        InstanceUid(instance_uid),
        key,
        size_bytes,
        syntax,
        preamble or "",
        bool(has_rows or is_drawable),
        bool(is_drawable),
        sop_class_uid,
    )


def kept_metadata(tx: Transaction, instance_uids: Sequence[InstanceUid]) -> dict[str, bytes]:
    """Packed metadata by instance, of those that have it."""
    query = MetadataRow.select(MetadataRow.instance_uid, MetadataRow.json)
    rows = tx.rows(query.where(MetadataRow.instance_uid.in_(list(instance_uids))).tuples())
    return {uid: bytes(data) for uid, data in rows}
