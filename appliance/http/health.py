"""``/healthz``, ``/readyz`` and ``/metrics``: how the appliance is, for a supervisor and for Prometheus."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence

from quart import Blueprint, Response, request

from appliance.domain.accounts import Right
from appliance.http.access import Access
from appliance.http.bodies import json_response
from appliance.services.metrics import Metrics

Check = Callable[[], Awaitable[str | None]]
"""What is missing of a part, in a few words; None when it is ready."""


Note = Callable[[], str | None]
"""What should be done about the machine, though all works; None when nothing should."""


def health(
    checks: Mapping[str, Check], notes: Sequence[Note], metrics: Metrics, access: Access, refresh: Callable[[], None]
) -> Blueprint:
    """``refresh`` brings the gauges up to date before they are printed."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    async def lives() -> Response:
        return json_response({"alive": True})

    @blueprint.get("/readyz")
    async def ready() -> Response:
        parts = {name: await check() for name, check in checks.items()}
        is_ready = all(missing is None for missing in parts.values())
        answer = {
            "ready": is_ready,
            "parts": {name: missing or "ready" for name, missing in parts.items()},
            "notes": [said for note in notes if (said := note()) is not None],
        }
        return json_response(answer, 200 if is_ready else 503)

    @blueprint.get("/metrics")
    async def figures() -> Response:
        if not _is_local(request.remote_addr):
            access.writer().require(Right.OPERATE)
        refresh()
        return Response(metrics.text(), content_type=metrics.content_type)

    return blueprint


def _is_local(address: str | None) -> bool:
    """Whether a request comes from this machine, where a collector runs."""
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
