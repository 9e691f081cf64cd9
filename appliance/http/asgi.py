"""The words of ASGI 3 that our own applications speak, typed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from appliance.domain.errors import ApplianceError
from appliance.http import problems

Scope = MutableMapping[str, Any]  # Any: ASGI's messages are dictionaries of many kinds of values
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> str | None:
    """The first value of a request header, its name in lower case; None if it is not there."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), None)


async def answer(send: Send, status: int, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
    """The whole of an answer at once."""
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    encoded.append((b"content-length", str(len(body)).encode("ascii")))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, error: ApplianceError) -> None:
    headers = {**problems.headers_of(error), "Content-Type": problems.CONTENT_TYPE}
    await answer(send, problems.status_of(error), problems.body_of(error), headers.items())
