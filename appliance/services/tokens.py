"""Access tokens: a short signed statement of who somebody is, which institutions and nodes check by themselves.

JWT (RFC 7519) signed with Ed25519 (RFC 8037). A token is good for minutes; what it says of an account is as old as that at
most. Keys are named by the RFC 7638 thumbprint of the public key, so that a new one can be used beside the old.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import NotAuthenticated, SettingsError
from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid

_AUDIENCE = "appliance"
_CLOCK_DIFFERENCE_S = 30
"""Boxes keep time by NTP; this much apart is forgiven."""
_REMEMBERED_TOKENS = 4096


class PublicKey(msgspec.Struct, frozen=True):
    """An Ed25519 public key as the appliances tell it each other."""

    id: str
    """RFC 7638 thumbprint."""
    x: str
    """32 bytes, base64url without padding (RFC 8037 §2)."""

    @property
    def key(self) -> Ed25519PublicKey:
        """ValueError if ``x`` is no key."""
        return Ed25519PublicKey.from_public_bytes(_from_base64url(self.x))


class Revocation(msgspec.Struct, frozen=True):
    """Tokens of an account or of a session that were made before a moment are no good."""

    subject: UUID
    """The id of the account or of the session."""
    before: float
    """Unix time, seconds."""


class Trust(msgspec.Struct, frozen=True):
    """Which tokens are good."""

    keys: tuple[PublicKey, ...] = ()
    """Those that may have signed them."""
    revoked: tuple[Revocation, ...] = ()


def public_key_of(key: Ed25519PublicKey) -> PublicKey:
    x = _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    # RFC 7638 §3.2: the required members in lexical order, no blanks.
    thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return PublicKey(_base64url(thumbprint), x)


def load_or_make_private_key(file: Path) -> Ed25519PrivateKey:
    """The key in ``file``, which is made (mode 0600) if it is not there."""
    if not file.exists():
        make_private_key(file)
    return load_private_key(file)


def make_private_key(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(new_private_pem())


def new_private_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_private_key(file: Path) -> Ed25519PrivateKey:
    try:
        pem = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file}: is not a readable private key in PEM") from error
    return private_key_of(pem, file)


def private_key_of(pem: bytes, file: Path) -> Ed25519PrivateKey:
    """The key in a block of PEM from ``file``."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{file}: is not a readable private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{file}: is not an Ed25519 key")
    return key


def load_public_key(file: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"{file}: is not a readable public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"{file}: is not an Ed25519 key")
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class AccessToken:
    text: str
    expires_in_s: int


class TokenSigner:
    """The toplevel's side: makes access tokens."""

    def __init__(self, key: Ed25519PrivateKey, *, lifetime_s: int) -> None:
        self.lifetime_s = lifetime_s
        self.use(key)

    def use(self, key: Ed25519PrivateKey) -> None:
        """Tokens are signed by this key from now on."""
        self._key = key
        self.public_key = public_key_of(key.public_key())

    def sign(self, account: Account, session_id: UUID | None = None, *, ends_at: datetime | None = None) -> AccessToken:
        """A token of a session, where there is one; it ends at ``ends_at`` at the latest."""
        now = time.time()  # with its fraction: what is revoked in the same second is told apart
        lifetime_s = self.lifetime_s
        if ends_at is not None:
            lifetime_s = max(0, min(lifetime_s, int(ends_at.timestamp() - now)))
        claims = {
            "sub": str(account.id),
            "aud": _AUDIENCE,
            "sid": str(session_id) if session_id else None,
            "iat": now,
            "exp": int(now) + lifetime_s,
            "username": account.username,
            "given_name": account.given_name,
            "family_name": account.family_name,
            "roles": sorted(account.roles),
            "institution": str(account.institution_id) if account.institution_id else None,
            "study": account.guest_of,
        }
        text = jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self.public_key.id})
        return AccessToken(text, lifetime_s)


class TokenVerifier:
    """Everybody's side: reads access tokens with the keys that are known now.

    Verified tokens are remembered (a check costs 0.1 ms of CPU, and every picture carries one) until something else is trusted;
    their expiry is checked each time all the same.
    """

    def __init__(self, keys: tuple[PublicKey, ...] = ()) -> None:
        self.trust = Trust()
        """What is accepted now."""
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._revoked_before: dict[str, float] = {}
        self._remembered: dict[str, tuple[Account, int]] = {}
        self.replace(Trust(keys))

    def replace(self, trust: Trust) -> None:
        """Tokens of these keys are accepted from now on, and of no others, unless they are revoked."""
        if trust == self.trust:
            return
        self.trust = trust
        self._keys = {key.id: key.key for key in trust.keys}
        self._revoked_before = {str(one.subject): one.before for one in trust.revoked}
        self._remembered.clear()

    def verify(self, text: str) -> tuple[Account, int]:
        """The account that ``text`` speaks of and when it ends (Unix time, seconds); NotAuthenticated if it is no good."""
        remembered = self._remembered.get(text)
        if remembered is None:
            remembered = self._read(text)
            if len(self._remembered) >= _REMEMBERED_TOKENS:
                self._remembered.clear()
            self._remembered[text] = remembered
        if remembered[1] < time.time() - _CLOCK_DIFFERENCE_S:
            raise NotAuthenticated("The access token has expired", key="token-expired")
        return remembered

    def session_of(self, text: str) -> UUID | None:
        """The session that a token is of; refused as ``verify`` refuses."""
        self.verify(text)
        session_id = jwt.decode(text, options={"verify_signature": False}).get("sid")
        return UUID(session_id) if session_id else None

    def _read(self, text: str) -> tuple[Account, int]:
        try:
            key = self._keys[jwt.get_unverified_header(text).get("kid", "")]
            claims = jwt.decode(
                text,
                key,
                algorithms=["EdDSA"],
                audience=_AUDIENCE,
                leeway=_CLOCK_DIFFERENCE_S,
                options={"require": ["sub", "exp", "iat", "aud"]},
            )
            for subject in (claims["sub"], claims.get("sid")):
                if float(claims["iat"]) < self._revoked_before.get(str(subject), 0.0):
                    raise NotAuthenticated("The session was ended", key="token-revoked")
            return _account(claims), int(claims["exp"])
        except jwt.ExpiredSignatureError as error:
            raise NotAuthenticated("The access token has expired", key="token-expired") from error
        except (jwt.InvalidTokenError, KeyError, ValueError) as error:
            raise NotAuthenticated("The access token is not valid", key="token-not-valid") from error


def _account(claims: Mapping[str, object]) -> Account:
    institution = claims.get("institution")
    roles = claims["roles"]
    if not isinstance(roles, list):
        raise ValueError("roles is not a list")
    return Account(
        id=AccountId(UUID(str(claims["sub"]))),
        username=str(claims["username"]),
        given_name=str(claims["given_name"]),
        family_name=str(claims["family_name"]),
        roles=frozenset(Role(role) for role in roles),
        institution_id=InstitutionId(UUID(str(institution))) if institution else None,
        guest_of=_shown(claims, roles),
    )


def _shown(claims: Mapping[str, object], roles: list[str]) -> StudyUid | None:
    """The study that a guest is shown. A guest has no role."""
    study = claims.get("study")
    if study is not None and roles:
        raise ValueError("a guest with a role")
    return StudyUid(str(study)) if study is not None else None


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
