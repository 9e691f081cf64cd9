"""What a server still holds after its clients have gone."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

MIB = 1 << 20


class Left:
    """What this process holds more of than when this was made: tasks, objects of some packages, memory."""

    def __init__(self, *packages: str) -> None:
        self._packages = packages
        self._tasks, self._objects = len(asyncio.all_tasks()), objects_of(*packages)
        self._resident_bytes = resident_bytes()

    def assert_little(self, after: str) -> None:
        """No task, hardly an object, and what fragments of memory there may be; prints how much, after what."""
        tasks = len(asyncio.all_tasks()) - self._tasks
        objects = objects_of(*self._packages) - self._objects
        grown_bytes = resident_bytes() - self._resident_bytes
        print(f"{after}: {tasks:+d} tasks, {objects.total():+d} objects, {grown_bytes / 1e6:+.1f} MB resident")

        assert tasks <= 0
        assert objects.total() < 100, objects.most_common(10)
        assert grown_bytes < 16 * MIB


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def objects_of(*packages: str) -> Counter[str]:
    """How many objects of each class of some packages are alive."""
    gc.collect()
    kinds = (type(one) for one in gc.get_objects() if isinstance(type(one).__module__, str))
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if kind.__module__.startswith(packages))
