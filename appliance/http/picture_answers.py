"""What all answers with a picture have in common: who looks, what may be kept, what is said beside the bytes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum

from quart import Response, request

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action
from appliance.domain.views import Picture
from appliance.http import addresses
from appliance.http.access import Access
from appliance.http.picture_requests import Asked
from appliance.http.priorities import FIRST, URGENT, read_priority
from appliance.http.query_values import Query
from appliance.services.audit import Auditing
from appliance.services.drawing import Drawing
from appliance.services.drawing_rules import DRAWING_RULES
from appliance.services.metrics import Metrics
from appliance.services.releases import HeldBack


class Caching(Enum):
    """How long an answer is good."""

    SETTLED = "of bytes that never change, by rules that do when the program does"
    CHANGING = "another image may stand for a series or a study when more of it has arrived"
    UNSETTLED = "drawn while something moves, or is missing"


_FOREVER = "private, max-age=31536000, immutable"
_ASKED_AGAIN = "private, no-cache"
_NEVER_KEPT = "no-store"


class PictureAnswers:
    """Opens and closes each request for a picture."""

    def __init__(
        self, access: Access, auditing: Auditing, held_back: HeldBack, drawing: Drawing, metrics: Metrics
    ) -> None:
        self._access = access
        self._auditing = auditing
        self._held_back = held_back
        self._drawing = drawing
        self._metrics = metrics

    def reader(self) -> Account:
        """Who asks, and may look at pictures: guests too, for what is of no patient."""
        account: Account = self._access.visitor()
        account.require(Right.VIEW)
        return account

    async def viewer(self, study: str, series: str | None = None, instance: str | None = None) -> str:
        """Who looks, as the render process tells viewers apart; that they look at this study is on record.

        Raises NotFound for what is held back from them.
        """
        study_uid = addresses.study_uid(study)
        series_uid = None if series is None else addresses.series_uid(series)
        instance_uid = None if instance is None else addresses.instance_uid(instance)
        account = self._access.viewer(study_uid)
        account.require(Right.VIEW)
        await self._held_back.check(account, study_uid, series_uid, instance_uid)
        await self._auditing.looked(self._access.actor(account), Action.OPEN, study_uid)
        return f"{account.id} {request.remote_addr}"

    def asked(self, query: Query | None = None) -> Asked:
        """What the request asks for, with ``query`` instead of its own."""
        drawing = self._drawing
        accept = request.headers.get("Accept")
        return Asked.of(request.args if query is None else query, accept, drawing.media_types, drawing.film_types)

    def observe(self, picture: Picture) -> None:
        self._metrics.observe_picture(picture)

    async def picture(
        self,
        etag: str,
        draw: Callable[[], Awaitable[Picture]],
        *,
        about: Callable[[Picture], Mapping[str, str]],
        caching: Caching = Caching.SETTLED,
    ) -> Response:
        """The picture that ``draw`` makes, or that it is the one which whoever asks has."""
        headers = {
            "ETag": etag,
            "Cache-Control": _cache_control(caching),
            "Vary": "Accept",
            "Cross-Origin-Resource-Policy": "same-site",
            **_priority(),
        }
        if caching is not Caching.UNSETTLED and etag in request.headers.get("If-None-Match", ""):
            return Response("", 304, headers=headers)
        began = time.perf_counter()
        picture = await draw()
        took_ms = (time.perf_counter() - began) * 1000
        self.observe(picture)
        if caching is Caching.UNSETTLED or picture.completeness < 1 or picture.is_coarse:
            headers["Cache-Control"] = _NEVER_KEPT
            del headers["ETag"]
        headers |= about(picture)
        if picture.completeness < 1:
            headers["Volume-Complete"] = f"{picture.completeness:.3f}"
        # With the waiting for other work, so that a page can tell what the line took from what the server did.
        stages = (*picture.stages_ms, ("total", took_ms))
        headers["Server-Timing"] = ", ".join(f"{stage};dur={cost_ms:.2f}" for stage, cost_ms in stages)
        return Response(picture.body, 200, headers=headers, content_type=picture.media_type)


def _priority() -> dict[str, str]:
    """A picture that is looked at passes the page's own files, which browsers call as urgent; several come one by one."""
    asked = read_priority(request.headers.get("Priority", "").encode())
    return {"Priority": FIRST} if asked.urgency <= URGENT else {}


def _cache_control(caching: Caching) -> str:
    """Forever only under an address that names the rules by which it is drawn now: an upgrade makes another of it."""
    if caching is Caching.UNSETTLED:
        return _NEVER_KEPT
    is_named = caching is Caching.SETTLED and request.args.get("rules") == DRAWING_RULES
    return _FOREVER if is_named else _ASKED_AGAIN


def window_header(picture: Picture) -> dict[str, str]:
    if picture.window is None:
        return {}
    window = picture.window
    return {"Rendered-Window": f"{window.center:g},{window.width:g},{window.function}"}


def etag_of(source: str, view: object) -> str:
    """Of what is drawn, by its content, and how it is seen."""
    about = f"{DRAWING_RULES}\n{source}\n{view!r}"
    digest = hashlib.sha256(about.encode()).hexdigest()
    return f'"{digest[:32]}"'
