"""How an appliance becomes a child of another: it redeems a one-time token, and the two learn each other's keys.

The token is a secret and the thumbprint of the parent's key, joined by a dot: the secret tells the parent whom to believe, the
thumbprint tells the child.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from appliance.domain.errors import BadRequest

Kind = Literal["institution", "node"]
"""What is enrolled: an institution at a toplevel, a node at an institution."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a child says, in a request that it signs with the key which it shows."""

    kind: Kind
    secret: str
    child_id: UUID
    name: Name
    public_key: str
    """Ed25519, 32 bytes, base64url without padding."""


class Enrolled(msgspec.Struct, frozen=True):
    """What the parent answers, signed with the key that it shows."""

    public_key: str


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    secret: str
    thumbprint: str
    """RFC 7638, of the parent's key."""

    def __str__(self) -> str:
        return f"{self.secret}.{self.thumbprint}"

    @classmethod
    def parse(cls, text: str) -> EnrolmentToken:
        secret, dot, thumbprint = text.strip().partition(".")
        if not secret or not dot or not thumbprint:
            raise BadRequest("The token is not whole: it is two parts joined by a dot", parameter="token")
        return cls(secret, thumbprint)


@dataclass(frozen=True, slots=True)
class EnrolledChild:
    """An appliance that may deliver."""

    id: UUID
    name: str
    public_key: str
    enrolled_at: datetime
    seen_at: datetime | None
    """When it called last."""
