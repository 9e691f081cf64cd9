"""Pages of other origins: the known ones may, the others may not."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.http.asgi import Message, Receive, Scope, Send, answer
from appliance.http.origins import Origins

TOPLEVEL = "https://health.example.org"


async def _reached(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, 200, b"reached")


async def ask(method: str, origin: str | None, **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a request to clinic.example.org."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    pairs = [("host", "clinic.example.org"), *(((("origin", origin),)) if origin else ()), *headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in pairs],
    }
    await Origins(_reached, [TOPLEVEL])(scope, receive, send)
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


async def test_a_known_page_may_read_with_credentials() -> None:
    status, headers = await ask("GET", TOPLEVEL)

    assert status == 200
    assert headers["access-control-allow-origin"] == TOPLEVEL
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["vary"] == "Origin"


async def test_a_preflight_of_a_known_page_is_answered_and_kept() -> None:
    status, headers = await ask("OPTIONS", TOPLEVEL, access_control_request_method="POST")

    assert status == 204
    assert "Authorization" in headers["access-control-allow-headers"]
    assert int(headers["access-control-max-age"]) > 600


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://health.example.org", TOPLEVEL + ":444"])
async def test_an_unknown_page_is_not_let_read(origin: str) -> None:
    _, headers = await ask("GET", origin)

    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_an_unknown_page_may_not_change_anything(method: str) -> None:
    status, _ = await ask(method, "https://evil.example")

    assert status == 403


async def test_a_page_of_its_own_needs_no_mark() -> None:
    status, headers = await ask("POST", "https://clinic.example.org")

    assert status == 200
    assert "access-control-allow-origin" not in headers


async def test_what_is_no_page_has_no_origin() -> None:
    assert (await ask("POST", None))[0] == 200
