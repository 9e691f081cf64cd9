"""Storage commitment, push model (PS3.4 annex J): which of the instances that a peer names are kept, durably and whole.

The request is answered at once, the result follows: to the port of the peer, on an association of ours, tried again for a
while; or on the same association where the settings name no port.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from io import BytesIO

from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.presentation import build_context

from appliance.dimse.peers import DimseSettings, Peer
from appliance.dimse.sending import call, hang_up
from appliance.dimse.sop_classes import COMMITMENT, COMMITMENT_INSTANCE, SERVICE_SYNTAXES
from appliance.dimse.statuses import Status
from appliance.dimse.upper_layer import SleepingAssociation
from appliance.domain.errors import ApplianceError, Unavailable
from appliance.storage import dimse_queries
from appliance.storage.database import Database
from appliance.storage.dimse_queries import CommitmentRequest, FailureReason
from appliance.storage.instances import InstanceStore

log = logging.getLogger(__name__)

_REQUEST_COMMITMENT = 1
_ALL_KEPT, _SOME_NOT = 1, 2
"""Event types (PS3.4 J.3.3.1)."""
_PAUSES_S = (0.2, 10, 60, 300, 1800)
"""Before each attempt to tell the result. The first lets the peer release the association that it asked on."""
_MOST_WAITING = 64
"""Results that wait to be told."""


class Commitment:
    """The service, for any number of associations."""

    def __init__(
        self, settings: DimseSettings, ae: ApplicationEntity, store: InstanceStore, database: Database
    ) -> None:
        self._settings = settings
        self._ae = ae
        self._store = store
        self._database = database
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """No more attempts."""
        self._stopping.set()

    def serve(self, association: SleepingAssociation, peer: Peer, request: N_ACTION, context_id: int) -> Status:
        """The request is answered, and its result on the way or told."""
        if request.ActionTypeID != _REQUEST_COMMITMENT:
            return _answer(association, request, context_id, Status.NO_SUCH_ACTION)
        syntax = str(association._accepted_cx[context_id].transfer_syntax[0])
        try:
            data = request.ActionInformation.getvalue() if request.ActionInformation else b""
            wanted = dimse_queries.read_commitment(data, syntax)
        except ApplianceError as error:
            log.warning("a commitment request cannot be understood", extra={"reason": error.key})
            return _answer(association, request, context_id, Status.PROCESSING_FAILURE)
        if peer.port is None:
            status = _answer(association, request, context_id, Status.SUCCESS)
            self._report(association, context_id, wanted)
            return status
        if not self._waiting.acquire(blocking=False):
            return _answer(association, request, context_id, Status.RESOURCE_LIMITATION)
        status = _answer(association, request, context_id, Status.SUCCESS)
        threading.Thread(target=self._tell, args=(peer, wanted), name="commitment", daemon=True).start()
        return status

    def _tell(self, peer: Peer, wanted: CommitmentRequest) -> None:
        """The result is told on an association of ours, or given up."""
        try:
            for pause_s in _PAUSES_S:
                if self._stopping.wait(pause_s):
                    return
                try:
                    told = self._called(peer, lambda there: self._report(there, next(iter(there._accepted_cx)), wanted))
                except Unavailable as error:
                    log.warning("a commitment is not told yet", extra={"reason": error.key, "peer": peer.ae_title})
                    continue
                if told:
                    return
            log.error(
                "a commitment is given up", extra={"transaction_uid": wanted.transaction_uid, "peer": peer.ae_title}
            )
        finally:
            self._database.close()  # the connection of this thread
            self._waiting.release()

    def _called(self, peer: Peer, use: Callable[[SleepingAssociation], bool]) -> bool:
        context = build_context(COMMITMENT, list(SERVICE_SYNTAXES[:2]))
        there = call(self._ae, self._settings, peer, [context], as_provider_of=COMMITMENT)
        try:
            return use(there)
        finally:
            hang_up(there)

    def _report(self, association: SleepingAssociation, context_id: int, wanted: CommitmentRequest) -> bool:
        """Whether the peer has the result."""
        failed = self._failed(wanted)
        syntax = str(association._accepted_cx[context_id].transfer_syntax[0])
        event = N_EVENT_REPORT()
        event.MessageID = 1
        event.AffectedSOPClassUID = COMMITMENT
        event.AffectedSOPInstanceUID = COMMITMENT_INSTANCE
        event.EventTypeID = _SOME_NOT if failed else _ALL_KEPT
        event.EventInformation = BytesIO(
            dimse_queries.encoded_commitment(wanted, failed, syntax, self._settings.ae_title)
        )
        try:
            association.dimse.send_msg(event, context_id)
            return association.dimse.answer(N_EVENT_REPORT).Status == Status.SUCCESS
        except ConnectionError:
            log.warning("a peer went before its commitment was told")
            return False

    def _failed(self, wanted: CommitmentRequest) -> dict[str, FailureReason]:
        """What is not kept, by instance, and why."""
        uids = [instance_uid for _, instance_uid in wanted.instances]
        held = self._database.read(lambda tx: dimse_queries.held_instances(tx, uids))
        failed: dict[str, FailureReason] = {}
        for sop_class_uid, instance_uid in wanted.instances:
            if instance_uid not in held:
                failed[instance_uid] = FailureReason.NO_SUCH_INSTANCE
            elif held[instance_uid].sop_class_uid != sop_class_uid:
                failed[instance_uid] = FailureReason.CLASS_INSTANCE_CONFLICT
            elif not self._store.is_whole(held[instance_uid].key):
                failed[instance_uid] = FailureReason.PROCESSING_FAILURE
        return failed


def _answer(association: SleepingAssociation, request: N_ACTION, context_id: int, status: Status) -> Status:
    answer = N_ACTION()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.RequestedSOPClassUID
    answer.AffectedSOPInstanceUID = request.RequestedSOPInstanceUID
    answer.ActionTypeID = request.ActionTypeID
    answer.Status = status
    association.dimse.send_msg(answer, context_id)
    return status
