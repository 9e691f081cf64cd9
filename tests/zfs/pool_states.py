"""What ``zpool status -j --json-int`` of OpenZFS 2.3 prints, by its manual page and its source.

Written by hand, of the shape of the real ones in `recorded`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
TB = 10**12


def disk(name: str, state: str = "ONLINE", *, checksum_errors: int = 0) -> dict[str, Any]:
    errors = {"read_errors": 0, "write_errors": 0, "checksum_errors": checksum_errors}
    path = f"/dev/disk/by-id/{name}-part1"
    return {"name": name, "vdev_type": "disk", "guid": 1, "path": path, "class": "normal", "state": state, **errors}


def scan(function: str = "SCRUB", state: str = "FINISHED", ended: datetime = NOW - timedelta(days=3)) -> dict[str, Any]:
    start = int((ended - timedelta(hours=5)).timestamp())
    return {"function": function, "state": state, "start_time": start, "end_time": int(ended.timestamp()), "errors": 0}


def printed(
    *disks: dict[str, Any],
    state: str = "ONLINE",
    scanned: dict[str, Any] | None = None,
    damaged: int = 0,
    allocated: int = TB,
) -> str:
    """A pool that mirrors ``disks``."""
    mirror = {"name": "mirror-0", "vdev_type": "mirror", "state": state, "vdevs": {d["name"]: d for d in disks}}
    root = {"name": "tank", "vdev_type": "root", "state": state, "alloc_space": allocated, "total_space": 4 * TB}
    pool: dict[str, Any] = {"name": "tank", "state": state, "pool_guid": 18446744073709551615, "error_count": damaged}
    pool["vdevs"] = {"tank": {**root, "vdevs": {"mirror-0": mirror}}}
    if scanned is not None:
        pool["scan_stats"] = scanned
    version = {"command": "zpool status", "vers_major": 0, "vers_minor": 1}
    return json.dumps({"output_version": version, "pools": {"tank": pool}})
