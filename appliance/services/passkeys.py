"""Passkeys (WebAuthn Level 3): what an authenticator is asked, and whether its answer is right.

A passkey is a key pair for one account at one name, the id of the relying party. Its private half stays with an authenticator,
which uses it only when it has recognised its owner by finger, face or PIN (user verification): to have it and to be recognised
are two factors. The authenticator finds it by itself (a discoverable credential), so that nobody types a username. Of which make
it is, is not asked (no attestation).

A challenge is not kept. It carries its time and a keyed hash of that and of what it is for, so whoever only asks leaves nothing
behind; the one that was answered is noted for as long as it would be good otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from appliance.domain.accounts import Account
from appliance.domain.errors import BadRequest, Conflict, NotAuthenticated, NotFound
from appliance.domain.identifiers import AccountId
from appliance.services.second_factors import kept_key
from appliance.storage import passkeys as storage
from appliance.storage.database import Transaction
from appliance.storage.passkeys import KeptPasskey

T = TypeVar("T")

_NAME = "Appliance"
_LIFETIME_S = 300
"""Of a challenge: WebAuthn §15.1 recommends five minutes at least, for whoever has to look for their key."""
_CLOCK_S = 60
"""By how much the clocks of several toplevels may differ."""
_NONCE_BYTES = 16
_STAMP_BYTES = _NONCE_BYTES + 8
_ALGORITHMS = (-7, -8, -257)
"""ES256, EdDSA, RS256 (RFC 9053, RFC 8812): WebAuthn §5.4 names these, and every authenticator has one of them."""
_MOST = 20
"""Passkeys of one account."""
_LONGEST_NAME = 64
_LONGEST_CREDENTIAL_ID = 1023
"""WebAuthn §4, Credential ID."""
_LONGEST_CREDENTIAL_DATA = 2048
"""With an RSA key of 4,096 bits it has half of it, beside the longest id."""
_LOG_IN = b"log in"
_REQUIRED = UserVerificationRequirement.REQUIRED
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    OverflowError,
    NotImplementedError,
    RecursionError,
    struct.error,
    UnsupportedAlgorithm,
)
"""All the ways in which fido2 ends at bytes that no authenticator has made."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whose passkeys they are."""

    id: str
    """A host name, or a domain above it."""
    origin: str
    """Of the page in which they are used, as browsers write it: https://box.example:8443."""


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What an authenticator says of one that it has made (WebAuthn §5.2.1)."""

    client_data: bytes
    attestation_object: bytes


@dataclass(frozen=True, slots=True)
class PasskeyProof:
    """What an authenticator says with one (WebAuthn §5.2.2)."""

    credential_id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes


def relying_party(base_url: str, domain: str | None) -> RelyingParty | None:
    """That of the toplevel at ``base_url``: ``domain``, or the host name. None where there is an address instead of a name."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    port = f":{parts.port}" if parts.port not in (None, 443) else ""
    if domain is None and _is_address(host):
        return None
    return RelyingParty(domain or host, f"https://{host}{port}")


class _Unproven(Exception):
    """An answer that is none, or not to what was asked; who asked says what that means."""

    def __init__(self, key: str, message: str, **fields: object) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.fields = fields


class Passkeys:
    """Whatever is asked here happens in the transaction of the caller."""

    def __init__(self, key_file: Path, party: RelyingParty | None) -> None:
        """``key_file`` is that of the second factors. Without ``party`` there are no passkeys."""
        self._key = kept_key(key_file)
        self.party = party

    def of(self, tx: Transaction, account_id: AccountId) -> tuple[KeptPasskey, ...]:
        """The oldest first."""
        return storage.of_account(tx, account_id)

    # Making one

    def creation_options(self, tx: Transaction, account: Account) -> dict[str, object]:
        """PublicKeyCredentialCreationOptionsJSON (WebAuthn §5.1.8). Conflict where there can be no other one."""
        server = self._server()
        had = storage.of_account(tx, account.id)
        if len(had) >= _MOST:
            raise Conflict(f"There are {_MOST} passkeys already", key="too-many-passkeys", most=_MOST)
        options, _ = server.register_begin(
            PublicKeyCredentialUserEntity(id=account.id.bytes, name=account.username, display_name=account.name),
            [_descriptor(one) for one in had],
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=_REQUIRED,
            challenge=self._new_challenge(_adding_to(account.id)),
        )
        return dict(options.public_key)

    def add(self, tx: Transaction, account_id: AccountId, passkey_id: UUID, name: str, new: NewPasskey) -> KeptPasskey:
        """From now on it logs its owner in."""
        name = _checked_name(name)
        try:
            data, credential = self._made(tx, account_id, new)
        except _Unproven as error:
            raise BadRequest(error.message, key=error.key, **error.fields) from error
        passkey = KeptPasskey(
            passkey_id, account_id, name, credential.credential_id, bytes(credential), data.counter,
            data.is_backed_up(), datetime.now(UTC),
        )  # fmt: skip
        if not storage.keep(tx, passkey):
            raise Conflict("This passkey is known here already", key="passkey-known")
        return passkey

    def _made(
        self, tx: Transaction, account_id: AccountId, new: NewPasskey
    ) -> tuple[AuthenticatorData, AttestedCredentialData]:
        """What was made, if it was for this account and now (WebAuthn §7.1)."""
        server, made = self._server(), _read(lambda: _registration(new))
        client = made.response.client_data
        self._refuse_other_client(client)
        self._refuse_other_challenge(client.challenge, _adding_to(account_id))
        _refuse_unverified(made.response.attestation_object.auth_data)
        user = PublicKeyCredentialUserEntity(id=account_id.bytes)
        _, state = server.register_begin(user, user_verification=_REQUIRED, challenge=client.challenge)
        data = _proven(lambda: server.register_complete(state, made))
        credential = _of_a_kind_asked_for(data)
        self._spend(tx, client.challenge)
        return data, credential

    # Using one

    def request_options(self) -> dict[str, object]:
        """PublicKeyCredentialRequestOptionsJSON (WebAuthn §5.1.8), for whoever is before the authenticator."""
        options, _ = self._server().authenticate_begin(
            user_verification=_REQUIRED, challenge=self._new_challenge(_LOG_IN)
        )
        return dict(options.public_key)

    def claimed_owner(self, tx: Transaction, proof: PasskeyProof) -> AccountId | None:
        """Whose passkey it would be, if the proof is one; None of one that is not known. Conflict where there can be none."""
        self._required_party()
        passkey = storage.of_credential(tx, proof.credential_id)
        return passkey.account_id if passkey else None

    def prove(self, tx: Transaction, proof: PasskeyProof) -> None:
        """Returns if the owner of the passkey is before it now; NotAuthenticated otherwise, as for the same proof again."""
        passkey = storage.of_credential(tx, proof.credential_id)
        if passkey is None:
            raise NotAuthenticated("This passkey is not known here, or not any more", key="unknown-passkey")
        try:
            data = self._proven_by(tx, passkey, proof)
        except _Unproven as error:
            raise NotAuthenticated(error.message, key=error.key, **error.fields) from error
        storage.note_used(tx, passkey, sign_count=data.counter, is_synced=data.is_backed_up())

    def _proven_by(self, tx: Transaction, passkey: KeptPasskey, proof: PasskeyProof) -> AuthenticatorData:
        """WebAuthn §7.2."""
        server, answer = self._server(), _read(lambda: _assertion(proof))
        client, data = answer.response.client_data, answer.response.authenticator_data
        self._refuse_other_client(client)
        self._refuse_other_challenge(client.challenge, _LOG_IN)
        _refuse_unverified(data)
        if proof.user_handle != passkey.account_id.bytes:
            raise _Unproven("wrong-passkey", "The passkey names another account than it was made for")
        _, state = server.authenticate_begin(user_verification=_REQUIRED, challenge=client.challenge)
        credential = AttestedCredentialData(passkey.credential_data)
        _proven(lambda: server.authenticate_complete(state, [credential], answer))
        self._spend(tx, client.challenge)
        if (data.counter or passkey.sign_count) and data.counter <= passkey.sign_count:
            # WebAuthn §6.1.1: two authenticators count for themselves, so one of them holds a copy of the key
            raise _Unproven("passkey-copied", "The passkey was used elsewhere since: somebody has a copy of it")
        return data

    # Keeping them

    def rename(self, tx: Transaction, account_id: AccountId, passkey_id: UUID, name: str) -> None:
        if not storage.rename(tx, account_id, passkey_id, _checked_name(name)):
            raise _no_such_passkey()

    def remove(self, tx: Transaction, account_id: AccountId, passkey_id: UUID) -> None:
        if not storage.forget(tx, account_id, passkey_id):
            raise _no_such_passkey()

    def remove_all(self, tx: Transaction, account_id: AccountId) -> None:
        storage.forget_all(tx, account_id)

    def _required_party(self) -> RelyingParty:
        """Conflict where there can be no passkeys."""
        if self.party is None:
            raise Conflict(
                "Passkeys belong to a host name, and this appliance is known by an address", key="no-host-name"
            )
        return self.party

    def _server(self) -> Fido2Server:
        party = self._required_party()
        server = Fido2Server(
            PublicKeyCredentialRpEntity(name=_NAME, id=party.id), verify_origin=lambda origin: origin == party.origin
        )
        server.timeout = _LIFETIME_S * 1000  # type: ignore[assignment]  # in ms; fido2 infers None
        server.allowed_algorithms = [
            PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=algorithm)
            for algorithm in _ALGORITHMS
        ]
        return server

    def _refuse_other_client(self, client: CollectedClientData) -> None:
        expected = self._required_party().origin
        if client.origin != expected or client.cross_origin:
            raise _Unproven(
                "other-origin", f"The passkey was used in a page of another address than {expected}", expected=expected
            )

    # Challenges: nonce, seconds since 1970, and the keyed hash of both and of what they are for

    def _new_challenge(self, purpose: bytes) -> bytes:
        stamp = secrets.token_bytes(_NONCE_BYTES) + struct.pack(">Q", int(time.time()))
        return stamp + self._mark(stamp, purpose)

    def _mark(self, stamp: bytes, purpose: bytes) -> bytes:
        return hmac.digest(self._key, b"passkey challenge " + stamp + purpose, hashlib.sha256)

    def _refuse_other_challenge(self, challenge: bytes, purpose: bytes) -> None:
        stamp, mark = challenge[:_STAMP_BYTES], challenge[_STAMP_BYTES:]
        if not hmac.compare_digest(mark, self._mark(stamp, purpose)):
            raise _Unproven("wrong-passkey", "The passkey answers what was not asked here")
        (made_at,) = struct.unpack(">Q", stamp[_NONCE_BYTES:])
        if not -_CLOCK_S <= time.time() - made_at <= _LIFETIME_S:
            raise _Unproven("challenge-over", "This took too long; begin again")

    def _spend(self, tx: Transaction, challenge: bytes) -> None:
        forget_before = datetime.now(UTC) - timedelta(seconds=_LIFETIME_S + 2 * _CLOCK_S)
        if not storage.spend_challenge(tx, hashlib.sha256(challenge).digest(), forget_before=forget_before):
            raise _Unproven("challenge-over", "This was answered already; begin again")


def _adding_to(account_id: AccountId) -> bytes:
    return b"add to " + account_id.bytes


def _registration(new: NewPasskey) -> RegistrationResponse:
    attestation = AttestationObject(new.attestation_object)
    credential = attestation.auth_data.credential_data
    if credential is None:
        raise ValueError("no credential")
    response = AuthenticatorAttestationResponse(
        client_data=CollectedClientData(new.client_data), attestation_object=attestation
    )
    return RegistrationResponse(raw_id=credential.credential_id, response=response)


def _assertion(proof: PasskeyProof) -> AuthenticationResponse:
    response = AuthenticatorAssertionResponse(
        client_data=CollectedClientData(proof.client_data),
        authenticator_data=AuthenticatorData(proof.authenticator_data),
        signature=proof.signature,
        user_handle=proof.user_handle,
    )
    return AuthenticationResponse(raw_id=proof.credential_id, response=response)


def _read(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except _UNREADABLE as error:
        raise _Unproven("unreadable-passkey", "This is no answer of an authenticator") from error


def _proven(verify: Callable[[], T]) -> T:
    try:
        return verify()
    except _UNREADABLE as error:
        raise _Unproven("wrong-passkey", "The answer of the passkey does not prove anything") from error


def _refuse_unverified(data: AuthenticatorData) -> None:
    if not (data.is_user_present() and data.is_user_verified()):
        raise _Unproven("owner-not-recognised", "The authenticator has not recognised its owner by finger, face or PIN")


def _of_a_kind_asked_for(data: AuthenticatorData) -> AttestedCredentialData:
    credential = data.credential_data
    if credential is None or len(credential.credential_id) > _LONGEST_CREDENTIAL_ID:
        raise _Unproven("unreadable-passkey", "This is no answer of an authenticator")
    if credential.public_key.ALGORITHM not in _ALGORITHMS or len(credential) > _LONGEST_CREDENTIAL_DATA:
        raise _Unproven("other-kind-of-passkey", "The passkey is of a kind that was not asked for")
    return credential


def _descriptor(passkey: KeptPasskey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=passkey.credential_id)


def _checked_name(name: str) -> str:
    plain = name.strip()
    if not plain or len(plain) > _LONGEST_NAME or not plain.isprintable():
        raise BadRequest(
            f"The name of a passkey has 1 to {_LONGEST_NAME} characters", key="wrong-name", parameter="name"
        )
    return plain


def _no_such_passkey() -> NotFound:
    return NotFound("There is no such passkey", key="no-such-passkey")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
