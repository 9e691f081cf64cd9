"""Things made one after the other, the next already begun while one is being used."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_BEGUN_AHEAD = 2
"""As many as a render process has workers for: more would only stand in the queue before other viewers."""


async def made_ahead(makers: Sequence[Callable[[], Awaitable[T]]]) -> AsyncGenerator[T, None]:
    """What ``makers`` make, in their order. What was begun and is not asked for any more is cancelled."""
    begun: deque[asyncio.Future[T]] = deque()
    try:
        for make in makers:
            begun.append(asyncio.ensure_future(make()))
            if len(begun) > _BEGUN_AHEAD:
                yield await begun.popleft()
        while begun:
            yield await begun.popleft()
    finally:
        for one in begun:
            one.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
