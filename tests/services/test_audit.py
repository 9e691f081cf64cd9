"""What is done and looked at is on record: once, with who and how much, or not at all where nothing happened."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.domain.audit import Action
from appliance.domain.errors import Conflict, NotFound, Unavailable
from appliance.services import audit as module
from appliance.services.audit import Auditing
from appliance.services.journal import JsonLines
from appliance.storage.audit import AuditAnchor, AuditRow
from tests.services.node_parts import SOMEBODY, NodeParts, ct_slice, encoded, node_parts


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[NodeParts]:
    async with node_parts(tmp_path) as parts:
        yield parts


def records(node: NodeParts) -> list[AuditRow]:
    return node.database.read(lambda tx: tx.rows(AuditRow.select().order_by(AuditRow.sequence)))


async def test_a_deletion_is_on_record_with_what_went(node: NodeParts) -> None:
    files = [encoded(ct_slice(number)) for number in (1, 2, 3)]
    for data in files:
        await node.put(data)

    await node.catalogue.delete_instance("1.2.3", "1.2.3.1", "1.2.3.1.1", SOMEBODY)
    await node.catalogue.delete_series("1.2.3", "1.2.3.1", SOMEBODY)

    one, rest = records(node)
    assert (one.actor_name, one.address, one.action, one.outcome) == ("ana", "192.0.2.1", "delete", "done")
    assert (one.subject_kind, one.subject_uid, one.study_uid) == ("instance", "1.2.3.1.1", "1.2.3")
    assert (one.instances, one.size_bytes) == (1, len(files[0]))
    assert (rest.subject_kind, rest.subject_uid, rest.instances) == ("series", "1.2.3.1", 2)
    assert rest.size_bytes == len(files[1]) + len(files[2])


async def test_what_is_not_there_to_be_deleted_is_not_on_record(node: NodeParts) -> None:
    with pytest.raises(NotFound):
        await node.catalogue.delete_study("1.2.3", SOMEBODY)

    assert records(node) == []


async def test_who_sends_other_bytes_under_a_known_uid_is_on_record(node: NodeParts) -> None:
    await node.put(encoded(ct_slice(value=1)))
    other = encoded(ct_slice(value=2))

    with pytest.raises(Conflict):
        await node.put(other)

    (row,) = records(node)
    assert (row.action, row.actor_name, row.subject_uid, row.size_bytes) == (
        "keep-apart",
        "ana",
        "1.2.3.1.1",
        len(other),
    )


async def test_the_head_outside_of_the_database_keeps_up(node: NodeParts, tmp_path: Path) -> None:
    await node.put(encoded(ct_slice()))

    await node.catalogue.delete_study("1.2.3", SOMEBODY)

    assert AuditAnchor(tmp_path / "audit-head").head() == node.trail.proof(node.database, lambda _: None).head


async def test_the_log_tells_it_without_naming_the_patient(node: NodeParts, caplog: pytest.LogCaptureFixture) -> None:
    await node.put(encoded(ct_slice()))
    caplog.set_level(logging.INFO, logger=module.__name__)

    await node.catalogue.delete_study("1.2.3", SOMEBODY)

    (told,) = (record for record in caplog.records if record.name == module.__name__)
    line = json.loads(JsonLines().format(told))
    assert line["actor"] == {"kind": "account", "id": SOMEBODY.id, "name": "ana", "address": "192.0.2.1"}
    assert (line["action"], line["subject"]["uid"], line["instances"]) == ("delete", "1.2.3", 1)
    assert (line["sequence"], len(line["hash"])) == (1, 64)
    assert "Muster" not in str(line)


async def test_who_goes_through_a_thousand_pictures_is_on_record_once(node: NodeParts) -> None:
    auditing = Auditing(node.trail, node.threads)

    await asyncio.gather(*(auditing.looked(SOMEBODY, Action.OPEN, "1.2.3") for _ in range(1000)))
    await auditing.looked(SOMEBODY, Action.RETRIEVE, "1.2.3")
    await auditing.looked(SOMEBODY, Action.OPEN, "1.2.4")

    assert [(row.action, row.subject_uid) for row in records(node)] == [
        ("open", "1.2.3"),
        ("retrieve", "1.2.3"),
        ("open", "1.2.4"),
    ]


async def test_after_a_while_it_is_on_record_again(node: NodeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    auditing = Auditing(node.trail, node.threads)
    await auditing.looked(SOMEBODY, Action.OPEN, "1.2.3")
    monkeypatch.setattr(module, "_AGAIN_AFTER_S", -1)

    await auditing.looked(SOMEBODY, Action.OPEN, "1.2.3")

    assert len(records(node)) == 2


async def test_who_cannot_be_put_on_record_sees_nothing_until_they_can(node: NodeParts) -> None:
    auditing = Auditing(node.trail, node.threads)
    node.database.run(lambda tx: tx._engine.execute_sql("ALTER TABLE audit RENAME TO away"))

    for _ in range(2):
        with pytest.raises(Unavailable):
            await auditing.looked(SOMEBODY, Action.OPEN, "1.2.3")

    node.database.run(lambda tx: tx._engine.execute_sql("ALTER TABLE away RENAME TO audit"))
    await auditing.looked(SOMEBODY, Action.OPEN, "1.2.3")
    assert len(records(node)) == 1
