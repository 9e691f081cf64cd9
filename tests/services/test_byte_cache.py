"""What is kept, and what is forgotten first."""

from __future__ import annotations

import time

from appliance.services.byte_cache import ByteCache


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    cache: ByteCache[str, int] = ByteCache(100)
    for key in "abc":
        cache.put(key, 1, 30)
    cache.get("a")

    cache.put("d", 1, 30)

    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]
    assert cache.size_bytes == 90


def test_one_that_is_replaced_counts_once() -> None:
    cache: ByteCache[str, int] = ByteCache(100)

    cache.put("a", 1, 60)
    cache.put("a", 2, 70)

    assert cache.get("a") == 2
    assert cache.size_bytes == 70


def test_one_that_is_larger_than_all_the_room_is_not_kept_and_drives_nothing_out() -> None:
    cache: ByteCache[str, int] = ByteCache(100)
    cache.put("small", 1, 50)

    cache.put("large", 1, 101)

    assert cache.get("large") is None
    assert cache.get("small") == 1


def test_what_was_not_used_for_so_long_is_forgotten_and_what_was_stays() -> None:
    cache: ByteCache[str, int] = ByteCache(100)
    cache.put("old", 1, 30)
    cache.put("looked at", 1, 30)
    time.sleep(0.06)
    cache.get("looked at")

    cache.forget_unused(0.03)

    assert cache.get("old") is None
    assert cache.get("looked at") == 1
    assert cache.size_bytes == 30


def test_keys_can_be_forgotten() -> None:
    cache: ByteCache[str, int] = ByteCache(100)
    for key in ("a1", "a2", "b1"):
        cache.put(key, 1, 30)

    cache.forget(lambda key: key.startswith("a"))

    assert [key for key in ("a1", "a2", "b1") if cache.get(key)] == ["b1"]
    assert cache.size_bytes == 30
