"""Storage commitment, push model (PS3.4 annex J): which of the instances that a peer names are kept, durably and whole.

The request is answered at once, the result follows: to the port of the peer, on an association of ours, tried again for a
day, also by a process after this one; or on the same association where the settings name no port.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from io import BytesIO

from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.presentation import build_context

from appliance.dimse.peers import DimseSettings, Peer, find_peer
from appliance.dimse.sending import call, hang_up
from appliance.dimse.sop_classes import COMMITMENT, COMMITMENT_INSTANCE, SERVICE_SYNTAXES
from appliance.dimse.statuses import Status
from appliance.dimse.upper_layer import SleepingAssociation
from appliance.domain.errors import ApplianceError, Unavailable
from appliance.storage import commitments, dimse_queries
from appliance.storage.commitments import Promised
from appliance.storage.database import Database, Transaction
from appliance.storage.dimse_queries import CommitmentRequest, FailureReason
from appliance.storage.instances import InstanceStore

log = logging.getLogger(__name__)

_REQUEST_COMMITMENT = 1
_ALL_KEPT, _SOME_NOT = 1, 2
"""Event types (PS3.4 J.3.3.1)."""
_PAUSES_S = (0.2, 10, 60, 300, 1800)
"""Before each attempt to tell the result, the last again and again. The first lets the peer release the association that it
asked on."""
_MOST_WAITING = 1000
"""Results that wait to be told."""
_EXPIRES_S = 24 * 3600
"""A peer that cannot be reached for a day asks again."""
_TELLERS = 2
"""One that waits for a peer which does not answer must not hold up all others."""
_LOOK_EVERY_S = 5.0
"""What another process promised, and died over, is found so."""
_MOST_TELLING_S = 300
"""Longer than telling may take: then another process takes it up."""


class Commitment:
    """The service, for any number of associations."""

    def __init__(
        self, settings: DimseSettings, ae: ApplicationEntity, store: InstanceStore, database: Database
    ) -> None:
        self._settings = settings
        self._ae = ae
        self._store = store
        self._database = database
        self._stopping = threading.Event()
        self._woken = threading.Condition()
        self._tellers = [threading.Thread(target=self._run, name="commitment", daemon=True) for _ in range(_TELLERS)]

    def start(self) -> None:
        """What was promised and not told yet, by this process or one before it, is told."""
        for teller in self._tellers:
            teller.start()

    def stop(self) -> None:
        """No more attempts; what is not told yet is told by the next process."""
        self._stopping.set()
        with self._woken:
            self._woken.notify_all()

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
        if not self._promised(peer, wanted):
            return _answer(association, request, context_id, Status.RESOURCE_LIMITATION)
        status = _answer(association, request, context_id, Status.SUCCESS)
        with self._woken:
            self._woken.notify()
        return status

    def _promised(self, peer: Peer, wanted: CommitmentRequest) -> bool:
        """Whether the peer will be told, whatever becomes of this process."""
        now_ms = _now_ms()
        due_ms, expires_ms = now_ms + int(_PAUSES_S[0] * 1000), now_ms + _EXPIRES_S * 1000

        def promise(tx: Transaction) -> bool:
            if commitments.count(tx) >= _MOST_WAITING:
                return False
            commitments.promise(tx, peer.ae_title, wanted, due_ms=due_ms, expires_ms=expires_ms)
            return True

        try:
            return self._database.run(promise)
        except Unavailable as error:
            log.warning("a commitment cannot be promised", extra={"reason": error.key})
            return False

    def _run(self) -> None:
        """Tells what is due, until it is stopped."""
        try:
            while not self._stopping.is_set():
                try:
                    rest_s = self._tell_next()
                except Exception as error:
                    # The edge of the thread, which must go on; what it had taken comes again. Its type says enough.
                    log.error("a commitment cannot be told", extra={"error": type(error).__name__})
                    rest_s = _LOOK_EVERY_S
                with self._woken:
                    if rest_s and not self._stopping.is_set():
                        self._woken.wait(rest_s)
        finally:
            self._database.close()  # the connection of this thread

    def _tell_next(self) -> float:
        """One that is due is told or put off; how long to rest after it, in seconds."""
        now_ms = _now_ms()
        due_ms = self._database.read(commitments.next_due_ms)
        if due_ms is None or due_ms > now_ms:
            return _LOOK_EVERY_S if due_ms is None else min(_LOOK_EVERY_S, (due_ms - now_ms) / 1000)
        until_ms = now_ms + _MOST_TELLING_S * 1000
        promised = self._database.run(lambda tx: commitments.take(tx, now_ms=now_ms, until_ms=until_ms))
        if promised is not None:
            self._tell(promised)
        return 0

    def _tell(self, promised: Promised) -> None:
        peer = find_peer(self._settings, promised.ae_title)
        if peer is None or peer.port is None or _now_ms() > promised.expires_ms:
            about = {"transaction_uid": promised.request.transaction_uid, "peer": promised.ae_title}
            log.error("a commitment is given up", extra=about)
            self._database.run(lambda tx: commitments.forget(tx, promised))
            return
        if self._is_told(peer, promised.request):
            self._database.run(lambda tx: commitments.forget(tx, promised))
            return
        pause_s = _PAUSES_S[min(promised.attempts + 1, len(_PAUSES_S) - 1)]
        due_ms = _now_ms() + int(pause_s * 1000)
        self._database.run(lambda tx: commitments.put_off(tx, promised, due_ms=due_ms))

    def _is_told(self, peer: Peer, wanted: CommitmentRequest) -> bool:
        """Whether the peer has taken the result, on an association of ours."""
        try:
            return self._called(peer, lambda there: self._report(there, next(iter(there._accepted_cx)), wanted))
        except Unavailable as error:
            log.warning("a commitment is not told yet", extra={"reason": error.key, "peer": peer.ae_title})
            return False

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


def _now_ms() -> int:
    return int(time.time() * 1000)


def _answer(association: SleepingAssociation, request: N_ACTION, context_id: int, status: Status) -> Status:
    answer = N_ACTION()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.RequestedSOPClassUID
    answer.AffectedSOPInstanceUID = request.RequestedSOPInstanceUID
    answer.ActionTypeID = request.ActionTypeID
    answer.Status = status
    association.dimse.send_msg(answer, context_id)
    return status
