"""Nodes as administrators of their institution see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class NodeState(StrEnum):
    HERE = "here"
    """In the same process as the institution, which need not believe it."""
    ENROLLED = "enrolled"
    NOT_ENROLLED = "not-enrolled"
    """What it told stays; from now on it is not heard."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    id: UUID
    name: str
    base_url: str
    state: NodeState
    seen_at: datetime | None
    """When it called last; None where it has not, and of one that is here."""
    studies: int
    """That it holds."""
    draws_for: UUID | None
    """The node whose store it draws from; None of one that keeps what it draws."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node holds, and how much room there is."""

    total_bytes: int
    """Of the file system that the store is on."""
    free_bytes: int
    floor_bytes: int
    """That are kept free: nothing is taken in beyond them."""
    studies: int
    series: int
    instances: int
