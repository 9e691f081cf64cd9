"""``multipart/related`` answers (RFC 2387), written while their parts are made; begun, so that a refusal is still an answer."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from quart import Response

Pieces = AsyncGenerator[bytes, None]

PRIVATE = "private, no-cache"
"""May be kept by who asked, and is asked about again each time: an instance can be deleted."""
_BOUNDARY_BYTES = 16


async def part(boundary: str, head: str, url: str, pieces: Pieces) -> Pieces:
    """One part of a multipart body; its content is begun first, so that a refusal comes before its head."""
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        yield f"--{boundary}\r\n{head}\r\nContent-Location: {url}\r\n\r\n".encode() + first
        async for piece in pieces:
            yield piece
    yield b"\r\n"


async def streamed(kind: str, parts: Callable[[str], Pieces]) -> Response:
    """A ``multipart/related`` of parts of ``kind``; ``parts`` makes them for a boundary."""
    boundary = secrets.token_hex(_BOUNDARY_BYTES)

    async def body() -> Pieces:
        pieces = parts(boundary)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
        yield f"--{boundary}--\r\n".encode()

    content_type = f'multipart/related; type="{kind}"; boundary={boundary}'
    headers = {"Cache-Control": PRIVATE, "Vary": "Accept"}
    return Response(await begun(body()), 200, headers=headers, content_type=content_type)


async def begun(pieces: Pieces) -> AsyncIterator[bytes]:
    """The same pieces, the first of them made already."""
    try:
        first = await anext(pieces, b"")
    except BaseException:
        await pieces.aclose()
        raise

    async def all_of_them() -> Pieces:
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return all_of_them()


async def one_piece(data: bytes) -> Pieces:
    yield data
