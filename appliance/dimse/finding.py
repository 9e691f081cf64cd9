"""C-FIND (PS3.4 C.4.1)."""

from __future__ import annotations

from io import BytesIO

from pynetdicom.dimse_primitives import C_FIND

from appliance.dimse.peers import Peer
from appliance.dimse.sop_classes import STUDY_ROOT
from appliance.dimse.statuses import Status, status_of
from appliance.dimse.upper_layer import SleepingAssociation
from appliance.domain.audit import Action, Event, Subject
from appliance.domain.errors import ApplianceError
from appliance.services import audit
from appliance.services.audit import AuditTrail
from appliance.storage import dimse_queries
from appliance.storage.database import Database
from appliance.storage.dimse_queries import Level


class Finding:
    """The service, for any number of associations."""

    def __init__(self, database: Database, ae_title: str, trail: AuditTrail) -> None:
        self._database = database
        self._trail = trail
        self._ae_title = ae_title

    def serve(self, association: SleepingAssociation, peer: Peer, request: C_FIND, context_id: int) -> Status:
        """All matches are sent, and the last answer after them."""
        context = association._accepted_cx[context_id]
        try:
            wanted = dimse_queries.read_identifier(
                request.Identifier.getvalue() if request.Identifier else b"",
                str(context.transfer_syntax[0]),
                top=Level.STUDY if context.abstract_syntax in STUDY_ROOT else Level.PATIENT,
            )
            found, may_be_more = self._database.read(lambda tx: dimse_queries.find(tx, wanted))
        except ApplianceError as error:
            status = status_of(error)
            _answer(association, request, context_id, status, comment=error.message)
            return status
        by = audit.peer(peer.ae_title, str(association.requestor.address))
        self._trail.put(self._database, Event(by, Action.SEARCH, Subject("study")))
        pending = Status.PENDING_NOT_ALL_KEYS if wanted.others else Status.PENDING
        for match in found:
            if association.is_cancelled(request.MessageID):
                _answer(association, request, context_id, Status.CANCELLED)
                return Status.CANCELLED
            data = dimse_queries.encoded_match(match, wanted, self._ae_title)
            _answer(association, request, context_id, pending, data)
        status = Status.LIMIT_REACHED if may_be_more else Status.SUCCESS
        _answer(association, request, context_id, status)
        return status


def _answer(
    association: SleepingAssociation,
    request: C_FIND,
    context_id: int,
    status: Status,
    identifier: bytes = b"",
    *,
    comment: str = "",
) -> None:
    answer = C_FIND()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.AffectedSOPClassUID
    answer.Status = status
    if identifier:
        answer.Identifier = BytesIO(identifier)
    if comment:
        answer.ErrorComment = comment[:64]  # type: ignore[assignment]  # typed as None
    association.dimse.send_msg(answer, context_id)
