"""Accounts as administrators list them: found by the beginning of a name, filtered, sorted, part by part."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.accounts import Role
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.listing import Part, PartWanted
from appliance.domain.people import folded
from appliance.domain.staff import AccountEntry
from appliance.storage.database import Transaction, matches
from appliance.storage.listing import Sorting, rows_of
from appliance.storage.toplevel import AccountRow, account_entry, accounts_having

SORTINGS = {"name": Sorting(AccountRow.sort_name), "username": Sorting(AccountRow.username)}


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts are meant; what is None is not asked for."""

    search: str | None = None
    """Each word begins a name or the username; diacritics and case are folded."""
    institution_id: InstitutionId | None = None
    role: Role | None = None
    is_active: bool | None = None


def accounts(tx: Transaction, wanted: AccountFilter, part: PartWanted) -> Part[AccountEntry]:
    """The accounts that fit. Raises ValueError for a place that is none of this list."""
    query = AccountRow.select()
    for word in folded(wanted.search or "").split():
        query = query.where(AccountRow.id.in_(accounts_having(word)))
    if wanted.institution_id is not None:
        query = query.where(AccountRow.institution_id == wanted.institution_id)
    if wanted.role is not None:
        query = query.where(matches(AccountRow.roles, f"%{wanted.role}%"))  # no role's name is in that of another
    if wanted.is_active is not None:
        query = query.where(AccountRow.deactivated_at.is_null(wanted.is_active))
    total = tx.count(query)
    rows, end = rows_of(tx, query, AccountRow.id, SORTINGS[part.sort], part)
    return Part(tuple(map(account_entry, rows)), end, total)


def account(tx: Transaction, account_id: AccountId) -> AccountEntry | None:
    row = tx.first(AccountRow.select().where(AccountRow.id == account_id))
    return account_entry(row) if row else None
