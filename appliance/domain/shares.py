"""A study that is shown to somebody without an account: by a link, which nobody guesses, and a PIN that is told otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from appliance.domain.accounts import Account
from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid


class ShareState(StrEnum):
    OPEN = "open"
    ENDED = "ended"
    """Its time is over."""
    REVOKED = "revoked"
    LOCKED = "locked"
    """The PIN was wrong too often: for good, since a new link costs nothing."""


@dataclass(frozen=True, slots=True)
class Share:
    """One link, as its maker sees it."""

    id: UUID
    account_id: AccountId
    """Whose it is."""
    institution_id: InstitutionId
    study_uid: StudyUid
    recipient: str
    """For whom, in the maker's words; may be empty."""
    made_at: datetime
    ends_at: datetime
    state: ShareState
    opened: int
    opened_at: datetime | None
    """Last."""

    def guest(self) -> Account:
        """Whoever opened it: somebody who sees this study, at this institution, and nothing else."""
        return Account(AccountId(self.id), "guest", "", "", frozenset(), self.institution_id, self.study_uid)
