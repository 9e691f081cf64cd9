"""Institutions as administrators see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.domain.identifiers import InstitutionId


class InstitutionState(StrEnum):
    HERE = "here"
    """In the same process as the toplevel, which need not believe it."""
    ENROLLED = "enrolled"
    NOT_ENROLLED = "not-enrolled"
    """What it told stays; from now on it is not heard."""


@dataclass(frozen=True, slots=True)
class InstitutionRecord:
    id: InstitutionId
    name: str
    """As administrators call it, or as it calls itself where they do not say."""
    own_name: str
    """As it calls itself."""
    address: str
    base_url: str
    node_urls: tuple[str, ...]
    state: InstitutionState
    seen_at: datetime
    """When it was heard of last."""


@dataclass(frozen=True, slots=True)
class PointingTo:
    """What would point to nothing if an institution were not there."""

    accounts: int
    """That belong to it."""
    patients: int
    """Of whom it holds something."""
    numbers: int
    """Under which it knows patients."""
    is_believed: bool
    """Whether it is enrolled, or in the same process: it would announce itself again."""
