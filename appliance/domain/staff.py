"""People and their accounts, as administrators see them."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.domain.accounts import Account, Contact


@dataclass(frozen=True, slots=True)
class Particulars:
    """What is kept of a person beside their account; it is in no token."""

    contact: Contact = field(default_factory=Contact)
    is_doctor: bool = False
    """Of medicine."""


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """An account and its person."""

    account: Account
    particulars: Particulars
    is_active: bool
    """Whether it may log in."""
