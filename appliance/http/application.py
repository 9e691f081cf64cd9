"""The one application behind all listeners: the resources of the roles that this process plays."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from quart import Blueprint, Quart, Response
from werkzeug.exceptions import HTTPException

from appliance.domain.errors import ApplianceError
from appliance.http import problems
from appliance.http.asgi import Application, Receive, Scope, Send
from appliance.http.uploads import PATH as UPLOADS_PATH
from appliance.http.uploads import Uploads

log = logging.getLogger(__name__)

_LARGEST_JSON_BYTES = 8 << 20
"""A batch of changes from a child is the largest; files come in by ``uploads``, which streams."""
_BODY_TIMEOUT_S = 60
_QUART_PREFIXES = ("/api/", "/dicom-web/", "/fhir/")
_QUART_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


def resources(blueprints: Iterable[Blueprint]) -> Quart:
    """A Quart application of ``blueprints`` that answers every refusal as a problem."""
    quart = Quart(__name__, static_folder=None)
    quart.config["MAX_CONTENT_LENGTH"] = _LARGEST_JSON_BYTES
    quart.config["BODY_TIMEOUT"] = _BODY_TIMEOUT_S
    quart.config["RESPONSE_TIMEOUT"] = None  # a slow line may take minutes over one picture
    quart.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    for blueprint in blueprints:
        quart.register_blueprint(blueprint)
    quart.register_error_handler(ApplianceError, _refused)
    quart.register_error_handler(HTTPException, _refused_by_quart)
    quart.register_error_handler(Exception, _failed)
    return quart


class Streamed(Protocol):
    """A resource that is plain ASGI, for its back-pressure."""

    def takes(self, scope: Scope) -> bool:
        """Whether a request is for this resource."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Root:
    """Sends each request to the part that answers it: what is streamed, the other resources, or the page."""

    def __init__(
        self,
        quart: Application,
        page: Application | None,
        uploads: Uploads | None,
        streamed: Sequence[Streamed] = (),
    ) -> None:
        self._quart = quart
        self._page = page
        self._uploads = uploads
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._part(scope)(scope, receive, send)

    def _part(self, scope: Scope) -> Application:
        path = scope["path"]
        if self._uploads and path == UPLOADS_PATH and scope["method"] == "POST":
            return self._uploads
        for resource in self._streamed:
            if resource.takes(scope):
                return resource
        if path.startswith(_QUART_PREFIXES) or path in _QUART_PATHS or self._page is None:
            return self._quart
        return self._page


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan protocol. What is opened and closed is opened and closed by the assembly, around the listeners."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _refused(error: ApplianceError) -> Response:
    return _problem(problems.status_of(error), problems.body_of(error), problems.headers_of(error))


async def _refused_by_quart(error: HTTPException) -> Response:
    status = error.code or 500
    key = {404: "no-such-resource", 405: "method-not-allowed", 413: "too-large"}.get(status, "bad-request")
    headers = dict(error.get_headers()) if status == 405 else {}
    headers.pop("Content-Type", None)
    return _problem(status, problems.problem(status, key, error.name), headers)


async def _failed(error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return _problem(500, problems.problem(500, "internal", "Something went wrong here; it was written to the log"), {})


def _problem(status: int, body: bytes, headers: dict[str, str]) -> Response:
    response = Response(body, status, headers=headers, content_type=problems.CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response
