"""Who somebody is to the appliance, and what that lets them do.

Below ``http`` a request is an ``Account``: it was read from a signed token, so no room asks who is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from appliance.domain.errors import NotAllowed
from appliance.domain.identifiers import AccountId, InstitutionId


class Role(StrEnum):
    PHYSICIAN = "physician"
    ADMINISTRATOR = "administrator"
    SUPERUSER = "superuser"


class Right(StrEnum):
    """What somebody may do; every route below ``http`` asks for one."""

    VIEW = "view"
    """See patients, studies, reports and pictures. Not limited to one's own institution."""
    STORE = "store"
    """Bring DICOM in, at one's own institution."""
    REPORT = "report"
    """Write reports, at one's own institution."""
    ASSIGN = "assign"
    """See the inbox and say whose a study is, at one's own institution."""
    KEEP_PATIENTS = "keep patients' records"
    """Add patients, say how they are called, remove those that nothing points to, and merge those who are the same person."""
    DELETE = "delete"
    """Remove DICOM, at one's own institution."""
    OPERATE = "operate"
    """See how the appliance is doing."""
    MANAGE_ACCOUNTS = "manage accounts"
    """Let people of one's own institution in, or shut them out."""
    ENROL_INSTITUTIONS = "enrol institutions"
    """Say which institutions the toplevel believes."""
    ENROL_NODES = "enrol nodes"
    """Say which nodes one's own institution believes."""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.PHYSICIAN: frozenset({Right.VIEW, Right.STORE, Right.REPORT, Right.ASSIGN, Right.KEEP_PATIENTS}),
    Role.ADMINISTRATOR: frozenset(
        {Right.STORE, Right.DELETE, Right.OPERATE, Right.MANAGE_ACCOUNTS, Right.ENROL_INSTITUTIONS, Right.ENROL_NODES}
    ),
    Role.SUPERUSER: frozenset(Right),
}
AT_HOME_ONLY = frozenset(
    {Right.STORE, Right.REPORT, Right.ASSIGN, Right.DELETE, Right.MANAGE_ACCOUNTS, Right.ENROL_NODES}
)
"""Rights that nobody but a superuser has beyond their own institution."""


NOWHERE = InstitutionId(UUID(int=0))
"""Where those are whom no institution has: nobody works there, so it is nobody's own."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who is logged in."""

    id: AccountId
    username: str
    given_name: str
    family_name: str
    roles: frozenset[Role]
    institution_id: InstitutionId | None
    """Where they work; None of those who belong to no institution."""

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip() or self.username

    def has(self, right: Right) -> bool:
        return any(right in RIGHTS[role] for role in self.roles)

    def require(self, right: Right, at: InstitutionId | None = None) -> None:
        """Returns if this account has ``right``, for some rights only at its own institution; NotAllowed otherwise."""
        if not self.has(right):
            raise NotAllowed(f"This account may not {right.value}", key="missing-right", right=right.value)
        if right in AT_HOME_ONLY and at is not None and self.institution_id != at and Role.SUPERUSER not in self.roles:
            raise NotAllowed(
                f"This account may {right.value} only at its own institution",
                key="other-institution",
                right=right.value,
            )
