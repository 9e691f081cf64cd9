"""What a server still holds after its clients have gone."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

MIB = 1 << 20


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def objects_of(*packages: str) -> Counter[str]:
    """How many objects of each class of some packages are alive."""
    gc.collect()
    kinds = (type(one) for one in gc.get_objects() if isinstance(type(one).__module__, str))
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if kind.__module__.startswith(packages))
