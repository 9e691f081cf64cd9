"""HTTP/2 as hypercorn speaks it, but for the order in which answers are sent.

hypercorn (0.18) keeps the tree of dependencies of RFC 7540, which RFC 9113 has given up, and which a browser can bring down: a
PRIORITY frame for a stream that has just ended, as Chromium sends it when a page drops a picture that is under way, or a
request that depends on one, puts a dead stream into the tree (kin of pgjones/hypercorn#197). Once it is scheduled, or a
thousand of them are there, the connection fails with every request on it. Here the order is that of RFC 9218, and the browser
is told so by SETTINGS_NO_RFC7540_PRIORITIES.
"""

from __future__ import annotations

from typing import Any

import hypercorn.protocol
from h2.events import Event, PriorityUpdated, RequestReceived, UnknownFrameReceived
from h2.settings import Settings
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h2 import H2Protocol
from priority.priority import DeadlockError, MissingStreamError

from appliance.http.priorities import UNSAID, Priority, priority_of, read_priority

_NO_RFC7540_PRIORITIES = 0x9
_PRIORITY_UPDATE = 0x10
_STREAM_ID_BYTES = 4


class SendOrder:
    """The streams of a connection that have something to send, in the place of hypercorn's tree and with its words."""

    def __init__(self) -> None:
        self._priorities: dict[int, Priority] = {}
        self._ready: dict[int, None] = {}  # in the order of their turns

    def insert_stream(self, stream_id: int) -> None:
        self._priorities.setdefault(stream_id, UNSAID)

    def remove_stream(self, stream_id: int) -> None:
        self._priorities.pop(stream_id, None)
        self._ready.pop(stream_id, None)

    def block(self, stream_id: int) -> None:
        """It has nothing to send, or may not."""
        self._ready.pop(stream_id, None)

    def unblock(self, stream_id: int) -> None:
        if stream_id not in self._priorities:
            raise MissingStreamError(f"stream {stream_id} is not there")
        self._ready.setdefault(stream_id, None)

    def prioritize(self, stream_id: int, priority: Priority) -> None:
        """Of a stream that is there; any other is over, or has not come and will say so itself."""
        if stream_id in self._priorities:
            self._priorities[stream_id] = priority

    def priority(self, stream_id: int) -> Priority:
        return self._priorities.get(stream_id, UNSAID)

    def __next__(self) -> int:
        """The stream whose turn it is; raises DeadlockError when there is none."""
        if not self._ready:
            raise DeadlockError("no stream has anything to send")
        stream_id = min(self._ready, key=lambda one: self._priorities[one].rank(one))
        del self._ready[stream_id]
        self._ready[stream_id] = None
        return stream_id


class Http2(H2Protocol):
    """The HTTP/2 side of one connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.priority = SendOrder()  # type: ignore[assignment]
        settings: Any = {**self.connection.local_settings, _NO_RFC7540_PRIORITIES: 1}
        self.connection.local_settings = Settings(client=False, initial_values=settings)

    async def _create_stream(self, request: RequestReceived) -> None:
        assert request.stream_id is not None and request.headers is not None
        self.priority.insert_stream(request.stream_id)
        self._prioritize(request.stream_id, priority_of(request.headers))
        await super()._create_stream(request)

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response):
            order: Any = self.priority
            self._prioritize(event.stream_id, priority_of(event.headers, order.priority(event.stream_id)))
        await super().stream_send(event)

    async def _handle_events(self, events: list[Event]) -> None:
        await super()._handle_events(events)
        for event in events:
            if isinstance(event, UnknownFrameReceived):
                self._extension_received(event.frame)

    def _extension_received(self, frame: Any) -> None:
        if frame.type == _PRIORITY_UPDATE and len(frame.body) >= _STREAM_ID_BYTES:
            stream_id = int.from_bytes(frame.body[:_STREAM_ID_BYTES], "big") & 0x7FFFFFFF
            self._prioritize(stream_id, read_priority(frame.body[_STREAM_ID_BYTES:]))

    def _prioritize(self, stream_id: int, priority: Priority) -> None:
        order: Any = self.priority
        order.prioritize(stream_id, priority)

    async def _priority_updated(self, event: PriorityUpdated) -> None:
        """Of RFC 7540: a client that has not seen our settings yet may send it, and it says nothing here."""


def install() -> None:
    """hypercorn uses this for its HTTP/2 connections from now on. It offers no other way to say so."""
    hypercorn.protocol.H2Protocol = Http2  # type: ignore[attr-defined]
