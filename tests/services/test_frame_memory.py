"""Memory of decoded frames: used again, and never by two at once."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from appliance.services.frame_memory import FrameMemory

SLICE_BYTES = 512 * 512 * 2
MIB = 1024**2


@pytest.fixture
def memory() -> FrameMemory:
    return FrameMemory(64 * MIB)


def place_of(room: np.ndarray) -> int:
    return room.ctypes.data


def test_the_room_of_a_frame_that_is_gone_is_the_next_ones(memory: FrameMemory) -> None:
    room = memory.room(SLICE_BYTES)
    place = place_of(room)
    del room

    assert place_of(memory.room(SLICE_BYTES)) == place


def test_rooms_do_not_touch_one_another(memory: FrameMemory) -> None:
    rooms = [memory.room(size_bytes) for size_bytes in (1, 63, 64, 65, SLICE_BYTES, 2 * MIB) * 5]
    for number, room in enumerate(rooms):
        room[:] = number

    assert all(np.all(room == number) for number, room in enumerate(rooms))


@pytest.mark.parametrize(
    "part_of",
    [
        lambda room: room[:100],
        lambda room: room.view(np.uint16).reshape(512, 512)[:4, :4].T,
        lambda room: np.asarray(memoryview(room).cast("B")[5:9]),
        lambda room: np.frombuffer(room, np.int16).reshape(512, 512)[::-1],
        lambda room: np.lib.stride_tricks.as_strided(room, (10,), (7,)),
    ],
)
def test_a_room_of_which_a_part_is_in_use_is_not_handed_out(memory: FrameMemory, part_of) -> None:
    room = memory.room(SLICE_BYTES)
    room[:] = 7
    part = part_of(room)
    before = part.copy()
    del room
    gc.collect()

    for _ in range(10):
        memory.room(SLICE_BYTES)[:] = 0xFF

    assert np.array_equal(part, before)
    assert memory.size_bytes == 2 * SLICE_BYTES


def test_memory_does_not_grow_by_frames_that_come_and_go(memory: FrameMemory) -> None:
    for _ in range(500):
        memory.room(SLICE_BYTES)

    assert memory.size_bytes == SLICE_BYTES


def test_no_more_is_kept_than_the_budget(memory: FrameMemory) -> None:
    rooms = [memory.room(SLICE_BYTES) for _ in range(200)]
    assert memory.size_bytes == 200 * SLICE_BYTES  # in use

    del rooms
    assert memory.size_bytes == 64 * MIB


def test_room_of_another_size_gives_way(memory: FrameMemory) -> None:
    small = [memory.room(SLICE_BYTES) for _ in range(100)]
    del small

    large = [memory.room(10 * MIB) for _ in range(6)]

    assert memory.size_bytes <= 64 * MIB
    del large
    assert memory.size_bytes <= 64 * MIB


def test_what_is_free_can_be_given_back(memory: FrameMemory) -> None:
    used, free = memory.room(SLICE_BYTES), memory.room(SLICE_BYTES)
    del free

    memory.release()

    assert memory.size_bytes == used.nbytes


def test_threads_that_take_and_leave_room_never_have_the_same(memory: FrameMemory) -> None:
    together = threading.Barrier(4)

    def takes(mark: int) -> bool:
        together.wait()
        is_mine = True
        for _ in range(100):
            rooms = [memory.room(size_bytes) for size_bytes in (100, 4096, 100)]
            for room in rooms:
                room[:] = mark
            is_mine &= all(bool(np.all(room == mark)) for room in rooms)
        return is_mine

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(takes, range(1, 5)))
    assert memory.size_bytes <= 4 * 3 * 4096
