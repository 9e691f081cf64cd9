"""What is kept, and what is forgotten first."""

from __future__ import annotations

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
