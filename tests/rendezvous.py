"""Which of several nodes over one store is asked for a series, as ``webui/src/api/stores.ts`` has it, written down again.

    python -m tests.rendezvous

writes the vectors that the page's own tests read (``tests/wire/rendezvous.json``).
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

VECTORS = Path(__file__).parent / "wire" / "rendezvous.json"
_32_BITS = 0xFFFFFFFF


def weight(node_id: str, subject: str) -> int:
    """FNV-1a in 32 bits over the ASCII of both, and the end of MurmurHash3."""
    value = 0x811C9DC5
    for byte in f"{node_id} {subject}".encode("ascii"):
        value = (value ^ byte) * 0x01000193 & _32_BITS
    value = (value ^ value >> 16) * 0x85EBCA6B & _32_BITS
    value = (value ^ value >> 13) * 0xC2B2AE35 & _32_BITS
    return value ^ value >> 16


def ranked(nodes: Sequence[str], subject: str) -> list[int]:
    """The places of ``nodes``, by their ids, in the order in which they are asked for ``subject``."""
    return sorted(range(len(nodes)), key=lambda place: (-weight(nodes[place], subject), nodes[place]))


def vectors() -> list[dict[str, object]]:
    """Some sets of nodes and series, always the same."""
    lot = random.Random(7)
    found: list[dict[str, object]] = []
    for count in (1, 2, 3, 5, 8):
        nodes = [str(UUID(int=lot.getrandbits(128), version=4)) for _ in range(count)]
        for _ in range(6):
            subject = f"2.25.{lot.getrandbits(120)}"
            found.append({"nodes": nodes, "subject": subject, "order": ranked(nodes, subject)})
    return found


def main() -> None:
    VECTORS.write_text("[\n" + ",\n".join(json.dumps(one) for one in vectors()) + "\n]\n")


if __name__ == "__main__":
    main()
