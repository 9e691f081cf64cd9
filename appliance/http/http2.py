"""HTTP/2 as hypercorn speaks it, with what one browser's aborted request does to the others mended.

A PRIORITY frame for a stream that has just ended, as Chromium sends it when a page drops a picture that is under way, puts the
stream back into hypercorn's tree of streams to send (0.18; kin of pgjones/hypercorn#197). There it has nothing to send, which
fails the whole connection with every request on it; a thousand of them fill the tree, which does the same.
"""

from __future__ import annotations

import contextlib

import hypercorn.protocol
from h2.events import PriorityUpdated
from hypercorn.protocol.h2 import H2Protocol
from priority.priority import MissingStreamError


class Http2(H2Protocol):
    """The HTTP/2 side of one connection."""

    async def _send_data(self, stream_id: int) -> None:
        if stream_id in self.stream_buffers:
            await super()._send_data(stream_id)
        else:
            with contextlib.suppress(MissingStreamError):
                self.priority.remove_stream(stream_id)

    async def _priority_updated(self, event: PriorityUpdated) -> None:
        stream_id = event.stream_id or 0
        if stream_id in self.stream_buffers or stream_id > self.connection.highest_inbound_stream_id:
            await super()._priority_updated(event)


def install() -> None:
    """hypercorn uses this for its HTTP/2 connections from now on. It offers no other way to say so."""
    hypercorn.protocol.H2Protocol = Http2  # type: ignore[attr-defined]
