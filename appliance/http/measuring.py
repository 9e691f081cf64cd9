"""Times every request, for the metrics and for the log. Neither gets a query string, which may hold what was searched for."""

from __future__ import annotations

import logging
import re
import time

from appliance.http.asgi import Application, Message, Receive, Scope, Send
from appliance.services.metrics import Metrics

log = logging.getLogger(__name__)

_NAMED = re.compile(
    r"(?<=/)(studies|series|instances|frames|patients|accounts|sessions|institutions|nodes|record-types)/[^/]+"
)
_KNOWN = re.compile(r"/(api|dicom-web)/[a-z/{}0-9-]*|/healthz|/readyz|/metrics")
_CLIENT_GONE = 499
"""In the figures only: the client went before an answer began."""


class Measuring:
    """An ASGI application around another."""

    def __init__(self, application: Application, metrics: Metrics) -> None:
        self._application = application
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        status = _CLIENT_GONE
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._application(scope, receive, noting)
        finally:
            took_s = time.perf_counter() - started
            labels = (resource_of(scope["path"], status), scope["method"], str(status), scope.get("http_version", ""))
            self._metrics.requests.labels(*labels).observe(took_s)
            log.info(
                "request",
                extra={
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round(took_s * 1000, 1),
                    "http": scope.get("http_version", ""),
                },
            )


def resource_of(path: str, status: int) -> str:
    """``path`` with identifiers replaced, so that there are as many labels as resources: ``/api/patients/{}``."""
    if status == 404:
        return "unknown"
    template = _NAMED.sub(r"\1/{}", path)
    return template if _KNOWN.fullmatch(template) else "page"
