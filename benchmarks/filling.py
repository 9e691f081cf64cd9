"""An index with many instances in it, quickly: one of each series by the road of ingest, the others copies of its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from uuid import UUID

from appliance.domain.hierarchy import ParsedInstance
from appliance.storage import index
from appliance.storage.database import Database, Transaction
from appliance.storage.index import InstanceRow, MetadataRow, SeriesRow, StoredBytes

Instance = tuple[ParsedInstance, StoredBytes]
_ROWS_AT_ONCE = 200


def fill(database: Database, node_id: UUID, instances: Iterable[Instance]) -> None:
    """These instances are held; those of a series come one after the other. The parent has heard of all."""
    for _, of_series in itertools.groupby(instances, key=lambda one: one[0].series.series_uid):
        several = list(of_series)
        database.run(lambda tx, several=several: _fill_series(tx, node_id, several))  # type: ignore[misc]
    database.run(lambda tx: index.acknowledge(tx, 2**62))


def _fill_series(tx: Transaction, node_id: UUID, instances: Sequence[Instance]) -> None:
    (first, stored), *others = instances
    index.add(tx, node_id, first, stored)
    is_first = InstanceRow.instance_uid == first.instance.instance_uid
    (row,) = tx.rows(InstanceRow.select().where(is_first).dicts())
    metadata = tx.rows(MetadataRow.select().where(MetadataRow.instance_uid == first.instance.instance_uid).dicts())
    for start in range(0, len(others), _ROWS_AT_ONCE):
        portion = others[start : start + _ROWS_AT_ONCE]
        tx.execute(
            InstanceRow.insert_many(
                {
                    **row,
                    "instance_uid": parsed.instance.instance_uid,
                    "number": parsed.instance.number,
                    "key": kept.key,
                    "md5": kept.md5,
                }
                for parsed, kept in portion
            )
        )
        if metadata:
            uids = [parsed.instance.instance_uid for parsed, _ in portion]
            tx.execute(MetadataRow.insert_many({**metadata[0], "instance_uid": uid} for uid in uids))
    more = len(others)
    drawable = more if first.image else 0
    tx.execute(
        SeriesRow.update(
            instance_count=SeriesRow.instance_count + more,
            frame_count=SeriesRow.frame_count + drawable,
            drawable_count=SeriesRow.drawable_count + drawable,
        ).where((SeriesRow.study_uid == first.study.study_uid) & (SeriesRow.series_uid == first.series.series_uid))
    )
