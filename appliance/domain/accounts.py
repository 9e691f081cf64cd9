"""Who somebody is to the appliance, and what that lets them do.

Below ``http`` a request is an ``Account``: it was read from a signed token, so no room asks who is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from appliance.domain.errors import BadRequest, NotAllowed
from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid

_LONGEST_EMAIL = 254
"""RFC 5321 §4.5.3.1.3, without the brackets."""
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
"""Whether letters arrive there, only a letter can say."""
_PHONE = re.compile(r"[0-9 +()/.-]{1,40}")
_LONGEST_ADDRESS = 300


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
    MEASURE = "measure"
    """Keep what was measured and marked in pictures, at one's own institution."""
    REMOVE_MEASUREMENTS = "remove measurements"
    """At one's own institution: who measured, their own; who may remove DICOM, anybody's."""
    ASSIGN = "assign"
    """See the inbox and say whose a study is, at one's own institution."""
    KEEP_PATIENTS = "keep patients' records"
    """Add patients, say how they are called, remove those that nothing points to, and merge those who are the same person."""
    SHARE = "share studies"
    """Show a study of one's own institution to somebody without an account."""
    ANONYMISE = "make anonymised copies"
    """Take pictures out without who they are of, of one's own institution."""
    DELETE = "delete"
    """Remove DICOM, at one's own institution."""
    OPERATE = "operate"
    """See how the appliance is doing."""
    READ_AUDIT = "read the audit trail"
    """See who did what, at one's own institution."""
    MANAGE_ACCOUNTS = "manage accounts"
    """See, make and change the accounts of one's own institution, let its people in, or shut them out."""
    MANAGE_INSTITUTIONS = "manage institutions"
    """Say what one's own institution is called and where it is; remove one that nothing points to."""
    DEFINE_RECORD_TYPES = "define record types"
    """Say of which types records may be, at every institution."""
    ENROL_INSTITUTIONS = "enrol institutions"
    """Say which institutions the toplevel believes."""
    ENROL_NODES = "enrol nodes"
    """Say which nodes one's own institution believes."""


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.PHYSICIAN: frozenset(
        {
            Right.VIEW,
            Right.STORE,
            Right.REPORT,
            Right.MEASURE,
            Right.REMOVE_MEASUREMENTS,
            Right.ASSIGN,
            Right.KEEP_PATIENTS,
            Right.ANONYMISE,
            Right.SHARE,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            Right.STORE,
            Right.DELETE,
            Right.REMOVE_MEASUREMENTS,
            Right.OPERATE,
            Right.READ_AUDIT,
            Right.MANAGE_ACCOUNTS,
            Right.MANAGE_INSTITUTIONS,
            Right.ENROL_INSTITUTIONS,
            Right.ENROL_NODES,
        }
    ),
    Role.SUPERUSER: frozenset(Right),
}
AT_HOME_ONLY = frozenset(
    {
        Right.STORE,
        Right.REPORT,
        Right.MEASURE,
        Right.REMOVE_MEASUREMENTS,
        Right.ASSIGN,
        Right.ANONYMISE,
        Right.DELETE,
        Right.READ_AUDIT,
        Right.MANAGE_ACCOUNTS,
        Right.MANAGE_INSTITUTIONS,
        Right.ENROL_NODES,
    }
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
    """Where they work; None of those who belong to no institution. Of a guest where the study is."""
    guest_of: StudyUid | None = None
    """The only study that is shown to a guest, who has no account and no role (``domain.shares``); None of everybody else."""

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip() or self.username

    def has(self, right: Right) -> bool:
        if self.guest_of is not None:
            return right is Right.VIEW
        return any(right in RIGHTS[role] for role in self.roles)

    @property
    def rights_everywhere(self) -> frozenset[Right]:
        """What ``require`` lets pass wherever it is; further rights that it ``has`` are those of its own institution."""
        held = frozenset(right for right in Right if self.has(right))
        return held if Role.SUPERUSER in self.roles else held - AT_HOME_ONLY

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


@dataclass(frozen=True, slots=True)
class Contact:
    """How somebody is reached, as they say themselves; empty where they do not."""

    email: str = ""
    phone: str = ""
    address: str = ""
    """Lines, as on a letter."""

    def require_plausible(self) -> None:
        """Returns if each of it may be what it is called; BadRequest naming what is not."""
        if self.email and not (_EMAIL.fullmatch(self.email) and len(self.email) <= _LONGEST_EMAIL):
            raise BadRequest("This is no e-mail address", key="wrong-email", parameter="email")
        if self.phone and not _PHONE.fullmatch(self.phone):
            raise BadRequest("A phone number has digits, blanks and +()/.-", key="wrong-phone", parameter="phone")
        if len(self.address) > _LONGEST_ADDRESS or not self.address.replace("\n", "").isprintable():
            raise BadRequest(
                f"An address has at most {_LONGEST_ADDRESS} characters", key="wrong-address", parameter="address"
            )
