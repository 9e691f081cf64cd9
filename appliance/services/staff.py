"""The accounts of an institution, as its administrators see and change them.

Superusers do so for all institutions, and only they for those who belong to none, and for other superusers. Nobody takes
rights from themselves: somebody else is left who can give them back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from appliance.domain.accounts import NOWHERE, Account, Right, Role
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.errors import BadRequest, Conflict, NotAllowed, NotFound
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.listing import Part, PartWanted
from appliance.domain.people import folded
from appliance.domain.staff import AccountEntry, Particulars
from appliance.services.accounts import Accounts
from appliance.services.audit import Auditing
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import accounts as storage
from appliance.storage import toplevel
from appliance.storage.accounts import AccountFilter
from appliance.storage.database import Database, Transaction

SORTS = tuple(storage.SORTINGS)
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class PersonWanted:
    """What an account is to be, beside its username and password."""

    given_name: str
    family_name: str
    roles: frozenset[Role]
    institution_id: InstitutionId | None
    particulars: Particulars


class Staff:
    """Accounts in lists, made and changed."""

    def __init__(
        self,
        database: DatabaseThreads,
        auditing: Auditing,
        accounts: Accounts,
        *,
        on_revoked: Callable[[], Awaitable[None]],
    ) -> None:
        """``on_revoked`` is called when tokens that have not ended are no good any more."""
        self._database = database
        self._auditing = auditing
        self._accounts = accounts
        self._on_revoked = on_revoked

    async def listed(self, by: Account, wanted: AccountFilter, part: PartWanted) -> Part[AccountEntry]:
        """Accounts that fit; to whoever is no superuser those of their own institution, and of no other."""
        by.require(Right.MANAGE_ACCOUNTS)
        if Role.SUPERUSER not in by.roles:
            home = by.institution_id or NOWHERE
            wanted = replace(wanted, institution_id=wanted.institution_id or home)
            by.require(Right.MANAGE_ACCOUNTS, at=wanted.institution_id)
        if wanted.search is not None and not folded(wanted.search):
            raise BadRequest("search is empty", parameter="search")
        try:
            return await self._database.read(lambda tx: storage.accounts(tx, wanted, part))
        except ValueError as error:
            raise BadRequest("cursor is none of this list", parameter="cursor") from error

    async def create(
        self, by: Account, actor: Actor, username: str, password: str, person: PersonWanted
    ) -> AccountEntry:
        """The account exists, of a person who may log in; Conflict if the username is taken, BadRequest for a weak password."""
        wanted = _account(AccountId(NOWHERE), username, _checked(person))
        await self._require(by, actor, Action.CREATE_ACCOUNT, Subject("account"), wanted)
        await self._require_institution(wanted)
        created = await self._accounts.create(wanted, password, actor, person.particulars)
        return AccountEntry(created, person.particulars, is_active=True)

    async def change(self, by: Account, actor: Actor, account_id: AccountId, person: PersonWanted) -> AccountEntry:
        """All of the account is as said, but its username. Where its rights are others now, its tokens are no good any more;
        its sessions go on with new ones."""
        by.require(Right.MANAGE_ACCOUNTS)  # whoever has no such right does not learn which accounts there are
        before = await self._accounts.account(account_id)
        after = _account(account_id, before.username, _checked(person))
        subject = Subject("account", str(account_id))
        for account in (before, after):
            await self._require(by, actor, Action.CHANGE_ACCOUNT, subject, account)
        has_other_rights = (before.roles, before.institution_id) != (after.roles, after.institution_id)
        if has_other_rights and account_id == by.id:
            raise Conflict("Somebody else changes the rights of one's own account", key="own-account")
        if before.institution_id != after.institution_id:
            await self._require_institution(after)

        def change(tx: Transaction) -> tuple[AccountEntry, Event]:
            if toplevel.account(tx, account_id) != before:
                raise Conflict("The account was changed meanwhile", key="changed-meanwhile")
            toplevel.change_account(tx, after, person.particulars)
            if has_other_rights:
                toplevel.revoke(tx, account_id)
            entry = storage.account(tx, account_id)
            assert entry is not None, "it was there a line ago, in this transaction"
            return entry, Event(actor, Action.CHANGE_ACCOUNT, subject)

        def changed(database: Database) -> AccountEntry:
            return self._auditing.trail.carry_out(database, change)

        entry = await self._database.call(changed)
        if has_other_rights:
            await self._on_revoked()
        return entry

    async def _require(self, by: Account, actor: Actor, action: Action, subject: Subject, account: Account) -> None:
        """Returns if ``by`` may have such an account; a refusal is on record."""
        event = Event(actor, action, subject)
        await self._auditing.require(by, Right.MANAGE_ACCOUNTS, account.institution_id or NOWHERE, event)
        if Role.SUPERUSER in account.roles and Role.SUPERUSER not in by.roles:
            raise NotAllowed("Superusers are managed by superusers", key="missing-right")

    async def _require_institution(self, account: Account) -> None:
        institution_id = account.institution_id
        if institution_id is None:
            return
        if not await self._database.read(lambda tx: toplevel.has_institution(tx, institution_id)):
            raise NotFound("There is no such institution", key="no-such-institution")


def _account(account_id: AccountId, username: str, person: PersonWanted) -> Account:
    return Account(account_id, username, person.given_name, person.family_name, person.roles, person.institution_id)


def _checked(person: PersonWanted) -> PersonWanted:
    """``person``, if it can be kept; BadRequest naming what cannot."""
    for name, text in (("given_name", person.given_name), ("family_name", person.family_name)):
        if text != text.strip() or len(text) > _LONGEST_NAME or not text.isprintable():
            raise BadRequest(
                f"{name} has more than {_LONGEST_NAME} characters, or some that do not belong there", parameter=name
            )
    contact = person.particulars.contact
    contact.require_plausible()
    if not contact.email.isprintable():
        raise BadRequest("This is no e-mail address", key="wrong-email", parameter="email")
    if not person.family_name:
        raise BadRequest("The person has no family name", parameter="family_name")
    if not person.roles:
        raise BadRequest("The account has no role", parameter="roles")
    return person
