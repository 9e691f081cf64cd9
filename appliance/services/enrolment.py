"""How an appliance comes to be believed by the one above it, and the one above by it.

An administrator makes a one-time token at the parent; the box redeems it (``appliance enrol``) with a key of its own making. The
token says whom the parent is to believe, and by the thumbprint in it which key the parent has: from then on each side knows the
other by its Ed25519 key (``services.signatures``), whatever a name server or a certificate says. A key is made for one
enrolment, so that nothing signed with it means anything to anybody else.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.domain.audit import Action, Actor, ActorKind, Event, Outcome, Subject
from appliance.domain.enrolment import Enrolled, EnrolledChild, Enrolment, EnrolmentToken, Kind
from appliance.domain.errors import (
    ApplianceError,
    BadRequest,
    Conflict,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    SettingsError,
    Unavailable,
)
from appliance.services import tokens
from appliance.services.audit import Auditing, AuditTrail
from appliance.services.database_threads import DatabaseThreads
from appliance.services.signatures import SignedRequest, claim_of, sign_request, verify_answer, verify_request
from appliance.storage import enrolment as storage
from appliance.storage.database import Transaction

ENROLMENT_PATH = "/api/sync/enrolment"
_TOKEN_LIFETIME = timedelta(hours=1)
_SECRET_BYTES = 24
_TIMEOUT_S = 30.0


class Enrolments:
    """Those who may deliver to one role."""

    def __init__(self, kind: Kind, database: DatabaseThreads, identity: Ed25519PrivateKey, trail: AuditTrail) -> None:
        """``kind`` is what the children are; ``identity`` is the key by which they know this appliance."""
        self.kind = kind
        self.identity = identity
        self.public_key = tokens.public_key_of(identity.public_key())
        self._database = database
        self._trail = trail
        self._auditing = Auditing(trail, database)

    async def make_token(self, by: Actor, child_id: UUID | None = None) -> tuple[EnrolmentToken, datetime]:
        """A token that is good for one child within an hour, and when it ends.

        One that is made for ``child_id`` lets that child in again with a new key; any other is for a child that is not known.
        """
        made = EnrolmentToken(secrets.token_urlsafe(_SECRET_BYTES), self.public_key.id)
        ends_at = datetime.now(UTC) + _TOKEN_LIFETIME
        event = Event(by, Action.MAKE_ENROLMENT_TOKEN, Subject(self.kind, str(child_id or "")))

        def work(tx: Transaction) -> tuple[None, Event]:
            storage.put_token(tx, self.kind, _sha256(made.secret), ends_at, child_id)
            return None, event

        await self._database.call(lambda database: self._trail.carry_out(database, work))
        return made, ends_at

    async def redeem(self, request: SignedRequest, address: str) -> Enrolled:
        """The child is known by the key that it shows; NotAuthenticated unless it signed with it and has a token
        that is good, NotAllowed or Conflict where that is for another; refusals are on record."""
        wanted = _wanted(request)
        by = Actor(ActorKind.APPLIANCE, str(wanted.child_id), wanted.name, address)
        event = Event(by, Action.ENROL, Subject(self.kind, str(wanted.child_id)))

        def work(tx: Transaction) -> tuple[None, Event]:
            self._redeem(tx, wanted)
            return None, event

        try:
            await self._database.call(lambda database: self._trail.carry_out(database, work))
        except (NotAuthenticated, NotAllowed, Conflict) as error:
            # Once for an address and a reason: whoever tries tokens is a stranger, and does not fill the trail. What they call
            # themselves may be anything.
            refused = replace(event, actor=replace(by, name=""), outcome=Outcome.REFUSED, reason=error.key)
            await self._auditing.put_once((address, error.key), refused)
            raise
        return Enrolled(self.public_key.x)

    def _redeem(self, tx: Transaction, wanted: Enrolment) -> None:
        secret_sha256 = _sha256(wanted.secret)
        token = storage.token(tx, self.kind, secret_sha256)
        if token is None or token.redeemed_by not in (None, wanted.public_key):
            raise NotAuthenticated("The token was redeemed, has ended or was never made", key="token-not-valid")
        if token.child_id not in (None, wanted.child_id):
            raise NotAllowed(f"The token is for another {self.kind}", key="token-of-another")
        known = storage.child(tx, self.kind, wanted.child_id)
        if known is not None and token.child_id is None and known.public_key != wanted.public_key:
            raise Conflict(
                f"This {self.kind} is enrolled already: a new key needs a token that is made for it",
                key="already-enrolled",
            )
        storage.redeem_token(tx, self.kind, secret_sha256, wanted.public_key)
        storage.keep_child(tx, self.kind, wanted.child_id, wanted.name, wanted.public_key)

    async def children(self) -> tuple[EnrolledChild, ...]:
        return await self._database.read(lambda tx: storage.children(tx, self.kind))

    async def forget(self, child_id: UUID, by: Actor) -> None:
        """The child may not deliver any more, from its next call on; NotFound if there is none."""
        event = Event(by, Action.END_ENROLMENT, Subject(self.kind, str(child_id)))

        def work(tx: Transaction) -> tuple[None, Event]:
            if not storage.forget_child(tx, self.kind, child_id):
                raise NotFound(f"No such {self.kind} is enrolled", key="not-enrolled")
            return None, event

        await self._database.call(lambda database: self._trail.carry_out(database, work))

    async def key_of(self, child_id: UUID) -> Ed25519PublicKey | None:
        """The key of a child, as it is now; None for whoever is none."""
        known = await self._database.read(lambda tx: storage.child(tx, self.kind, child_id))
        return tokens.PublicKey("", known.public_key).key if known else None

    async def is_new(self, child_id: UUID, nonce: str, good_until: int) -> bool:
        """Whether the child has not used this nonce before; from now on it has."""
        ends_at = datetime.fromtimestamp(good_until, UTC)
        return await self._database.run(lambda tx: storage.note_nonce(tx, self.kind, child_id, nonce, ends_at))


def _wanted(request: SignedRequest) -> Enrolment:
    claim = claim_of(request)
    wanted = read_enrolment(request.body)
    if claim.child_id != wanted.child_id:
        raise NotAllowed("The body is of another child than signed it", key="other-child")
    try:
        key = tokens.PublicKey("", wanted.public_key).key
    except ValueError as error:
        raise BadRequest("public_key is not an Ed25519 key", parameter="public_key") from error
    verify_request(request, key)
    return wanted


def read_enrolment(body: bytes) -> Enrolment:
    """What a body asks for; BadRequest naming what is wrong in it."""
    try:
        return msgspec.json.decode(body, type=Enrolment)
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body cannot be read: {error}", key="wrong-body") from error


def parent_key_file(key_file: Path) -> Path:
    """Where the public key of the parent is kept that the key in ``key_file`` was enrolled with."""
    return key_file.with_name(f"{key_file.name}.parent")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to be enrolled."""

    kind: Kind
    id: UUID
    name: str


def enrol(base_url: str, token: EnrolmentToken, candidate: Candidate, key_file: Path, authorities: Path | None) -> None:
    """This appliance is a child of the one at ``base_url``: its new key is in ``key_file``, the parent's beside it.

    Until the parent has answered, an older key stays where it is. Unavailable, or what the parent refuses.
    """
    new_key_file = key_file.with_name(f"{key_file.name}.new")
    key = tokens.load_or_make_private_key(new_key_file)  # one that is there was shown before, and the answer was lost
    public_key = tokens.public_key_of(key.public_key())
    body = msgspec.json.encode(Enrolment(candidate.kind, token.secret, candidate.id, candidate.name, public_key.x))
    headers = sign_request(key, candidate.id, "POST", ENROLMENT_PATH, body)
    parent = _parent_that_answered(_posted(base_url, body, headers, authorities), headers, token)
    parent_key_file(key_file).write_bytes(tokens.public_pem(parent))
    new_key_file.replace(key_file)


def _posted(base_url: str, body: bytes, headers: dict[str, str], authorities: Path | None) -> httpx.Response:
    trust = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    try:
        with httpx.Client(base_url=base_url, verify=trust, timeout=_TIMEOUT_S) as client:
            answer = client.post(ENROLMENT_PATH, content=body, headers={"Content-Type": "application/json", **headers})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{base_url} cannot be reached: {error}", key="parent-away") from error
    if answer.status_code != 200:
        raise ApplianceError(f"{base_url} refuses: {_reason(answer)}", key="parent-refuses")
    return answer


def _reason(answer: httpx.Response) -> str:
    try:
        return f"{msgspec.json.decode(answer.content, type=dict[str, object])['title']} ({answer.status_code})"
    except (msgspec.DecodeError, KeyError):
        return f"status {answer.status_code}"


def _parent_that_answered(answer: httpx.Response, asked: dict[str, str], token: EnrolmentToken) -> Ed25519PublicKey:
    try:
        public_key = msgspec.json.decode(answer.content, type=Enrolled).public_key
        key = tokens.PublicKey("", public_key).key
    except (msgspec.DecodeError, ValueError) as error:
        raise NotAuthenticated("What answered is no appliance", key="wrong-parent") from error
    if tokens.public_key_of(key).id != token.thumbprint:
        raise NotAuthenticated("What answered is not the appliance that made the token", key="wrong-parent")
    verify_answer(key, answer.status_code, answer.content, answer.headers, asked)
    return key


def load_parent_key(key_file: Path) -> Ed25519PublicKey:
    """The key of the parent that the key in ``key_file`` was enrolled with; SettingsError if there is none."""
    file = parent_key_file(key_file)
    if not file.is_file():
        raise SettingsError(f"{file} is not there: `appliance enrol` makes it")
    return tokens.load_public_key(file)


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
