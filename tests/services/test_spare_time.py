"""What is made ready when nobody waits, and in which order."""

from __future__ import annotations

import queue
import threading
import time

from appliance.services.spare_time import SpareTime


def taken_by_a_thread(spare: SpareTime[str]) -> queue.SimpleQueue[str]:
    taken: queue.SimpleQueue[str] = queue.SimpleQueue()

    def take() -> None:
        while True:
            taken.put(spare.take())

    threading.Thread(target=take, daemon=True).start()
    return taken


def test_neighbours_come_in_the_order_in_which_they_will_be_wanted_and_the_last_viewer_first() -> None:
    spare: SpareTime[str] = SpareTime()
    spare.put_ahead("a", ["a1", "a2"], anew=True)
    spare.put_ahead("b", ["b1", "b2"], anew=True)

    assert [spare.take() for _ in range(4)] == ["b1", "b2", "a1", "a2"]


def test_what_was_ahead_is_dropped_when_the_viewer_turns_round() -> None:
    spare: SpareTime[str] = SpareTime()
    spare.put_ahead("a", ["5", "6", "7"], anew=True)

    spare.put_ahead("a", ["3"], anew=True)

    assert spare.take() == "3"
    assert spare.waiting == 0


def test_who_goes_on_keeps_what_is_ahead_of_him() -> None:
    spare: SpareTime[str] = SpareTime()
    spare.put_ahead("a", ["5", "6"], anew=True)

    spare.put_ahead("a", ["7"], anew=False)

    assert [spare.take() for _ in range(3)] == ["5", "6", "7"]


def test_nothing_is_made_ready_while_somebody_waits() -> None:
    spare: SpareTime[str] = SpareTime()
    taken = taken_by_a_thread(spare)
    spare.begin()
    spare.put_ahead("a", ["5"], anew=True)
    spare.put_new("new")
    time.sleep(0.4)
    assert taken.empty()

    spare.end()

    assert taken.get(timeout=5) == "5"
    assert taken.get(timeout=5) == "new"


def test_what_came_in_waits_until_it_has_been_quiet_for_a_moment() -> None:
    spare: SpareTime[str] = SpareTime()
    taken = taken_by_a_thread(spare)
    spare.put_new("new")
    spare.begin()
    spare.end()
    ended_at = time.monotonic()

    assert taken.get(timeout=5) == "new"

    assert time.monotonic() - ended_at > 0.2


def test_what_came_in_waits_while_a_volume_is_loaded_and_neighbours_do_not() -> None:
    is_loading = threading.Event()
    is_loading.set()
    spare: SpareTime[str] = SpareTime(is_loading.is_set)
    taken = taken_by_a_thread(spare)
    spare.put_new("new")
    spare.put_ahead("a", ["5"], anew=True)
    assert taken.get(timeout=5) == "5"
    time.sleep(0.4)
    assert taken.empty()

    is_loading.clear()

    assert taken.get(timeout=5) == "new"
