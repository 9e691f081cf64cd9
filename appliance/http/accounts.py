"""What somebody does with their own account, ``/api/account``, and an administrator with another, ``/api/accounts``."""

from __future__ import annotations

from uuid import UUID

import msgspec
from quart import Blueprint, Response

from appliance.domain.accounts import NOWHERE, Account, Contact, Right, Role
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.errors import Conflict, NotAllowed
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.domain.staff import AccountEntry, Particulars
from appliance.http.access import Access
from appliance.http.bodies import json_body, json_response, uuid_in_path
from appliance.http.lists import ListQuery
from appliance.http.sessions import account_json, own_account_json, whence
from appliance.services.accounts import Accounts
from appliance.services.audit import Auditing
from appliance.services.staff import SORTS, PersonWanted, Staff
from appliance.storage.accounts import AccountFilter


class ContactToSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    phone: str
    address: str


class PasswordToSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: str
    new: str


class Password(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: str


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str


class Activity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    is_active: bool


class PersonToKeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    given_name: str
    family_name: str
    roles: tuple[Role, ...]
    institution_id: UUID | None
    """null of those who belong to no institution."""
    email: str = ""
    phone: str = ""
    address: str = ""
    is_doctor: bool = False

    def person(self) -> PersonWanted:
        at = InstitutionId(self.institution_id) if self.institution_id else None
        particulars = Particulars(Contact(self.email, self.phone, self.address), self.is_doctor)
        return PersonWanted(self.given_name, self.family_name, frozenset(self.roles), at, particulars)


class AccountToCreate(PersonToKeep, frozen=True, forbid_unknown_fields=True, kw_only=True):
    username: str
    password: str


def own_account(accounts: Accounts, access: Access) -> Blueprint:
    blueprint = Blueprint("own account", __name__)

    @blueprint.get("/api/account")
    async def mine() -> Response:
        return json_response(own_account_json(access.writer()))

    @blueprint.get("/api/account/contact")
    async def contact() -> Response:
        return json_response(await accounts.contact(access.writer()))

    @blueprint.put("/api/account/contact")
    async def set_contact() -> Response:
        account, wanted = access.writer(), await json_body(ContactToSet)
        given = Contact(wanted.email.strip(), wanted.phone.strip(), wanted.address.strip())
        await accounts.set_contact(account, given, access.actor(account))
        return Response("", 204)

    @blueprint.put("/api/account/password")
    async def change_password() -> Response:
        account, wanted = access.writer(), await json_body(PasswordToSet)
        kept = access.session_id()
        await accounts.change_password(account, wanted.old, wanted.new, whence(), kept_session=kept)
        return Response("", 204)

    @blueprint.get("/api/account/sessions")
    async def sessions() -> Response:
        account, this = access.writer(), access.session_id()
        found = [
            {
                "id": session.id,
                "began_at": session.began_at,
                "renewed_at": session.renewed_at,
                "address": session.address,
                "browser": session.browser,
                "is_this": session.id == this,
            }
            for session in await accounts.sessions(account)
        ]
        return json_response({"sessions": found})

    @blueprint.delete("/api/account/sessions/<session_id>")
    async def end_session(session_id: str) -> Response:
        account = access.writer()
        await accounts.end_session(account, uuid_in_path(session_id, "session_id"), access.actor(account))
        return Response("", 204)

    @blueprint.get("/api/account/second-factor")
    async def second_factor() -> Response:
        return json_response(await accounts.second_factor(access.writer()))

    @blueprint.post("/api/account/second-factor")
    async def begin_second_factor() -> Response:
        account, wanted = access.writer(), await json_body(Password)
        return json_response(await accounts.begin_second_factor(account, wanted.password, whence()), 201)

    @blueprint.put("/api/account/second-factor")
    async def turn_on_second_factor() -> Response:
        account, wanted = access.writer(), await json_body(Code)
        codes = await accounts.turn_on_second_factor(account, wanted.code, access.actor(account))
        return json_response({"recovery_codes": codes})

    @blueprint.post("/api/account/second-factor/recovery-codes")
    async def make_recovery_codes() -> Response:
        account, wanted = access.writer(), await json_body(Password)
        codes = await accounts.make_recovery_codes(account, wanted.password, whence())
        return json_response({"recovery_codes": codes}, 201)

    @blueprint.post("/api/account/second-factor/removal")
    async def turn_off_second_factor() -> Response:
        account, wanted = access.writer(), await json_body(Password)
        await accounts.turn_off_second_factor(account, wanted.password, whence())
        return Response("", 204)

    return blueprint


def other_accounts(accounts: Accounts, staff: Staff, access: Access, auditing: Auditing) -> Blueprint:
    blueprint = Blueprint("other accounts", __name__)

    @blueprint.get("/api/accounts")
    async def listed() -> Response:
        account = access.writer()
        query = ListQuery("search", "institution_id", "role", "is_active", sorts=SORTS)
        institution_id = query.uuid("institution_id")
        wanted = AccountFilter(
            query.text("search"),
            InstitutionId(institution_id) if institution_id else None,
            query.choice("role", Role),
            query.flag("is_active"),
        )
        found = await staff.listed(account, wanted, query.part())
        entries = [_entry(entry) for entry in found.rows]
        return json_response({"accounts": entries, "total": found.total, "next": query.cursor(found.end)})

    @blueprint.post("/api/accounts")
    async def create() -> Response:
        account = access.writer()
        wanted = await json_body(AccountToCreate)
        created = await staff.create(account, access.actor(account), wanted.username, wanted.password, wanted.person())
        return json_response(_entry(created), 201)

    @blueprint.put("/api/accounts/<account_id>")
    async def change(account_id: str) -> Response:
        account = access.writer()
        wanted = await json_body(PersonToKeep)
        other = AccountId(uuid_in_path(account_id, "account_id"))
        return json_response(_entry(await staff.change(account, access.actor(account), other, wanted.person())))

    async def allowed(account_id: str, action: Action) -> tuple[Account, Actor]:
        """Whom it is about, and who asks, if they may."""
        account = access.writer()
        account.require(Right.MANAGE_ACCOUNTS)  # whoever has no such right does not learn which accounts there are
        other = await accounts.account(AccountId(uuid_in_path(account_id, "account_id")))
        by = access.actor(account)
        event = Event(by, action, Subject("account", str(other.id)))
        await auditing.require(account, Right.MANAGE_ACCOUNTS, other.institution_id or NOWHERE, event)
        if Role.SUPERUSER in other.roles and Role.SUPERUSER not in account.roles:
            raise NotAllowed("Superusers are managed by superusers", key="missing-right")
        return other, by

    @blueprint.put("/api/accounts/<account_id>/activity")
    async def set_active(account_id: str) -> Response:
        access.writer()
        wanted = await json_body(Activity)
        action = Action.REACTIVATE_ACCOUNT if wanted.is_active else Action.DEACTIVATE_ACCOUNT
        other, by = await allowed(account_id, action)
        await accounts.set_active(other, by, is_active=wanted.is_active)
        return Response("", 204)

    @blueprint.put("/api/accounts/<account_id>/password")
    async def replace_password(account_id: str) -> Response:
        access.writer()
        wanted = await json_body(Password)
        other, by = await allowed(account_id, Action.CHANGE_PASSWORD)
        if by.id == str(other.id):
            raise Conflict("One's own password is changed by who knows the old one", key="own-account")
        await accounts.replace_password(other, wanted.password, by)
        return Response("", 204)

    @blueprint.delete("/api/accounts/<account_id>/second-factor")
    async def remove_second_factor(account_id: str) -> Response:
        other, by = await allowed(account_id, Action.TURN_OFF_SECOND_FACTOR)
        await accounts.remove_second_factor(other, by)
        return Response("", 204)

    @blueprint.delete("/api/accounts/<account_id>/passkeys")
    async def remove_passkeys(account_id: str) -> Response:
        other, by = await allowed(account_id, Action.REMOVE_PASSKEY)
        await accounts.remove_passkeys(other, by)
        return Response("", 204)

    return blueprint


def _entry(entry: AccountEntry) -> dict[str, object]:
    """An account as docs/api.md has it for administrators."""
    kept = entry.particulars
    return {
        **account_json(entry.account),
        "email": kept.contact.email,
        "phone": kept.contact.phone,
        "address": kept.contact.address,
        "is_doctor": kept.is_doctor,
        "is_active": entry.is_active,
    }
