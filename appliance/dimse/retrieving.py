"""C-GET and C-MOVE (PS3.4 C.4.2 and C.4.3): the instances that were asked for, each a C-STORE of its own, counted as they go."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from io import BytesIO

from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_primitives import C_GET, C_MOVE

from appliance.dimse.peers import DimseSettings, Peer, find_peer
from appliance.dimse.sending import Originator, Sender, call, contexts_for, hang_up
from appliance.dimse.sop_classes import STUDY_ROOT
from appliance.dimse.statuses import Status, status_of
from appliance.dimse.transcoding import Transcoding
from appliance.dimse.upper_layer import SleepingAssociation
from appliance.domain.audit import Action, Event, dicom_subject
from appliance.domain.errors import ApplianceError, NotFound, Unavailable
from appliance.domain.identifiers import StudyUid
from appliance.services import audit
from appliance.services.audit import AuditTrail
from appliance.storage import dimse_queries
from appliance.storage.database import Database
from appliance.storage.dimse_queries import HeldInstance, Level
from appliance.storage.instances import InstanceStore

log = logging.getLogger(__name__)

_WARNINGS = range(0xB000, 0xC000)
_LONGEST_FAILED_LIST = 10_000


@dataclass(slots=True)
class _Progress:
    """The counts of sub-operations (PS3.7 §9.1.3)."""

    remaining: int
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)
    reason: str = ""
    """Why the first of them failed here."""

    def add(self, instance_uid: str, status: int | None) -> None:
        self.remaining -= 1
        if status == Status.SUCCESS:
            self.completed += 1
        elif status is not None and status in _WARNINGS:
            self.warning += 1
        else:
            self.failed.append(instance_uid)

    @property
    def status(self) -> Status:
        """Of the last response."""
        return Status.SOME_FAILED if self.failed or self.warning else Status.SUCCESS


class Retrieving:
    """Both services, for any number of associations."""

    def __init__(
        self,
        settings: DimseSettings,
        ae: ApplicationEntity,
        store: InstanceStore,
        database: Database,
        *,
        transcoding: Transcoding,
        trail: AuditTrail,
    ) -> None:
        self._transcoding = transcoding
        self._settings = settings
        self._trail = trail
        self._ae = ae
        self._store = store
        self._database = database

    def get(self, association: SleepingAssociation, peer: Peer, request: C_GET, context_id: int) -> Status:
        """Instances go back on the same association."""
        try:
            instances = self._asked(association, request, context_id)
            self._put_on_record(association, peer, instances)
        except ApplianceError as error:
            return _refuse(association, request, context_id, error)
        sender = Sender(association, self._store, self._transcoding, None)
        return self._send(association, request, context_id, instances, sender)

    def move(self, association: SleepingAssociation, peer: Peer, request: C_MOVE, context_id: int) -> Status:
        """Instances go to a peer that the settings know."""
        try:
            destination = self._destination(str(request.MoveDestination or "").strip())
            instances = self._asked(association, request, context_id)
            self._put_on_record(association, peer, instances, to=destination.ae_title)
            there = call(self._ae, self._settings, destination, contexts_for(instances)) if instances else None
        except ApplianceError as error:
            return _refuse(association, request, context_id, error)
        if there is None:
            return _finish(association, request, context_id, _Progress(0), Status.SUCCESS)
        try:
            sender = Sender(there, self._store, self._transcoding, Originator(peer.ae_title, request.MessageID or 0))
            return self._send(association, request, context_id, instances, sender)
        finally:
            hang_up(there)

    def _asked(self, association: SleepingAssociation, request: C_GET | C_MOVE, context_id: int) -> list[HeldInstance]:
        context = association._accepted_cx[context_id]
        wanted = dimse_queries.read_identifier(
            request.Identifier.getvalue() if request.Identifier else b"",
            str(context.transfer_syntax[0]),
            top=Level.STUDY if context.abstract_syntax in STUDY_ROOT else Level.PATIENT,
        )
        return self._database.read(lambda tx: dimse_queries.instances_to_send(tx, wanted))

    def _put_on_record(
        self, association: SleepingAssociation, peer: Peer, instances: list[HeldInstance], *, to: str = ""
    ) -> None:
        """Who retrieves, and whereto, for each study: before anything goes out."""
        by = audit.peer(peer.ae_title, str(association.requestor.address))
        for study_uid, of_study in itertools.groupby(
            sorted(instances, key=lambda one: one.study_uid), key=lambda one: one.study_uid
        ):
            sizes = [one.size_bytes for one in of_study]
            subject = dicom_subject(StudyUid(study_uid))
            event = Event(by, Action.RETRIEVE, subject, reason=to, instances=len(sizes), size_bytes=sum(sizes))
            self._trail.put(self._database, event)

    def _destination(self, ae_title: str) -> Peer:
        peer = find_peer(self._settings, ae_title)
        if peer is None or peer.port is None:
            raise NotFound("the destination is not known", key="move-destination-unknown")
        return peer

    def _send(
        self,
        association: SleepingAssociation,
        request: C_GET | C_MOVE,
        context_id: int,
        instances: list[HeldInstance],
        sender: Sender,
    ) -> Status:
        progress = _Progress(len(instances))
        for number, instance in enumerate(instances):
            if association.is_cancelled(request.MessageID):
                return _finish(association, request, context_id, progress, Status.CANCELLED)
            try:
                status: int | None = sender.send(instance)
            except ApplianceError as error:
                log.warning(
                    "an instance is not sent", extra={"reason": error.key, "instance_uid": instance.instance_uid}
                )
                progress.reason = progress.reason or f"{error.key}: {error.message}"
                status = None
            except ConnectionError:
                if sender.is_on(association):
                    raise
                log.warning("the destination of a C-MOVE has gone", extra={"sent": number})
                for lost in instances[number:]:
                    progress.add(lost.instance_uid, None)
                break
            progress.add(instance.instance_uid, status)
            if progress.remaining:
                _answer(association, request, context_id, progress, Status.PENDING)
        return _finish(association, request, context_id, progress, progress.status)


def _refuse(
    association: SleepingAssociation, request: C_GET | C_MOVE, context_id: int, error: ApplianceError
) -> Status:
    status = Status.DESTINATION_UNKNOWN if isinstance(error, Unavailable) else status_of(error)
    log.warning("a retrieval is refused", extra={"reason": error.key})
    _answer(association, request, context_id, None, status, comment=error.message)
    return status


def _finish(
    association: SleepingAssociation,
    request: C_GET | C_MOVE,
    context_id: int,
    progress: _Progress,
    status: Status,
) -> Status:
    syntax = str(association._accepted_cx[context_id].transfer_syntax[0])
    failed = progress.failed[:_LONGEST_FAILED_LIST]
    _answer(
        association,
        request,
        context_id,
        progress,
        status,
        identifier=dimse_queries.encoded_failures(failed, syntax) if failed else b"",
        comment=progress.reason,
    )
    return status


def _answer(
    association: SleepingAssociation,
    request: C_GET | C_MOVE,
    context_id: int,
    progress: _Progress | None,
    status: Status,
    *,
    identifier: bytes = b"",
    comment: str = "",
) -> None:
    answer = type(request)()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.AffectedSOPClassUID
    answer.Status = status
    if progress is not None:
        if status in (Status.PENDING, Status.CANCELLED):
            answer.NumberOfRemainingSuboperations = progress.remaining
        answer.NumberOfCompletedSuboperations = progress.completed
        answer.NumberOfFailedSuboperations = len(progress.failed)
        answer.NumberOfWarningSuboperations = progress.warning
    if identifier:
        answer.Identifier = BytesIO(identifier)
    if comment:
        answer.ErrorComment = comment[:64]  # type: ignore[assignment]  # typed as None
    association.dimse.send_msg(answer, context_id)
