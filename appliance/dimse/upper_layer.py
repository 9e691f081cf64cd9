"""pynetdicom's association, made to sleep until something happens and to stream what is stored.

What is changed of it, and why:

* the upper layer's thread waits in ``Connection.ready`` and is woken by what it is given to send;
* the association's thread waits for its next message and is woken by a release or an abort;
* what is to be sent waits in a queue with an end, so that an object is not read into memory faster than it leaves;
* a C-STORE request is handed on when its command is complete, and its data set follows in pieces (``Arrival``):
  pynetdicom would hold it in memory whole, or in a file of its own, in the clear;
* commands and identifiers have a longest length, and so has the queue of requests.

The internals that it relies on are those of the pinned version.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pynetdicom import _config
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import A_ABORT, A_P_ABORT, A_RELEASE, P_DATA

from appliance.dimse.arrivals import Arrival
from appliance.dimse.connections import Connection

T = TypeVar("T")

log = logging.getLogger(__name__)

_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False  # they are patients
_config.LOG_RESPONSE_IDENTIFIERS = False

_LONGEST_COMMAND_BYTES = 64 * 1024
_LONGEST_IDENTIFIER_BYTES = 4 * 1024 * 1024
"""A C-MOVE or a commitment request that names 30,000 instances has 2 MiB."""
_MOST_WAITING_MESSAGES = 64
"""Nobody needs more than one: an asynchronous window is not negotiated."""
_MOST_WAITING_PDUS = 16
_PAUSE_S = 0.0002
"""pynetdicom sleeps so long after it found nothing to do; then it waits in ``Connection.ready``."""


class _Outgoing(queue.Queue[Any]):
    """What is to be sent: wakes the thread that sends, and waits while much is there."""

    def __init__(self, provider: Provider, idle_s: float) -> None:
        super().__init__(_MOST_WAITING_PDUS)
        self._provider = provider
        self._idle_s = idle_s

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Raises ConnectionError when the peer takes nothing for the idle time."""
        try:
            super().put(item, timeout=self._idle_s)
        except queue.Full:
            raise ConnectionError("the peer does not take what it is sent") from None
        self._provider.wake()


class _ForUser(queue.Queue[Any]):
    """Indications for the association's thread, which may be waiting for a message."""

    def __init__(self, association: SleepingAssociation) -> None:
        super().__init__()
        self._association = association

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item)
        if isinstance(item, A_RELEASE | A_ABORT | A_P_ABORT):
            self._association.dimse.interrupt()


class Provider(DULServiceProvider):
    """The upper layer of one association."""

    def __init__(self, assoc: SleepingAssociation, idle_s: float) -> None:
        super().__init__(assoc)
        self.daemon = True
        self._run_loop_delay = _PAUSE_S
        self.to_provider_queue = _Outgoing(self, idle_s)
        self.to_user_queue = self._for_user = _ForUser(assoc)

    def run_reactor(self) -> None:
        """To the end of the connection; an event that is in no row of the state's table (PS3.8 §9.2.3) is an end too."""
        try:
            super().run_reactor()
        except InvalidEventError:
            log.warning("an association ended out of order")
            if self.socket is not None:
                self.socket.close()
            self.kill_dul()

    def wake(self) -> None:
        if isinstance(self.socket, Connection):
            self.socket.wake()

    def kill_dul(self) -> None:
        super().kill_dul()
        self._for_user.put(None)  # nothing more will come, to whoever waits for it
        self.wake()

    def stop_dul(self) -> bool:
        self.wake()
        return super().stop_dul()


class Messages(DIMSEServiceProvider):
    """Assembles messages; the data sets of C-STORE requests come out as they come in."""

    def __init__(self, assoc: Association, idle_s: float) -> None:
        super().__init__(assoc)
        self._idle_s = idle_s
        self._arriving: Arrival | None = None
        self.arrivals: deque[Arrival] = deque()
        """Data sets of the C-STORE requests in ``msg_queue``, in the same order."""

    def get_msg(self, block: bool = False) -> Any:
        """As pynetdicom's; one that would return at once waits to be woken instead."""
        try:
            return self.msg_queue.get(timeout=self.dimse_timeout if block else 0.5)
        except queue.Empty:
            return None, None

    def interrupt(self) -> None:
        """Who waits for a message or for pieces looks at the association again."""
        self.msg_queue.put((None, None))
        arriving = self._arriving
        if arriving is not None:
            arriving.interrupt()

    def send_pieces(self, pieces: Iterable[P_DATA]) -> None:
        """One message, made while it is sent. Raises ConnectionError when the peer does not take it."""
        for piece in pieces:
            if not self.dul.is_alive():
                raise ConnectionError("the association has gone")
            self.dul.send_pdu(piece)

    def answer(self, kind: type[T]) -> T:
        """The peer's answer to what was sent. Raises ConnectionError when there is none."""
        deadline = time.monotonic() + self._idle_s
        while time.monotonic() < deadline:
            _, message = self.get_msg()
            if isinstance(message, kind) and getattr(message, "Status", None) is not None:
                return message
            if message is not None or self.dul.peek_next_pdu() is not None or not self.dul.is_alive():
                break
        raise ConnectionError("the peer does not answer")

    def receive_primitive(self, primitive: P_DATA) -> None:
        try:
            self._receive(primitive)
        except Exception as error:
            # The edge of what a peer may send. The text of an error may quote it: its type says enough.
            log.warning("a DIMSE message cannot be understood", extra={"error": type(error).__name__})
            self.dul.event_queue.put("Evt19")

    def _receive(self, primitive: P_DATA) -> None:
        message = self.message = self.message or DIMSEMessage()
        is_complete = message.decode_msg(primitive, self.assoc)
        if isinstance(message, C_STORE_RQ):
            self._stream(message, is_complete)
        elif is_complete:
            self._take(message)
        _check_lengths(message)
        if is_complete:
            self.message = None

    def _stream(self, message: C_STORE_RQ, is_complete: bool) -> None:
        """The data set goes on its way, as far as it has come; the request before it."""
        if self._arriving is None:
            self._arriving = Arrival(self._idle_s)
            self.arrivals.append(self._arriving)
            self._take(message)
        assert message.data_set is not None
        self._arriving.put(message.data_set.getvalue())
        message.data_set.seek(0)
        message.data_set.truncate()
        if is_complete:
            self._arriving.end()
            self._arriving = None

    def _take(self, message: DIMSEMessage) -> None:
        primitive = message.message_to_primitive()
        if isinstance(primitive, C_CANCEL):
            if len(self.cancel_req) < _MOST_WAITING_MESSAGES and primitive.MessageIDBeingRespondedTo is not None:
                self.cancel_req[primitive.MessageIDBeingRespondedTo] = primitive
        elif self.msg_queue.qsize() >= _MOST_WAITING_MESSAGES:
            raise ValueError("too many requests wait")
        else:
            self.msg_queue.put((message.context_id, primitive))  # type: ignore[arg-type]


def _check_lengths(message: DIMSEMessage) -> None:
    if message.encoded_command_set.tell() > _LONGEST_COMMAND_BYTES:
        raise ValueError("the command is too long")
    if message.data_set is not None and message.data_set.tell() > _LONGEST_IDENTIFIER_BYTES:
        raise ValueError("the identifier is too long")


class SleepingAssociation(Association):
    """An association, either way. ``serve`` answers requests of the peer, on this thread."""

    dimse: Messages

    def __init__(
        self,
        ae: ApplicationEntity,
        mode: str,
        *,
        idle_s: float,
        serve: Callable[[SleepingAssociation, Any, int], None] | None = None,
    ) -> None:
        super().__init__(ae, mode)
        self.dul = Provider(self, idle_s)
        self.dimse = Messages(self, idle_s)
        self.idle_s = idle_s
        self.acse_timeout = self.dimse_timeout = self.network_timeout = idle_s
        self._serve = serve

    def is_cancelled(self, message_id: int | None) -> bool:
        """Whether the peer wants no more of this request (PS3.7 §9.3.2.3)."""
        return message_id in self.dimse.cancel_req

    def _run_reactor(self) -> None:
        while not self._kill:
            context_id, message = self.dimse.get_msg()
            if message is not None:
                self._serve_request(message, context_id)
            if self.is_established and self.acse.is_release_requested():
                self.acse.send_release(is_response=True)
                self.is_released, self.is_established = True, False
                self.kill()
            elif self.acse.is_aborted():
                self.is_aborted = True
                self.kill()
            elif not self.dul.is_alive():
                self.kill()
            elif self.dul.idle_timer_expired():
                self.abort()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        self._is_paused = True  # as abort() of this very thread expects
        if context_id not in self._accepted_cx or self._serve is None:
            self.abort()
            return
        self._serve(self, msg, context_id)
        self.dimse.cancel_req.clear()
        self.dul._idle_timer.restart()  # the peer was waiting for us
