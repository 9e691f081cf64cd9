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
from appliance.domain.identifiers import AccountId, InstitutionId

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
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(pem)


def load_private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
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
        self._key = key
        self._lifetime_s = lifetime_s
        self.public_key = public_key_of(key.public_key())

    def sign(self, account: Account) -> AccessToken:
        now = int(time.time())
        claims = {
            "sub": str(account.id),
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + self._lifetime_s,
            "username": account.username,
            "given_name": account.given_name,
            "family_name": account.family_name,
            "roles": sorted(account.roles),
            "institution": str(account.institution_id) if account.institution_id else None,
        }
        text = jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self.public_key.id})
        return AccessToken(text, self._lifetime_s)


class TokenVerifier:
    """Everybody's side: reads access tokens with the keys that are known now.

    Verified tokens are remembered (a check costs 0.1 ms of CPU, and every picture carries one); their expiry is checked
    each time all the same.
    """

    def __init__(self, keys: tuple[PublicKey, ...] = ()) -> None:
        self.keys: tuple[PublicKey, ...] = ()
        """Those that are accepted now."""
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._remembered: dict[str, tuple[Account, int]] = {}
        self.replace_keys(keys)

    def replace_keys(self, keys: tuple[PublicKey, ...]) -> None:
        """Tokens of these keys are accepted from now on, and of no others."""
        self.keys = keys
        self._keys = {key.id: key.key for key in keys}
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
    )


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
