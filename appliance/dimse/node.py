"""The application entity of one DIMSE process: associations that were admitted, and what they ask for."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE, N_ACTION
from pynetdicom.transport import AddressInformation

from appliance.dimse.arrivals import Interrupted
from appliance.dimse.commitment import Commitment
from appliance.dimse.connections import Connection
from appliance.dimse.figures import Figures
from appliance.dimse.finding import Finding
from appliance.dimse.peers import DimseSettings, Peer, Verb
from appliance.dimse.retrieving import Retrieving
from appliance.dimse.sop_classes import SERVICES, offered_to
from appliance.dimse.statuses import Status
from appliance.dimse.storing import Storing
from appliance.dimse.transcoding import Transcoding
from appliance.dimse.upper_layer import SleepingAssociation
from appliance.services.audit import trail_of_store
from appliance.storage.database import Database
from appliance.storage.instances import InstanceStore
from appliance.storage.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

log = logging.getLogger(__name__)

_PDU_SLACK_BYTES = 1024
"""Some peers count the longest PDU without its items' heads."""

Service = Callable[[SleepingAssociation, Peer, Any, int], Status]


class Node:
    """Serves associations, each on threads of its own."""

    def __init__(
        self,
        settings: DimseSettings,
        figures: Figures,
        storing: Storing,
        store: InstanceStore,
        database: Database,
        *,
        transcoding: Transcoding,
    ) -> None:
        self._settings = settings
        self._figures = figures
        self._lock = threading.Lock()
        self._open: set[Acceptor] = set()
        self._database = database
        self.ae = ApplicationEntity(settings.ae_title)
        self.ae.maximum_associations = 1_000_000  # counted here, over the ones that are really open
        self.ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self.ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        trail = trail_of_store(Path(settings.store_directory))
        retrieving = Retrieving(settings, self.ae, store, database, transcoding=transcoding, trail=trail)
        self._commitment = Commitment(settings, self.ae, store, database)
        self._services: dict[type, tuple[Verb, Service]] = {
            C_ECHO: ("echo", _echo),
            C_STORE: ("store", storing.serve),
            C_FIND: ("find", Finding(database, settings.ae_title, trail).serve),
            C_GET: ("get", retrieving.get),
            C_MOVE: ("move", retrieving.move),
            N_ACTION: ("commit", self._commitment.serve),
        }

    def admit(self, connected: socket.socket, request: bytes, peer: Peer, host: str) -> bool:
        """The association goes on by itself; False if there are too many."""
        with self._lock:
            if len(self._open) >= self._settings.limits.associations:
                return False
            acceptor = Acceptor(self, connected, request, peer, host)
            self._open.add(acceptor)
        self._figures.association("admitted", opened=1)
        acceptor.start()
        return True

    def start(self) -> None:
        """What was promised before is kept."""
        self._commitment.start()

    def stop(self, timeout_s: float) -> None:
        """Associations are aborted, once what they were doing is done or the time is over."""
        deadline = time.monotonic() + timeout_s
        self._commitment.stop()
        with self._lock:
            still_open = list(self._open)
        for acceptor in still_open:
            acceptor.stop_soon()
        for acceptor in still_open:
            acceptor.join(max(0.0, deadline - time.monotonic()))

    def ended(self, acceptor: Acceptor) -> None:
        with self._lock:
            self._open.discard(acceptor)
        self._figures.association_ended()
        self._database.close()  # the connection of this thread

    def serve(self, association: SleepingAssociation, peer: Peer, request: Any, context_id: int) -> None:
        """A request is answered, or the association is aborted."""
        verb, service = self._services.get(type(request), ("unknown", None))
        if service is None or not request.is_valid_request or not _is_for(verb, association, context_id):
            log.warning("a peer asks for what is not offered", extra={"calling": peer.ae_title})
            self._figures.operation(verb, Status.UNRECOGNIZED_OPERATION.outcome)
            association.abort()
            return
        try:
            status = service(association, peer, request, context_id)
        except (Interrupted, ConnectionError) as error:
            log.warning("an association ended in the middle", extra={"calling": peer.ae_title, "verb": verb})
            self._figures.operation(verb, "interrupted" if isinstance(error, Interrupted) else "stalled")
            association.abort()
            return
        self._figures.operation(verb, status.outcome)


class Acceptor(SleepingAssociation):
    """An association that a peer asked for."""

    def __init__(self, node: Node, connected: socket.socket, request: bytes, peer: Peer, host: str) -> None:
        limits = node._settings.limits
        super().__init__(
            node.ae,
            MODE_ACCEPTOR,
            idle_s=limits.idle_s,
            serve=lambda association, message, context_id: node.serve(association, peer, message, context_id),
        )
        self._node = node
        self.name = f"AcceptorThread {peer.ae_title}"
        self.set_socket(
            Connection(
                self,
                connected,
                first=request,
                idle_s=limits.idle_s,
                longest_pdu_bytes=max(limits.pdu_bytes + _PDU_SLACK_BYTES, len(request)),
            )
        )
        self.acceptor.maximum_length = limits.pdu_bytes
        self.acceptor.ae_title = node.ae.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(connected.getsockname())
        self.acceptor.implementation_class_uid = node.ae.implementation_class_uid
        self.acceptor.implementation_version_name = node.ae.implementation_version_name
        self.requestor.address_info = AddressInformation.from_tuple(connected.getpeername())

        def offer(event: evt.Event) -> None:
            asked = self.requestor.primitive
            self.acceptor.supported_contexts = offered_to(peer.verbs, asked.presentation_context_definition_list)  # type: ignore[union-attr]

        self.bind(evt.EVT_REQUESTED, offer)

    def run_reactor(self) -> None:
        """To the end of the association, whatever it is; nothing remains open."""
        try:
            super().run_reactor()
        except Exception as error:
            # The edge of the thread. The text of an error may quote the peer: its type says enough.
            log.error("an association fails", extra={"error": type(error).__name__})
        finally:
            self.kill_quickly()
            self._node.ended(self)

    def stop_soon(self) -> None:
        """Ends after the request that is being answered."""
        self._kill = True
        self.dimse.msg_queue.put((None, None))

    def kill_quickly(self) -> None:
        self._kill = True
        self.is_established = False
        self.dul.kill_dul()
        self.dul.join(2 * self.idle_s)
        if self.dul.socket is not None:
            self.dul.socket.close()


def _is_for(verb: str, association: SleepingAssociation, context_id: int) -> bool:
    """Whether a request came in a context of its service: what a peer may ask for is decided by its contexts."""
    if verb == "store":
        return True  # answered with a status, once its data set has come
    _, needed = SERVICES.get(str(association._accepted_cx[context_id].abstract_syntax), ("", ""))
    return needed == verb


def _echo(association: SleepingAssociation, peer: Peer, request: C_ECHO, context_id: int) -> Status:
    answer = C_ECHO()
    answer.MessageIDBeingRespondedTo = request.MessageID
    answer.AffectedSOPClassUID = request.AffectedSOPClassUID
    answer.Status = Status.SUCCESS
    association.dimse.send_msg(answer, context_id)
    return Status.SUCCESS
