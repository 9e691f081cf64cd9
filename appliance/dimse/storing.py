"""C-STORE (PS3.4 annex B): bytes go as they come into the road of every instance, and are acknowledged when they are durable."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from pynetdicom.dimse_primitives import C_STORE

from appliance.dimse.arrivals import Arrival
from appliance.dimse.bridge import Bridge
from appliance.dimse.figures import Figures
from appliance.dimse.peers import Peer
from appliance.dimse.statuses import Status, status_of
from appliance.dimse.upper_layer import SleepingAssociation
from appliance.domain.errors import ApplianceError, BadRequest, NotAllowed, NotDicom
from appliance.domain.hierarchy import ParsedInstance
from appliance.domain.identifiers import InstanceUid, checked_uid
from appliance.services import audit
from appliance.storage import index
from appliance.storage.database import Database
from appliance.storage.instances import InstanceReader, InstanceStore
from appliance.storage.part10 import data_set_digest, file_head

log = logging.getLogger(__name__)

_LONGEST_COMMENT = 64
"""Error Comment is LO."""


class Storing:
    """The service, for any number of associations."""

    def __init__(self, bridge: Bridge, store: InstanceStore, database: Database, figures: Figures) -> None:
        self._bridge = bridge
        self._store = store
        self._database = database
        self._figures = figures

    def serve(self, association: SleepingAssociation, peer: Peer, request: C_STORE, context_id: int) -> Status:
        """The request is answered. Raises Interrupted, with nothing stored."""
        arrival = association.dimse.arrivals.popleft()
        try:
            outcome: str = self._stored(association, peer, request, context_id, arrival)
            status, comment = Status.SUCCESS, ""
        except ApplianceError as error:
            status, comment, outcome = status_of(error), error.message, error.key
            log.warning("an instance is refused", extra={"reason": error.key, "calling": peer.ae_title})
            arrival.drain()
        finally:
            arrival.interrupt()
        self._figures.instance(outcome)
        association.dimse.send_msg(_answer(request, status, comment), context_id)
        return status

    def _stored(
        self, association: SleepingAssociation, peer: Peer, request: C_STORE, context_id: int, arrival: Arrival
    ) -> Literal["stored", "already-there"]:
        if "store" not in peer.verbs:
            raise NotAllowed("this peer may not store")
        context = association._accepted_cx[context_id]
        sop_class_uid = checked_uid(str(request.AffectedSOPClassUID), "AffectedSOPClassUID")
        instance_uid = checked_uid(str(request.AffectedSOPInstanceUID), "AffectedSOPInstanceUID")
        syntax = str(context.transfer_syntax[0])
        if sop_class_uid != context.abstract_syntax:
            raise BadRequest("the SOP class is not that of the presentation context", key="sop-class-mismatch")

        async def check(parsed: ParsedInstance) -> None:
            if parsed.instance.sop_class_uid != sop_class_uid:
                raise NotDicom("the data set has another SOP class", key="sop-class-mismatch")
            if parsed.instance.instance_uid != instance_uid:
                raise NotDicom("the data set has another SOP instance UID", key="sop-instance-mismatch")
            key = await asyncio.to_thread(self._key_held, InstanceUid(instance_uid))
            if key is not None:
                with await reception.opened() as received:
                    if await asyncio.to_thread(self._holds_data_set_of, key, received):
                        raise _AlreadyThere

        try:
            by = audit.peer(peer.ae_title, str(association.requestor.address))
            with self._bridge.receive(by) as reception:
                reception.write(file_head(sop_class_uid, instance_uid, syntax))
                for piece in arrival.pieces():
                    reception.write(piece)
                return reception.finish(check).outcome
        except _AlreadyThere:
            return "already-there"

    def _key_held(self, instance_uid: InstanceUid) -> str | None:
        return self._database.read(lambda tx: index.key_of(tx, instance_uid))

    def _holds_data_set_of(self, key: str, received: InstanceReader) -> bool:
        """Whether this very data set is held, perhaps with other meta information before it."""
        with self._store.open(key) as held:
            return data_set_digest(held) == data_set_digest(received)


class _AlreadyThere(Exception):
    """The data set is held already."""


def _answer(request: C_STORE, status: Status, comment: str) -> C_STORE:
    answer = C_STORE()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.AffectedSOPClassUID
    answer.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
    answer.Status = status
    if comment:
        answer.ErrorComment = comment[:_LONGEST_COMMENT]  # type: ignore[assignment]  # typed as None
    return answer
