"""Instances on their way to a peer: bytes go out as they are kept, in pieces, behind a C-STORE command."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import AddressInformation

from appliance.dimse import tls
from appliance.dimse.connections import Connection
from appliance.dimse.peers import DimseSettings, Peer
from appliance.dimse.sop_classes import VERIFICATION
from appliance.dimse.transcoding import Transcoding
from appliance.dimse.upper_layer import SleepingAssociation
from appliance.domain.errors import ApplianceError, NotAcceptable, Unavailable
from appliance.storage.dimse_queries import HeldInstance
from appliance.storage.instances import InstanceReader, InstanceStore
from appliance.storage.part10 import data_set_offset
from appliance.storage.transcoding import TARGETS
from appliance.storage.transfer_syntaxes import IMPLICIT_LITTLE_ENDIAN

_CONNECT_TIMEOUT_S = 10.0
_MOST_CONTEXTS = 128
"""Odd numbers up to 255 (PS3.8 §9.3.2.2)."""
_LONGEST_PIECE_BYTES = 128 * 1024
_MEDIUM_PRIORITY = 0
_ITEM_HEAD_BYTES = 6
"""Of a presentation data value: length, context, control (PS3.8 §9.3.5.1)."""


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for what a C-MOVE sends (PS3.7 §9.1.1.1)."""

    ae_title: str
    message_id: int


class Sender:
    """Sends instances of the store on an association, in either direction of asking."""

    def __init__(
        self,
        association: SleepingAssociation,
        store: InstanceStore,
        transcoding: Transcoding,
        originator: Originator | None,
    ) -> None:
        self._association = association
        self._store = store
        self._transcoding = transcoding
        self._originator = originator
        self._message_ids = itertools.cycle(range(1, 65536))

    def is_on(self, association: SleepingAssociation) -> bool:
        return association is self._association

    def send(self, instance: HeldInstance) -> int:
        """The peer's status.

        As it is stored where the peer takes that, else in Explicit or Implicit VR Little Endian. Raises NotAcceptable with the
        reason where it can be had in nothing that the peer takes, NotFound and Damaged where ours is not whole, and
        ConnectionError.
        """
        context_id, syntax = self._context_for(instance)
        if syntax == instance.transfer_syntax_uid:
            with self._store.open(instance.key) as reader:
                self._association.dimse.send_pieces(self._messages(instance, context_id, _stored(reader)))
        else:
            pieces = self._transcoding.pieces(instance, syntax)
            try:
                self._association.dimse.send_pieces(self._messages(instance, context_id, pieces))
            except ApplianceError as error:
                # The peer has the beginning of a message whose end there is not.
                self._association.abort()
                raise ConnectionError("an instance breaks off") from error
        return self._status()

    def _context_for(self, instance: HeldInstance) -> tuple[int, str]:
        """The context in which an instance goes, and its transfer syntax: that of the instance, if the peer takes it."""
        taken = {
            str(context.transfer_syntax[0]): context_id
            for context_id, context in self._association._accepted_cx.items()
            if context.abstract_syntax == instance.sop_class_uid and context.as_scu
        }
        for syntax in (instance.transfer_syntax_uid, *TARGETS):
            if syntax in taken:
                return taken[syntax], syntax
        if not taken:
            raise NotAcceptable("the peer takes no instance of its SOP class", key="sop-class-not-taken")
        raise NotAcceptable("the peer takes its SOP class in no syntax that it can be had in", key="transfer-syntax")

    def _messages(self, instance: HeldInstance, context_id: int, pieces: Iterable[bytes]) -> Iterator[P_DATA]:
        """The command, then the data set, cut as the peer takes it; the last cut says that it is."""
        limit = self._association.dimse.maximum_pdu_size or _LONGEST_PIECE_BYTES
        length = min(limit, _LONGEST_PIECE_BYTES) - _ITEM_HEAD_BYTES
        message = C_STORE_RQ()
        message.primitive_to_message(self._request(instance))
        yield from message.encode_msg(context_id, limit)
        waiting = b""
        for piece in pieces:
            waiting += piece
            while len(waiting) > length:
                yield _data(context_id, waiting[:length], is_last=False)
                waiting = waiting[length:]
        yield _data(context_id, waiting, is_last=True)

    def _request(self, instance: HeldInstance) -> C_STORE:
        request = C_STORE()
        request.MessageID = next(self._message_ids)
        request.AffectedSOPClassUID = instance.sop_class_uid
        request.AffectedSOPInstanceUID = instance.instance_uid
        request.Priority = _MEDIUM_PRIORITY
        request.DataSet = BytesIO()  # it follows in pieces
        if self._originator is not None:
            request.MoveOriginatorApplicationEntityTitle = self._originator.ae_title
            request.MoveOriginatorMessageID = self._originator.message_id
        return request

    def _status(self) -> int:
        answer = self._association.dimse.answer(C_STORE)
        assert answer.Status is not None, "without it, it is no answer"
        return answer.Status


def _stored(reader: InstanceReader) -> Iterator[bytes]:
    """The data set as it is stored."""
    at = data_set_offset(reader)
    while piece := reader.read_at(at, _LONGEST_PIECE_BYTES):
        at += len(piece)
        yield piece


def _data(context_id: int, piece: bytes, *, is_last: bool) -> P_DATA:
    data = P_DATA()
    data.presentation_data_value_list.append((context_id, (b"\x02" if is_last else b"\x00") + piece))
    return data


def contexts_for(instances: Sequence[HeldInstance]) -> list[PresentationContext]:
    """What to propose so that instances can go as they are, each syntax in a context of its own, or else transcoded."""
    as_stored = dict.fromkeys((one.sop_class_uid, (one.transfer_syntax_uid,)) for one in instances)
    transcoded = dict.fromkeys((one.sop_class_uid, TARGETS) for one in instances)
    # With verification there is an association also where nothing else is taken, and each failure is told.
    kinds = [(VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,)), *as_stored, *transcoded]
    return [build_context(uid, list(syntaxes)) for uid, syntaxes in kinds][:_MOST_CONTEXTS]


def call(
    ae: ApplicationEntity,
    settings: DimseSettings,
    peer: Peer,
    contexts: Sequence[PresentationContext],
    *,
    as_provider_of: str | None = None,
) -> SleepingAssociation:
    """An association that this node asked for. ``as_provider_of`` a SOP class: roles are reversed. Raises Unavailable."""
    assert peer.port is not None, "who calls has looked"
    idle_s = settings.limits.idle_s
    try:
        connected = socket.create_connection((peer.hosts[0], peer.port), _CONNECT_TIMEOUT_S)
        if peer.tls:
            assert settings.tls is not None, "the settings were checked"
            connected = tls.for_calling(settings.tls).wrap_socket(connected)
    except OSError as error:
        raise Unavailable("a peer cannot be reached", key="peer-away", ae_title=peer.ae_title) from error
    association = SleepingAssociation(ae, MODE_REQUESTOR, idle_s=idle_s)
    association.set_socket(
        Connection(association, connected, first=b"", idle_s=idle_s, longest_pdu_bytes=settings.limits.pdu_bytes + 1024)
    )
    association.acceptor.ae_title = peer.ae_title
    association.acceptor.address_info = AddressInformation.from_tuple(connected.getpeername())
    association.requestor.address_info = AddressInformation.from_tuple(connected.getsockname())
    association.requestor.ae_title = ae.ae_title
    association.requestor.maximum_length = settings.limits.pdu_bytes
    association.requestor.implementation_class_uid = ae.implementation_class_uid
    association.requestor.implementation_version_name = ae.implementation_version_name
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    association.requestor.requested_contexts = list(contexts)
    if as_provider_of is not None:
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid = as_provider_of
        role.scu_role, role.scp_role = False, True
        association.requestor.add_negotiation_item(role)
    association.request()
    if not association.is_established:
        hang_up(association)
        raise Unavailable("a peer does not associate", key="peer-refuses", ae_title=peer.ae_title)
    return association


def hang_up(association: SleepingAssociation) -> None:
    """The association has ended, by a release if it still can; nothing of it remains."""
    if association.is_established:
        association.acse.negotiate_release()
    association.dul.kill_dul()
    deadline = time.monotonic() + association.idle_s
    while association.dul.is_alive() and time.monotonic() < deadline:
        association.dul.join(0.1)
    if association.dul.socket is not None:
        association.dul.socket.close()
