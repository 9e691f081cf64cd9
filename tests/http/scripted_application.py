"""An ASGI application whose every path is a trial of the transport, and which tells what became of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

CHUNK = bytes(range(256)) * 256
"""64 KiB that are not all the same."""


class ScriptedApplication:
    """``outcomes`` counts, by path, how the handlers ended: ``done``, ``cancelled``, ``disconnected``."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.scopes: list[dict[str, Any]] = []
        self.sent_bytes = 0
        self.may_read = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        name, outcome = scope["path"].strip("/"), None
        try:
            outcome = await getattr(self, name)(scope, receive, send)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self.outcomes[name, outcome or "done"] += 1

    async def until(self, path: str, outcome: str, times: int = 1) -> None:
        """Returns once so many handlers of the path have ended so; within a second."""
        async with asyncio.timeout(1):
            while self.outcomes[path, outcome] < times:
                await asyncio.sleep(0.005)

    async def hello(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"hello")

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(send, await read_all(receive))

    async def fields(self, scope: Any, receive: Any, send: Any) -> None:
        pairs = [[name.decode("latin1"), value.decode("latin1")] for name, value in scope["headers"]]
        await respond(send, json.dumps(pairs).encode())

    async def digest(self, scope: Any, receive: Any, send: Any) -> None:
        """SHA-256 of the body, streamed."""
        digest = hashlib.sha256()
        is_more = True
        while is_more:
            message = await receive()
            digest.update(message["body"])
            is_more = message["more_body"]
        await respond(send, digest.hexdigest().encode())

    async def sleep(self, scope: Any, receive: Any, send: Any) -> None:
        """Never answers, and does not listen for the end of the client."""
        await asyncio.sleep(3600)

    async def listen(self, scope: Any, receive: Any, send: Any) -> str:
        """Never answers, but listens."""
        while (await receive())["type"] != "http.disconnect":
            pass
        return "disconnected"

    async def deaf(self, scope: Any, receive: Any, send: Any) -> None:
        """Listens, but does not heed what it hears."""
        while (await receive())["type"] != "http.disconnect":
            pass
        await asyncio.sleep(3600)

    async def stream(self, scope: Any, receive: Any, send: Any) -> None:
        """So many chunks as the query says."""
        await start(send)
        for _ in range(int(scope["query_string"])):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            self.sent_bytes += len(CHUNK)
        await send({"type": "http.response.body"})

    async def trickle(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends a little for half a second, whoever listens."""
        await start(send)
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"drop", "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body"})

    async def large(self, scope: Any, receive: Any, send: Any) -> None:
        """So many chunks as the query says, in one message."""
        await respond(send, CHUNK * int(scope["query_string"]))

    async def said(self, scope: Any, receive: Any, send: Any) -> None:
        """A chunk that says of itself how urgent it is, as the query has it."""
        await start(send, fields=[(b"Priority", scope["query_string"])])
        await send({"type": "http.response.body", "body": CHUNK})

    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        """Does not wait for the body."""
        await respond(send, b"no", status=401)

    async def unhurried(self, scope: Any, receive: Any, send: Any) -> None:
        """Reads one message, and the rest only when the test lets it."""
        read_bytes, is_more = 0, True
        while is_more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            read_bytes += len(message["body"])
            is_more = message["more_body"]
            await self.may_read.wait()
        await respond(send, str(read_bytes).encode())

    async def later(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await respond(send, CHUNK)

    async def fail(self, scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a secret of the server")

    async def fail_late(self, scope: Any, receive: Any, send: Any) -> None:
        await start(send)
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        raise ValueError("a secret of the server")

    async def fail_started(self, scope: Any, receive: Any, send: Any) -> None:
        await start(send)
        raise ValueError("a secret of the server")

    async def silent(self, scope: Any, receive: Any, send: Any) -> None:
        """Returns without an answer."""


async def start(send: Any, status: int = 200, *, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
    headers = [(b"Content-Type", b"application/octet-stream"), (b"connection", b"keep-alive"), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def respond(send: Any, body: bytes, *, status: int = 200) -> None:
    await start(send, status)
    await send({"type": "http.response.body", "body": body})


async def read_all(receive: Any) -> bytes:
    body = bytearray()
    is_more = True
    while is_more:
        message = await receive()
        body += message["body"]
        is_more = message["more_body"]
    return bytes(body)
