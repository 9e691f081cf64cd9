"""Groups: who waits together goes together, and each hears of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from appliance.services.group_commit import GroupCommit


class Disk:
    """Doubles numbers, group by group; refuses 13, and fails as a whole over 99."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.is_free = asyncio.Event()

    async def work(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(numbers))
        await self.is_free.wait()
        if 99 in numbers:
            raise OSError("no disk")
        return [ValueError("unlucky") if number == 13 else 2 * number for number in numbers]


async def begun(commit: GroupCommit[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(commit.outcome_of(number)) for number in numbers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_waits_goes_together() -> None:
    disk = Disk()
    commit = GroupCommit[int, int](disk.work, most=3)
    tasks = await begun(commit, 1) + await begun(commit, 2, 3, 4, 5)

    disk.is_free.set()

    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
    assert disk.groups == [[1], [2, 3, 4], [5]]


async def test_each_hears_of_its_own() -> None:
    disk = Disk()
    disk.is_free.set()

    outcomes = await asyncio.gather(
        *await begun(GroupCommit[int, int](disk.work, most=9), 1, 13, 2), return_exceptions=True
    )

    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == (2, ValueError, 4)


async def test_a_group_that_fails_does_not_end_the_next() -> None:
    disk = Disk()
    disk.is_free.set()
    commit = GroupCommit[int, int](disk.work, most=9)

    with pytest.raises(OSError, match="no disk"):
        await commit.outcome_of(99)

    assert await commit.outcome_of(1) == 2


async def test_who_is_cancelled_leaves_after_its_group() -> None:
    disk = Disk()
    commit = GroupCommit[int, int](disk.work, most=9)
    (task,) = await begun(commit, 1)

    task.cancel()
    await asyncio.wait({task}, timeout=0.05)
    was_under_way = not task.done()
    disk.is_free.set()
    await asyncio.wait({task})

    assert was_under_way
    assert task.cancelled()
