"""Whose turn it is, and with what."""

from __future__ import annotations

import threading

from appliance.services.fair_queue import FairQueue


def taken(queue: FairQueue[str]) -> list[str]:
    work = []
    while (one := queue.take_now()) is not None:
        work.append(one)
    return work


def test_the_newest_of_a_viewer_comes_first_and_nothing_is_lost() -> None:
    queue: FairQueue[str] = FairQueue()
    for work in ("old", "newer", "newest"):
        queue.put("a", work)

    assert taken(queue) == ["newest", "newer", "old"]


def test_viewers_take_turns_however_much_one_asks() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        queue.put("greedy", f"greedy {number}")
    queue.put("modest", "modest")

    assert taken(queue) == ["greedy 2", "modest", "greedy 1", "greedy 0"]


def test_taking_waits_for_work() -> None:
    queue: FairQueue[str] = FairQueue()
    timer = threading.Timer(0.05, queue.put, ("a", "late"))
    timer.start()

    assert queue.take() == "late"
    assert queue.is_empty()
