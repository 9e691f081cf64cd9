"""The tables that only the toplevel writes: institutions, nodes, accounts, sessions, patients and their identities.

Functions here take a ``Transaction`` and return values of ``domain``. A search by name is a range over a folded column
(index-ordered, the same on every engine), never LIKE, which is a scan.

Whoever changes the rows of an account, an institution or a patient says so to ``storage.feed``, in the same transaction: those
who keep a copy are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
    DateField,
    DateTimeField,
    IntegerField,
    TextField,
    UUIDField,
    fn,
)

from appliance.domain.accounts import Account, Contact, Role
from appliance.domain.changes import PatientNumber, PatientRecord, PatientTold, SubjectKind
from appliance.domain.errors import Conflict
from appliance.domain.identifiers import AccountId, InstitutionId, PatientId
from appliance.domain.people import EVERYWHERE, Patient, PatientIdentity, folded, gender_of, searched
from appliance.domain.staff import AccountEntry, Particulars
from appliance.storage import audit_heads, feed, passkeys, record_types, second_factors, shares
from appliance.storage.database import Migration, Table, Transaction, matches
from appliance.storage.outbox import Deliveries, unite

DELIVERIES = Deliveries("toplevel")
_LONGEST_TOKEN = timedelta(days=1)
"""Tokens that were made longer ago have ended, whatever the settings say."""
_NOTHING_KEPT = Particulars()
_LONGEST_WORD = 96
"""Characters of a word that is found by its beginning; what follows does not count."""
_WHOLE = "="
"""Before a number in the place of a word: it is found as a whole only."""
MOST_FOUND = 500
"""Patients that a search gives out and counts; who looks for more looks for something else."""
_RARE = 4 * MOST_FOUND
"""Rows that are looked at without asking whether another word has fewer."""
_LAST_CHARACTER = "\U0010ffff"
"""Greater than anything that follows a prefix."""


class InstitutionRow(Table):
    id = UUIDField(primary_key=True)
    name = TextField()
    base_url = TextField()
    seen_at = DateTimeField()
    shown_name = TextField(null=True)
    """As administrators call it; empty where that is as it calls itself."""
    sort_name = TextField(null=True)
    """The name that is shown, folded; no row has it empty."""
    address = TextField(null=True)

    class Meta:
        table_name = "institution"


class NodeRow(Table):
    id = UUIDField(primary_key=True)
    institution_id = UUIDField(index=True)
    name = TextField()
    base_url = TextField()
    draws_for = UUIDField(null=True)

    class Meta:
        table_name = "institution_node"


class AccountRow(Table):
    id = UUIDField(primary_key=True)
    username = CharField(max_length=64, unique=True)
    password_hash = TextField()
    given_name = TextField()
    family_name = TextField()
    roles = TextField()
    is_doctor = BooleanField(null=True)
    """Of medicine."""
    sort_name = TextField(null=True)
    """Family and given name, folded, by which lists are sorted; no row has it empty."""
    institution_id = UUIDField(null=True)
    deactivated_at = DateTimeField(null=True)
    """Since when it may not log in; empty while it may."""
    email = TextField(null=True)
    phone = TextField(null=True)
    address = TextField(null=True)

    class Meta:
        table_name = "account"


class AccountWordRow(Table):
    """Each folded word of a person's names and their username, so that any word is found by its beginning."""

    word = CharField(max_length=64)
    account_id = UUIDField(index=True)

    class Meta:
        table_name = "account_word"
        primary_key = CompositeKey("word", "account_id")


class SessionRow(Table):
    """A logged-in browser. The secret of its refresh cookie is kept as a hash, and spent at each renewal.

    A session has as many rows as secrets that are good: a spent one is for a minute.
    """

    secret_sha256 = BlobField(primary_key=True)
    account_id = UUIDField(index=True)
    ends_at = DateTimeField()
    id = UUIDField(null=True)
    """The same through all renewals; empty in those that began before sessions were listed, until they are renewed."""
    began_at = DateTimeField(null=True)
    renewed_at = DateTimeField(null=True)
    address = TextField(null=True)
    browser = TextField(null=True)
    """What it calls itself (User-Agent)."""

    class Meta:
        table_name = "session"


class RevocationRow(Table):
    """Tokens of an account or a session from before a moment are no good, though they have not ended."""

    subject = UUIDField(primary_key=True)
    before = DateTimeField()

    class Meta:
        table_name = "revocation"


class KnownDeviceRow(Table):
    """A browser in which somebody was logged in: others who guess their password do not slow them down there."""

    secret_sha256 = BlobField()
    account_id = UUIDField(index=True)
    seen_at = DateTimeField()

    class Meta:
        table_name = "known_device"
        primary_key = CompositeKey("secret_sha256", "account_id")


class FailureRow(Table):
    """Failed attempts to log in, by username or by address."""

    subject = CharField(max_length=128, primary_key=True)
    count = IntegerField()
    last_at = DateTimeField()

    class Meta:
        table_name = "login_failure"


class PatientRow(Table):
    id = UUIDField(primary_key=True)
    family_name = TextField()
    given_name = TextField()
    birth_date = DateField(null=True, index=True)
    gender = CharField(max_length=1, null=True)
    address = TextField(null=True)
    email = TextField(null=True)
    phone = TextField(null=True)
    revision = IntegerField(null=True)
    """Empty of one that was not changed since revisions were counted."""
    words = TextField(null=True, index=True)
    """All words that they are found by; no row has it empty."""
    sequence = BigIntegerField(null=True, index=True)
    """Of the last change that institutions hear of; no row has it empty."""

    class Meta:
        table_name = "patient"


class PatientWordRow(Table):
    """Each folded word of a patient's names, their birth date and their numbers, so that any word is found by its beginning.

    All other words stand beside it, so that a search of several reads nothing but the rows of one of them, in order.
    """

    word = CharField(max_length=_LONGEST_WORD)
    words = TextField()
    patient_id = UUIDField(index=True)

    class Meta:
        table_name = "patient_search"
        primary_key = CompositeKey("word", "words", "patient_id")


class PatientAliasRow(Table):
    """Somebody who turned out to be another patient: who asks for the one gets the other."""

    id = UUIDField(primary_key=True)
    patient_id = UUIDField(index=True)
    merged_at = DateTimeField()
    account_id = UUIDField()

    class Meta:
        table_name = "patient_alias"


class PatientIdentityRow(Table):
    institution_id = UUIDField()
    issuer = CharField(max_length=64)
    value = CharField(max_length=80, index=True)
    patient_id = UUIDField(index=True)

    class Meta:
        table_name = "patient_identity"
        primary_key = CompositeKey("institution_id", "issuer", "value")


class PatientInstitutionRow(Table):
    """An institution holds something of a patient."""

    patient_id = UUIDField()
    institution_id = UUIDField()

    class Meta:
        table_name = "patient_institution"
        primary_key = CompositeKey("patient_id", "institution_id")


def _create(tx: Transaction) -> None:
    tx.create_tables(
        InstitutionRow,
        NodeRow,
        AccountRow,
        SessionRow,
        FailureRow,
        PatientRow,
        PatientIdentityRow,
    )


def _note_who_holds(tx: Transaction) -> None:
    """Until now an institution held something of whoever had a number there."""
    if tx.has_table(PatientInstitutionRow._meta.table_name):
        return
    tx.create_tables(PatientInstitutionRow)
    numbered = PatientIdentityRow.select(PatientIdentityRow.patient_id, PatientIdentityRow.institution_id).distinct()
    columns = (PatientInstitutionRow.patient_id, PatientInstitutionRow.institution_id)
    tx.execute(PatientInstitutionRow.insert_from(numbered, columns))


def _search_by_words(tx: Transaction) -> None:
    """Numbers and birth dates are found as names are, and rows say how they were changed."""
    row = PatientRow
    tx.add_columns(row.address, row.email, row.phone, row.revision, row.words, row.sequence)
    tx.create_tables(PatientRow, PatientWordRow, PatientAliasRow)
    if tx.has_table("patient_word"):
        tx.drop_table("patient_word")
    for known in tx.rows(row.select(row.id).order_by(row.id)):
        changed(tx, PatientId(known.id))


def _list_sessions(tx: Transaction) -> None:
    tx.create_tables(RevocationRow, KnownDeviceRow)
    tx.add_columns(AccountRow.deactivated_at)
    tx.add_columns(SessionRow.id, SessionRow.began_at, SessionRow.renewed_at, SessionRow.address, SessionRow.browser)


def _keep_contacts(tx: Transaction) -> None:
    tx.add_columns(AccountRow.email, AccountRow.phone, AccountRow.address)


def _list_accounts(tx: Transaction) -> None:
    tx.create_tables(AccountWordRow)
    tx.add_columns(AccountRow.sort_name, AccountRow.is_doctor)
    for known in tx.rows(AccountRow.select()):
        _list_by_name(tx, _account(known))


def _describe_institutions(tx: Transaction) -> None:
    row = InstitutionRow
    tx.add_columns(row.shown_name, row.sort_name, row.address)
    for known in tx.rows(row.select()):
        tx.execute(row.update(sort_name=folded(known.shown_name or known.name)).where(row.id == known.id))


MIGRATIONS = (
    Migration(1, "accounts, sessions, patients, institutions", _create),
    Migration(2, "one outbox for all roles", lambda tx: unite(tx, DELIVERIES.role)),
    Migration(3, "who holds something of whom", _note_who_holds),
    Migration(4, "sessions that are listed, accounts that are shut out", _list_sessions),
    Migration(5, "second factors", second_factors.create),
    Migration(6, "passkeys", passkeys.create),
    Migration(7, "how people are reached", _keep_contacts),
    Migration(8, "accounts in lists", _list_accounts),
    Migration(9, "institutions as administrators describe them", _describe_institutions),
    Migration(10, "record types", record_types.create),
    Migration(20, "what institutions are to be told", feed.create),
    Migration(21, "patients are found by any word, changed and merged", _search_by_words),
    Migration(22, "nodes that only draw", lambda tx: tx.add_columns(NodeRow.draws_for)),
    Migration(23, "heads of the audit trails below", audit_heads.create),
    Migration(24, "studies that are shared", shares.create),
)


# Times are kept in UTC without a zone, which every engine stores alike.
def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _plain(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _zoned(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


# Accounts


@dataclass(frozen=True, slots=True)
class Credentials:
    account: Account
    password_hash: str
    is_active: bool


def create_account(
    tx: Transaction, account: Account, password_hash: str, particulars: Particulars = _NOTHING_KEPT
) -> None:
    """Conflict if the username is taken; it is compared without case."""
    if tx.exists(AccountRow.select(AccountRow.id).where(AccountRow.username == account.username.casefold())):
        raise Conflict(f"There is an account {account.username} already", key="username-taken")
    tx.insert(
        AccountRow,
        id=account.id,
        username=account.username.casefold(),
        password_hash=password_hash,
        given_name=account.given_name,
        family_name=account.family_name,
        roles=" ".join(sorted(account.roles)),
        institution_id=account.institution_id,
        is_doctor=particulars.is_doctor,
        **asdict(particulars.contact),
    )
    _list_by_name(tx, account)
    _tell_home(tx, account)


def change_account(tx: Transaction, account: Account, particulars: Particulars) -> None:
    """All of the account is as said, but its username, which stays."""
    values = {
        "given_name": account.given_name,
        "family_name": account.family_name,
        "roles": " ".join(sorted(account.roles)),
        "institution_id": account.institution_id,
        "is_doctor": particulars.is_doctor,
        **asdict(particulars.contact),
    }
    tx.execute(AccountRow.update(**values).where(AccountRow.id == account.id))
    _list_by_name(tx, account)
    feed.changed(tx, SubjectKind.ACCOUNT, account.id)
    _tell_home(tx, account)


def _tell_home(tx: Transaction, account: Account) -> None:
    if account.institution_id is not None:
        feed.follow(tx, account.institution_id, SubjectKind.ACCOUNT, account.id)


def _list_by_name(tx: Transaction, account: Account) -> None:
    names = folded(f"{account.family_name} {account.given_name}")
    tx.execute(AccountRow.update(sort_name=names).where(AccountRow.id == account.id))
    tx.execute(AccountWordRow.delete().where(AccountWordRow.account_id == account.id))
    for word in sorted({word[:64] for word in f"{names} {folded(account.username)}".split()}):
        tx.insert(AccountWordRow, word=word, account_id=account.id)


def accounts_having(word: str) -> Any:
    """Query of the ids of accounts of which a name or the username begins with a folded word."""
    return AccountWordRow.select(AccountWordRow.account_id).where(
        (AccountWordRow.word >= word) & (AccountWordRow.word < word + _LAST_CHARACTER)
    )


def credentials(tx: Transaction, username: str) -> Credentials | None:
    return _credentials(tx.first(AccountRow.select().where(AccountRow.username == username.casefold())))


def credentials_of(tx: Transaction, account_id: AccountId) -> Credentials | None:
    return _credentials(tx.first(AccountRow.select().where(AccountRow.id == account_id)))


def _credentials(row: Any) -> Credentials | None:
    return Credentials(_account(row), row.password_hash, row.deactivated_at is None) if row else None


def set_password_hash(tx: Transaction, account_id: AccountId, password_hash: str) -> None:
    tx.execute(AccountRow.update(password_hash=password_hash).where(AccountRow.id == account_id))
    feed.changed(tx, SubjectKind.ACCOUNT, account_id)


def may_log_in(tx: Transaction, account_id: AccountId) -> bool:
    """Whether there is such an account, and it is not shut out."""
    of_account = (AccountRow.id == account_id) & AccountRow.deactivated_at.is_null()
    return tx.exists(AccountRow.select(AccountRow.id).where(of_account))


def set_active(tx: Transaction, account_id: AccountId, *, is_active: bool) -> None:
    deactivated_at = None if is_active else _now()
    tx.execute(AccountRow.update(deactivated_at=deactivated_at).where(AccountRow.id == account_id))
    feed.changed(tx, SubjectKind.ACCOUNT, account_id)


def contact(tx: Transaction, account_id: AccountId) -> Contact | None:
    """How somebody is reached; None if there is no such account."""
    row = tx.first(AccountRow.select().where(AccountRow.id == account_id))
    return Contact(row.email or "", row.phone or "", row.address or "") if row else None


def set_contact(tx: Transaction, account_id: AccountId, contact: Contact) -> bool:
    """Whether there is such an account."""
    values = {"email": contact.email, "phone": contact.phone, "address": contact.address}
    feed.changed(tx, SubjectKind.ACCOUNT, account_id)
    return tx.execute(AccountRow.update(**values).where(AccountRow.id == account_id)) > 0


def account(tx: Transaction, account_id: AccountId) -> Account | None:
    row = tx.first(AccountRow.select().where(AccountRow.id == account_id))
    return _account(row) if row else None


def account_ids(tx: Transaction) -> tuple[AccountId, ...]:
    return tuple(AccountId(row.id) for row in tx.rows(AccountRow.select(AccountRow.id).order_by(AccountRow.id)))


def account_entry(row: Any) -> AccountEntry:
    """An account and what is kept beside it, from a whole row."""
    particulars = Particulars(Contact(row.email or "", row.phone or "", row.address or ""), bool(row.is_doctor))
    return AccountEntry(_account(row), particulars, row.deactivated_at is None)


def _account(row: Any) -> Account:
    return Account(
        id=AccountId(row.id),
        username=row.username,
        given_name=row.given_name,
        family_name=row.family_name,
        roles=frozenset(Role(role) for role in row.roles.split()),
        institution_id=InstitutionId(row.institution_id) if row.institution_id else None,
    )


# Sessions


@dataclass(frozen=True, slots=True)
class KeptSession:
    id: UUID
    account_id: AccountId
    began_at: datetime
    renewed_at: datetime
    address: str
    browser: str


def begin_session(tx: Transaction, secret_sha256: bytes, session: KeptSession, lifetime: timedelta) -> None:
    tx.execute(SessionRow.delete().where(SessionRow.ends_at < _now()))
    tx.insert(
        SessionRow,
        secret_sha256=secret_sha256,
        account_id=session.account_id,
        ends_at=_now() + lifetime,
        id=session.id,
        began_at=_plain(session.began_at),
        renewed_at=_plain(session.renewed_at),
        address=session.address,
        browser=session.browser,
    )


def spend_session(tx: Transaction, secret_sha256: bytes, *, good_for: timedelta = timedelta(0)) -> KeptSession | None:
    """A session that had not ended, which is over under this secret after ``good_for``; None if there is no such session."""
    this = SessionRow.secret_sha256 == secret_sha256
    now = _now()
    row = tx.first(SessionRow.select().where(this & (SessionRow.ends_at >= now)))
    if row is None or not good_for:
        tx.execute(SessionRow.delete().where(this))
    elif row.ends_at > now + good_for:
        tx.execute(SessionRow.update(ends_at=now + good_for).where(this))
    return _session(row) if row else None


def sessions_of(tx: Transaction, account_id: AccountId) -> tuple[KeptSession, ...]:
    """Those that have not ended, the newest first; each once, under however many secrets it goes on."""
    of_account = (SessionRow.account_id == account_id) & (SessionRow.ends_at >= _now())
    found = [_session(row) for row in tx.rows(SessionRow.select().where(of_account))]
    newest = {session.id: session for session in sorted(found, key=lambda session: session.renewed_at)}
    return tuple(sorted(newest.values(), key=lambda session: session.renewed_at, reverse=True))


def end_session(tx: Transaction, session: KeptSession) -> None:
    """It is not renewed again, and its tokens are no good."""
    tx.execute(SessionRow.delete().where(SessionRow.id == session.id))
    revoke(tx, session.id)


def end_sessions(tx: Transaction, account_id: AccountId) -> None:
    """The same for all sessions of an account."""
    tx.execute(SessionRow.delete().where(SessionRow.account_id == account_id))
    revoke(tx, account_id)


def _session(row: Any) -> KeptSession:
    # One that began before sessions were listed has none of it; it gets an id when it is renewed.
    began_at = _zoned(row.began_at or row.ends_at)
    return KeptSession(
        id=row.id or uuid4(),
        account_id=AccountId(row.account_id),
        began_at=began_at,
        renewed_at=_zoned(row.renewed_at) if row.renewed_at else began_at,
        address=row.address or "",
        browser=row.browser or "",
    )


@dataclass(frozen=True, slots=True)
class Revoked:
    subject: UUID
    before: datetime


def revoke(tx: Transaction, subject: UUID) -> None:
    """Tokens of this account or session that were made until now are no good."""
    is_old = RevocationRow.before < _now() - _LONGEST_TOKEN
    tx.execute(RevocationRow.delete().where((RevocationRow.subject == subject) | is_old))
    tx.insert(RevocationRow, subject=subject, before=_now())


def revocations(tx: Transaction, since: datetime) -> tuple[Revoked, ...]:
    """Those since a moment; older ones speak of tokens that have ended."""
    rows = tx.rows(RevocationRow.select().where(RevocationRow.before >= _plain(since)).order_by(RevocationRow.subject))
    return tuple(Revoked(row.subject, _zoned(row.before)) for row in rows)


def know_device(tx: Transaction, secret_sha256: bytes, account_id: AccountId, *, forget_after: timedelta) -> None:
    """Somebody is logged in there now."""
    tx.execute(KnownDeviceRow.delete().where(KnownDeviceRow.seen_at < _now() - forget_after))
    tx.execute(KnownDeviceRow.delete().where(_is_device(secret_sha256, account_id)))
    tx.insert(KnownDeviceRow, secret_sha256=secret_sha256, account_id=account_id, seen_at=_now())


def is_known_device(tx: Transaction, secret_sha256: bytes, account_id: AccountId) -> bool:
    return tx.exists(KnownDeviceRow.select(KnownDeviceRow.seen_at).where(_is_device(secret_sha256, account_id)))


def forget_devices(tx: Transaction, account_id: AccountId) -> None:
    tx.execute(KnownDeviceRow.delete().where(KnownDeviceRow.account_id == account_id))


def _is_device(secret_sha256: bytes, account_id: AccountId) -> Any:
    return (KnownDeviceRow.secret_sha256 == secret_sha256) & (KnownDeviceRow.account_id == account_id)


# Failed attempts


@dataclass(frozen=True, slots=True)
class Failures:
    count: int
    age: timedelta
    """Since the last of them."""


def failures(tx: Transaction, subject: str) -> Failures:
    row = tx.first(FailureRow.select().where(FailureRow.subject == subject))
    return Failures(row.count, _now() - row.last_at) if row else Failures(0, timedelta.max)


def count_failure(tx: Transaction, subject: str, *, forget_after: timedelta) -> None:
    tx.execute(FailureRow.delete().where(FailureRow.last_at < _now() - forget_after))
    this = FailureRow.subject == subject
    if not tx.execute(FailureRow.update(count=FailureRow.count + 1, last_at=_now()).where(this)):
        tx.insert(FailureRow, subject=subject, count=1, last_at=_now())


def stamp_failure(tx: Transaction, subject: str) -> None:
    """What was counted beforehand has failed now."""
    tx.execute(FailureRow.update(last_at=_now()).where(FailureRow.subject == subject))


def take_back_failure(tx: Transaction, subject: str) -> None:
    """What was counted beforehand was none."""
    this = FailureRow.subject == subject
    tx.execute(FailureRow.update(count=FailureRow.count - 1).where(this & (FailureRow.count > 0)))


def forget_failures(tx: Transaction, subject: str) -> None:
    tx.execute(FailureRow.delete().where(FailureRow.subject == subject))


# Institutions and nodes


@dataclass(frozen=True, slots=True)
class NodeEntry:
    id: UUID
    name: str
    base_url: str
    draws_for: UUID | None = None
    """The node of the same institution whose store it draws from; None of one that keeps what it draws."""


@dataclass(frozen=True, slots=True)
class InstitutionEntry:
    """An institution as the directory names it."""

    id: UUID
    name: str
    base_url: str
    nodes: tuple[NodeEntry, ...]


def directory(tx: Transaction) -> tuple[InstitutionEntry, ...]:
    """All institutions and their nodes, by name."""
    nodes: dict[UUID, list[NodeEntry]] = {}
    for row in tx.rows(NodeRow.select().order_by(NodeRow.name, NodeRow.id)):
        nodes.setdefault(row.institution_id, []).append(NodeEntry(row.id, row.name, row.base_url, row.draws_for))
    rows = tx.rows(InstitutionRow.select().order_by(InstitutionRow.sort_name, InstitutionRow.id))
    return tuple(
        InstitutionEntry(row.id, row.shown_name or row.name, row.base_url, tuple(nodes.get(row.id, ()))) for row in rows
    )


def has_institution(tx: Transaction, institution_id: InstitutionId) -> bool:
    return tx.exists(InstitutionRow.select(InstitutionRow.id).where(InstitutionRow.id == institution_id))


def keep_institution(tx: Transaction, entry: InstitutionEntry) -> None:
    """``entry`` as it says itself; what administrators say of it stays."""
    shown_name = tx.value(InstitutionRow.select(InstitutionRow.shown_name).where(InstitutionRow.id == entry.id))
    values = {
        "name": entry.name,
        "base_url": entry.base_url,
        "seen_at": _now(),
        "sort_name": folded(shown_name or entry.name),
    }
    if not tx.execute(InstitutionRow.update(**values).where(InstitutionRow.id == entry.id)):
        tx.insert(InstitutionRow, id=entry.id, **values)
    tx.execute(NodeRow.delete().where(NodeRow.institution_id == entry.id))
    for node in entry.nodes:
        tx.insert(
            NodeRow,
            id=node.id,
            institution_id=entry.id,
            name=node.name,
            base_url=node.base_url,
            draws_for=node.draws_for,
        )
    feed.tell_everybody(tx, SubjectKind.INSTITUTION, entry.id)


# Patients


def add_patient(tx: Transaction, patient: Patient) -> None:
    """``patient`` is there; one of the same id that was there before stays as it is. Numbers have functions of their own."""
    if has_patient(tx, patient.id):
        return
    tx.insert(
        PatientRow,
        id=patient.id,
        family_name=patient.family_name,
        given_name=patient.given_name,
        birth_date=patient.birth_date,
        gender=patient.gender,
        address=patient.address,
        email=patient.email,
        phone=patient.phone,
        revision=1,
    )
    changed(tx, patient.id)


def change_patient(tx: Transaction, patient: Patient) -> None:
    """Names, birth date, gender and how they are reached are as said."""
    tx.execute(
        PatientRow.update(
            family_name=patient.family_name,
            given_name=patient.given_name,
            birth_date=patient.birth_date,
            gender=patient.gender,
            address=patient.address,
            email=patient.email,
            phone=patient.phone,
            revision=patient.revision + 1,
        ).where(PatientRow.id == patient.id)
    )
    changed(tx, patient.id)


def delete_patient(tx: Transaction, patient_id: PatientId) -> None:
    """The patient is not there any more, nor what was only theirs: words, numbers, aliases."""
    for table in (PatientWordRow, PatientIdentityRow, PatientInstitutionRow, PatientAliasRow):
        tx.execute(table.delete().where(table.patient_id == patient_id))
    tx.execute(PatientRow.delete().where(PatientRow.id == patient_id))
    feed.changed(tx, SubjectKind.PATIENT, patient_id)


def merge_patients(tx: Transaction, kept: PatientId, duplicate: PatientId, *, by: AccountId) -> None:
    """What was the duplicate's is the kept patient's: numbers, who holds something, earlier aliases; and so is its id."""
    for table in (PatientIdentityRow, PatientAliasRow):
        tx.execute(table.update(patient_id=kept).where(table.patient_id == duplicate))
    for held in tx.rows(PatientInstitutionRow.select().where(PatientInstitutionRow.patient_id == duplicate)):
        note_held(tx, kept, InstitutionId(held.institution_id))
    delete_patient(tx, duplicate)
    tx.insert(PatientAliasRow, id=duplicate, patient_id=kept, merged_at=_now(), account_id=by)
    tx.execute(PatientRow.update(revision=fn.COALESCE(PatientRow.revision, 0) + 1).where(PatientRow.id == kept))
    changed(tx, kept)


def now_called(tx: Transaction, patient_id: PatientId) -> PatientId:
    """The id of the patient, who may since have been merged with another."""
    found = tx.value(PatientAliasRow.select(PatientAliasRow.patient_id).where(PatientAliasRow.id == patient_id))
    return PatientId(found) if found else patient_id


def changed(tx: Transaction, patient_id: PatientId) -> None:
    """The patient is found by what is said of them now, and institutions that hold something of them hear of it."""
    found = patient(tx, patient_id)
    if found is None:
        return
    terms = words_of(found)
    words = " ".join(("", *terms, ""))
    sequence = tx.next_number(PatientRow.sequence)
    tx.execute(PatientRow.update(words=words, sequence=sequence).where(PatientRow.id == patient_id))
    tx.execute(PatientWordRow.delete().where(PatientWordRow.patient_id == patient_id))
    for word in sorted({term[:_LONGEST_WORD] for term in terms}):
        tx.insert(PatientWordRow, word=word, words=words, patient_id=patient_id)
    feed.changed(tx, SubjectKind.PATIENT, patient_id)


def has_patient(tx: Transaction, patient_id: PatientId) -> bool:
    return tx.exists(PatientRow.select(PatientRow.id).where(PatientRow.id == patient_id))


def know_number(
    tx: Transaction, identity: PatientIdentity, patient_id: PatientId, *, instead_of: PatientId | None = None
) -> bool:
    """Whether the number is the patient's now: it was free, theirs before, or that of ``instead_of``. A blank is nobody's."""
    if not identity.value.strip():
        return False
    this = _is_identity(identity)
    owner = tx.value(PatientIdentityRow.select(PatientIdentityRow.patient_id).where(this))
    if owner is None:
        tx.insert(
            PatientIdentityRow,
            institution_id=identity.institution_id,
            issuer=identity.issuer,
            value=identity.value,
            patient_id=patient_id,
        )
        changed(tx, patient_id)
        return True
    if owner not in (patient_id, instead_of):
        return False
    if owner != patient_id:
        tx.execute(PatientIdentityRow.update(patient_id=patient_id).where(this))
        changed(tx, PatientId(owner))
        changed(tx, patient_id)
    return True


def forget_number(tx: Transaction, identity: PatientIdentity, patient_id: PatientId) -> None:
    """The number is nobody's, if it was the patient's."""
    of_patient = _is_identity(identity) & (PatientIdentityRow.patient_id == patient_id)
    if tx.execute(PatientIdentityRow.delete().where(of_patient)):
        changed(tx, patient_id)


def _is_identity(identity: PatientIdentity) -> Any:
    return (
        (PatientIdentityRow.institution_id == identity.institution_id)
        & (PatientIdentityRow.issuer == identity.issuer)
        & (PatientIdentityRow.value == identity.value)
    )


def patient_with_number(tx: Transaction, identity: PatientIdentity) -> Patient | None:
    """Whom an institution knows by a number."""
    row = tx.first(PatientIdentityRow.select(PatientIdentityRow.patient_id).where(_is_identity(identity)))
    return patient(tx, PatientId(row.patient_id)) if row else None


def patients_with_number(tx: Transaction, issuer: str, value: str) -> tuple[Patient, ...]:
    """Who is known by a number of an issuer at any institution."""
    of_number = (PatientIdentityRow.issuer == issuer) & (PatientIdentityRow.value == value)
    ids = PatientIdentityRow.select(PatientIdentityRow.patient_id).where(of_number)
    return tuple(_patients(tx, tx.rows(PatientRow.select().where(PatientRow.id.in_(ids)))))


def note_held(tx: Transaction, patient_id: PatientId, institution_id: InstitutionId) -> None:
    """The institution holds something of the patient."""
    if not tx.exists(PatientInstitutionRow.select().where(_is_held(patient_id, institution_id))):
        tx.insert(PatientInstitutionRow, patient_id=patient_id, institution_id=institution_id)
        changed(tx, patient_id)
        feed.follow(tx, institution_id, SubjectKind.PATIENT, patient_id)


def note_not_held(tx: Transaction, patient_id: PatientId, institution_id: InstitutionId) -> None:
    if tx.execute(PatientInstitutionRow.delete().where(_is_held(patient_id, institution_id))):
        feed.changed(tx, SubjectKind.PATIENT, patient_id)


def _is_held(patient_id: PatientId, institution_id: InstitutionId) -> Any:
    return (PatientInstitutionRow.patient_id == patient_id) & (PatientInstitutionRow.institution_id == institution_id)


def words_of(patient: Patient) -> list[str]:
    """What a patient is found by: names, the birth date, and numbers as a whole."""
    names = folded(f"{patient.family_name} {patient.given_name}").split()
    born = [patient.birth_date.isoformat()] if patient.birth_date else []
    numbers = {_WHOLE + "".join(folded(identity.value).split()) for identity in patient.identities}
    return [*names, *born, *sorted(numbers)]


def patient(tx: Transaction, patient_id: PatientId) -> Patient | None:
    row = tx.first(PatientRow.select().where(PatientRow.id == patient_id))
    return _patients(tx, [row])[0] if row else None


def told(tx: Transaction, patient_id: PatientId, institution_id: InstitutionId) -> PatientTold | None:
    """What an institution is told of a patient."""
    found = patient(tx, now_called(tx, patient_id))
    if found is None:
        return None
    record = PatientRecord(found.family_name, found.given_name, found.birth_date, found.gender)
    own = [one for one in found.identities if one.institution_id == institution_id]
    insured = [one for one in found.identities if one.institution_id == EVERYWHERE]
    aliases = PatientAliasRow.select(PatientAliasRow.id).where(PatientAliasRow.patient_id == found.id)
    merged = tuple(row.id for row in tx.rows(aliases.order_by(PatientAliasRow.merged_at, PatientAliasRow.id)))
    return PatientTold(found.id, record, tuple(PatientNumber(one.issuer, one.value) for one in own + insured), merged)


def told_after(
    tx: Transaction, institution_id: InstitutionId, after: int, *, limit: int
) -> tuple[tuple[PatientTold, ...], int]:
    """What is new, in order, of patients whom the institution holds something of; and the number up to which that is."""
    held = PatientInstitutionRow.select(PatientInstitutionRow.patient_id).where(
        PatientInstitutionRow.institution_id == institution_id
    )
    news = PatientRow.select(PatientRow.id, PatientRow.sequence).where(
        (PatientRow.sequence > after) & PatientRow.id.in_(held)
    )
    rows = tx.rows(news.order_by(PatientRow.sequence).limit(limit))
    found = [told(tx, PatientId(row.id), institution_id) for row in rows]
    return tuple(one for one in found if one is not None), rows[-1].sequence if rows else after


def search_patients(tx: Transaction, search: str, *, limit: int, offset: int) -> tuple[tuple[Patient, ...], int]:
    """Patients whom every word of ``search`` fits; and how many there are in all, up to ``MOST_FOUND``.

    A word fits by beginning a name or the birth date (1970, 1970-01; ``domain.people.searched`` has other ways to write one), or
    by being a whole number. An empty search fits everybody. They come by name; where there are more than ``MOST_FOUND`` by the
    word that was found.

    One range of ``patient_search`` is read, that of the word with the fewest rows, in the order of its key: some thousand rows
    at most where all words are rare or all are common.
    """
    terms = searched(search)
    if not terms:
        everybody = PatientRow.select(PatientRow.id).order_by(PatientRow.words, PatientRow.id).limit(MOST_FOUND)
        ids = [row.id for row in tx.rows(everybody)]
    else:
        ids = _ids_of(tx, terms)
    wanted = ids[offset : offset + limit]
    by_id = {row.id: row for row in tx.rows(PatientRow.select().where(PatientRow.id.in_(wanted)))}
    return tuple(_patients(tx, [by_id[one] for one in wanted])), len(ids)


def _ids_of(tx: Transaction, terms: Sequence[frozenset[str]]) -> list[UUID]:
    rarest = min(terms, key=lambda term: _row_count(tx, term)) if len(terms) > 1 else terms[0]
    others = [term for term in terms if term is not rarest]
    found = [_names(tx, one, others) for one in _ranges(rarest)]
    names = {patient_id: words for some in found for patient_id, words in some.items()}
    if len(names) < MOST_FOUND:
        return sorted(names, key=lambda one: (names[one], str(one)))
    return list(names)[:MOST_FOUND]


def _names(tx: Transaction, in_range: Any, others: Sequence[frozenset[str]]) -> dict[UUID, str]:
    """The patients of a range of words whom other terms fit too, and all of their words, in the order of the key.

    A patient with two words in the range comes once; so as many rows are read as give ``MOST_FOUND`` with two words each.
    """
    row = PatientWordRow
    query = row.select(row.words, row.patient_id).where(in_range)
    for term in others:
        query = query.where(_has_words(term))
    found = tx.rows(query.order_by(row.word, row.words, row.patient_id).limit(2 * MOST_FOUND).tuples())
    return {patient_id: words for words, patient_id in found}


def _row_count(tx: Transaction, term: frozenset[str]) -> int:
    row = PatientWordRow
    return sum(tx.count(row.select(row.patient_id).where(one).limit(_RARE)) for one in _ranges(term))


def _ranges(term: frozenset[str]) -> list[Any]:
    """The ranges of words that fit a term: numbers as a whole, and words that begin so. Each is for a query of its own, since
    an engine would sort what it joined."""
    row = PatientWordRow
    numbers = [row.word == (_WHOLE + beginning)[:_LONGEST_WORD] for beginning in sorted(term)]
    starts = [beginning[:_LONGEST_WORD] for beginning in sorted(term)]
    return numbers + [(row.word >= start) & (row.word < start + _LAST_CHARACTER) for start in starts]


def _has_words(term: frozenset[str]) -> Any:
    """Whether any word of a row's patient fits a term."""
    fits = None
    for beginning in sorted(term):
        plain = beginning.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        one = matches(PatientWordRow.words, f"% {plain}%") | matches(PatientWordRow.words, f"% {_WHOLE}{plain} %")
        fits = one if fits is None else fits | one
    return fits


def _patients(tx: Transaction, rows: Iterable[Any]) -> list[Patient]:
    rows = list(rows)
    ids = [row.id for row in rows]
    identities: dict[UUID, list[PatientIdentity]] = {}
    wanted = PatientIdentityRow.select().where(PatientIdentityRow.patient_id.in_(ids))
    for row in tx.rows(wanted.order_by(PatientIdentityRow.institution_id, PatientIdentityRow.value)):
        identity = PatientIdentity(InstitutionId(row.institution_id), row.issuer, row.value)
        identities.setdefault(row.patient_id, []).append(identity)
    holders: dict[UUID, list[InstitutionId]] = {}
    held = PatientInstitutionRow.select().where(PatientInstitutionRow.patient_id.in_(ids))
    for row in tx.rows(held.order_by(PatientInstitutionRow.institution_id)):
        holders.setdefault(row.patient_id, []).append(InstitutionId(row.institution_id))
    return [
        Patient(
            PatientId(row.id),
            row.family_name,
            row.given_name,
            row.birth_date,
            gender_of(row.gender),
            tuple(identities.get(row.id, ())),
            tuple(holders.get(row.id, ())),
            row.address or "",
            row.email or "",
            row.phone or "",
            row.revision or 0,
        )
        for row in rows
    ]


def new_account_id() -> AccountId:
    return AccountId(uuid4())
