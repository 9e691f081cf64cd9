"""``POST /api/uploads``: one file as the whole body, streamed to the spool, never whole in memory.

Plain ASGI and not a Quart resource, because Quart takes a body in without back-pressure: here the next piece is
asked for when the last one is on its way to the disk.
"""

from __future__ import annotations

import msgspec

from appliance.domain.accounts import Right
from appliance.domain.errors import ApplianceError, BadRequest, TooLarge
from appliance.domain.identifiers import InstitutionId
from appliance.http.access import Access
from appliance.http.asgi import Receive, Scope, Send, answer, header, refuse
from appliance.services.ingest import Ingest, Stored
from appliance.services.metrics import Metrics

PATH = "/api/uploads"
_STATUS = {"stored": 201, "already-there": 200}
_HEADERS = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


class Uploads:
    """The resource."""

    def __init__(
        self, ingest: Ingest, access: Access, metrics: Metrics, *, institution_id: InstitutionId, limit_bytes: int
    ) -> None:
        self._ingest = ingest
        self._access = access
        self._metrics = metrics
        self._institution_id = institution_id
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._access.writer_of(scope).require(Right.STORE, at=self._institution_id)
            self._check_length(scope)
            stored = await self._store(receive)
        except ApplianceError as error:
            self._metrics.instances.labels(error.key).inc()
            await refuse(send, error)
            return
        except ClientGone:
            return
        self._metrics.instances.labels(stored.outcome).inc()
        await answer(send, _STATUS[stored.outcome], msgspec.json.encode(stored), _HEADERS)

    def _check_length(self, scope: Scope) -> None:
        """Refuses by the declared length, before anything is read."""
        declared = header(scope, b"content-length")
        if declared is None:
            return
        if not declared.isascii() or not declared.isdigit():
            raise BadRequest("Content-Length is not a number", parameter="Content-Length")
        if int(declared) > self._limit_bytes:
            raise TooLarge(f"An instance may have {self._limit_bytes} bytes", limit_bytes=self._limit_bytes)

    async def _store(self, receive: Receive) -> Stored:
        async with self._ingest.receive() as reception:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                await reception.write(message.get("body", b""))
                if not message.get("more_body", False):
                    return await reception.finish()


class ClientGone(Exception):
    """The browser went away in the middle of its upload; there is nobody to answer."""
