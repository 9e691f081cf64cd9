"""Things that are made ahead of their use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from functools import partial

import pytest

from appliance.services.ahead import made_ahead


class Kitchen:
    """Makes numbers, and knows what was begun."""

    def __init__(self, fails_at: int = -1) -> None:
        self.begun: list[int] = []
        self._fails_at = fails_at

    async def make(self, number: int) -> int:
        self.begun.append(number)
        # The later, the sooner it is done: order must not come from luck.
        await asyncio.sleep(0.02 / (number + 1))
        if number == self._fails_at:
            raise ValueError(number)
        return number

    def makers(self, count: int) -> list[partial[Awaitable[int]]]:
        return [partial(self.make, number) for number in range(count)]


async def test_they_come_in_their_order() -> None:
    assert [one async for one in made_ahead(Kitchen().makers(7))] == list(range(7))


async def test_no_more_than_two_are_begun_before_they_are_asked_for() -> None:
    kitchen = Kitchen()
    things = made_ahead(kitchen.makers(50))

    async with aclosing(things):
        assert await anext(things) == 0
        await asyncio.sleep(0.05)

        assert kitchen.begun == [0, 1, 2]


async def test_what_nobody_waits_for_any_more_is_given_up() -> None:
    given_up = []

    async def never_done(number: int) -> int:
        if number == 0:
            return number
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            given_up.append(number)
            raise

    things = made_ahead([partial(never_done, number) for number in range(50)])
    assert await anext(things) == 0
    await asyncio.sleep(0)
    await things.aclose()

    assert given_up == [1, 2]


async def test_one_that_fails_ends_them_and_gives_up_the_rest() -> None:
    kitchen = Kitchen(fails_at=1)
    things = made_ahead(kitchen.makers(50))
    await anext(things)

    with pytest.raises(ValueError, match="1"):
        await anext(things)

    assert 10 not in kitchen.begun
