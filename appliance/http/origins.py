"""Which pages may ask this appliance: its own, and those of the origins that the settings name.

CORS (Fetch standard §3.2) exact to the list, never ``*``. A request that changes something and comes from a page of another
origin is refused before anything is read of it, whatever cookie it carries.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from appliance.domain.errors import NotAllowed
from appliance.http.asgi import Application, Headers, Message, Receive, Scope, Send, answer, header, refuse

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PREFLIGHT_HEADERS = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match"),
    ("Access-Control-Max-Age", "7200"),  # the longest that Chromium keeps
)
_EXPOSED = (
    b"ETag, Rendered-Place, Rendered-Volume, Rendered-Window, Retry-After, Server-Timing, Stored-Values, "
    b"Volume-Complete, Volume-Gaps, Volume-Reduced, Warning, WWW-Authenticate"
)


class Origins:
    """Answers preflights, refuses pages of unknown origins, and marks answers for the known ones."""

    def __init__(self, application: Application, allowed: Iterable[str]) -> None:
        self._application = application
        self._allowed = frozenset(origin.rstrip("/") for origin in allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = header(scope, b"origin") if scope["type"] == "http" else None
        if origin is None or _is_own(origin, scope):
            await self._application(scope, receive, send)
        elif origin not in self._allowed:
            await self._stranger(scope, receive, send)
        elif scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method"):
            await answer(send, 204, b"", [*_PREFLIGHT_HEADERS, *_marks(origin)])
        else:
            await self._application(scope, receive, _marking(send, origin))

    async def _stranger(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in _SAFE_METHODS:
            await self._application(scope, receive, send)  # without a mark the browser keeps the answer from the page
        else:
            await refuse(send, NotAllowed("Pages of this origin may not change anything here", key="foreign-origin"))


def _is_own(origin: str, scope: Scope) -> bool:
    parts = urlsplit(origin)
    return parts.scheme == "https" and parts.netloc == header(scope, b"host")


def _marks(origin: str) -> list[tuple[str, str]]:
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Vary", "Origin"),
        ("Timing-Allow-Origin", origin),
    ]


def _marking(send: Send, origin: str) -> Send:
    extra: Headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in _marks(origin)]
    extra.append((b"access-control-expose-headers", _EXPOSED))

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *extra]
        await send(message)

    return marked
