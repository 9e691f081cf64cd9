"""The audit trail of each role, for administrators: ``/api/audit/toplevel``, ``…/institution`` and ``…/node``."""

from __future__ import annotations

from quart import Blueprint, Response

from appliance.domain.audit import Action, Outcome
from appliance.http.access import Access
from appliance.http.bodies import json_response
from appliance.http.lists import ListQuery
from appliance.services.audit_heads import ToldChains
from appliance.services.audit_lists import SORTS, AuditReading
from appliance.storage.audit_lists import AuditFilter, KeptEvent


def audit_trail(reading: AuditReading, access: Access) -> Blueprint:
    blueprint = Blueprint(f"audit trail of the {reading.room}", __name__)

    @blueprint.get(f"/api/audit/{reading.room}")
    async def records() -> Response:
        account = access.writer()
        query = ListQuery("actor", "action", "outcome", "subject", "since", "until", sorts=SORTS)
        wanted = AuditFilter(
            query.text("actor"),
            query.choice("action", Action),
            query.choice("outcome", Outcome),
            query.text("subject"),
            query.instant("since"),
            query.instant("until"),
        )
        found = await reading.records(account, access.actor(account), wanted, query.part())
        return json_response({"records": [_record(kept) for kept in found.rows], "next": query.cursor(found.end)})

    return blueprint


def audit_chains(chains: ToldChains, access: Access) -> Blueprint:
    """The trails below a toplevel, as far as their heads have come up."""
    blueprint = Blueprint("audit chains", __name__)

    @blueprint.get("/api/audit/chains")
    async def told() -> Response:
        return json_response({"chains": await chains.listed(access.writer())})

    return blueprint


def _record(kept: KeptEvent) -> dict[str, object]:
    event, actor, subject = kept.event, kept.event.actor, kept.event.subject
    return {
        "sequence": kept.sequence,
        "at": event.at,
        "actor": {"kind": actor.kind, "id": actor.id, "name": actor.name, "address": actor.address},
        "action": event.action,
        "subject": {"kind": subject.kind, "uid": subject.uid, "study_uid": subject.study_uid},
        "outcome": event.outcome,
        "reason": event.reason,
        "instances": event.instances,
        "size_bytes": event.size_bytes,
        "hash": kept.hash,
    }
