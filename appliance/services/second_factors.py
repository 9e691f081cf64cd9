"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for whoever lost it.

Six digits, SHA-1, steps of 30 s: what every app knows. A code is taken of the step before, of this one or the next, and once. The
secrets are sealed by a key outside the database (AES-256-GCM, for their account), of the recovery codes there are only keyed
hashes: a copy of the database gives nobody a second factor. The key belongs to the backup of the database.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.domain.changes import SubjectKind
from appliance.domain.errors import BadRequest, Conflict, Damaged, SettingsError
from appliance.domain.identifiers import AccountId
from appliance.storage import feed
from appliance.storage import second_factors as storage
from appliance.storage.database import Transaction
from appliance.storage.second_factors import Authenticator

_STEP_S = 30
_DIGITS = 6
_SECRET_BYTES = 20
"""RFC 4226 §4 R6 recommends 160 bits."""
_NONCE_BYTES = 12
_KEY_BYTES = 32
_RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_ISSUER = "Appliance"


def code_at(secret: bytes, step: int, digits: int = _DIGITS) -> str:
    """The code of a time step (RFC 4226 §5.3, RFC 6238 §4)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


def kept_key(file: Path) -> bytes:
    """The key in ``file``, which is made where there is none. SettingsError if it is of another length."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(secrets.token_bytes(_KEY_BYTES))
    key = file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"{file}: is not a key of {_KEY_BYTES} bytes")
    return key


@dataclass(frozen=True, slots=True)
class NewAuthenticator:
    """What an app is told, once."""

    secret: str
    """Base32."""
    uri: str
    """otpauth://, as apps read it from a QR code."""
    qr_code: tuple[str, ...]
    """Of ``uri`` (ISO/IEC 18004): its rows from the top, without the light zone around it; 1 is a dark module, 0 a light one."""


@dataclass(frozen=True, slots=True)
class FactorState:
    is_on: bool
    recovery_codes: int
    """How many are left."""


class SecondFactors:
    """Whatever is asked here happens in the transaction of the caller."""

    def __init__(self, key_file: Path) -> None:
        """The key is made where there is none."""
        self._key = kept_key(key_file)

    def state(self, tx: Transaction, account_id: AccountId) -> FactorState:
        kept = storage.authenticator(tx, account_id)
        return FactorState(kept is not None and kept.is_on, storage.recovery_code_count(tx, account_id))

    def begin(self, tx: Transaction, account_id: AccountId, username: str) -> NewAuthenticator:
        """A secret for an app; it counts from ``turn_on`` on. Conflict if one counts already."""
        if self.state(tx, account_id).is_on:
            raise Conflict("A second factor is on; turn it off first", key="second-factor-on")
        secret = secrets.token_bytes(_SECRET_BYTES)
        storage.keep_authenticator(tx, account_id, Authenticator(self._sealed(secret, account_id), False, 0))
        text = base64.b32encode(secret).decode("ascii")
        label = quote(f"{_ISSUER}:{username}")
        uri = f"otpauth://totp/{label}?secret={text}&issuer={_ISSUER}"
        modules = segno.make_qr(uri).matrix
        return NewAuthenticator(text, uri, tuple("".join(str(module) for module in row) for row in modules))

    def turn_on(self, tx: Transaction, account_id: AccountId, code: str) -> tuple[str, ...]:
        """Recovery codes, shown once: from now on a login asks for a code. BadRequest if this is none of the app's."""
        kept = storage.authenticator(tx, account_id)
        if kept is None or kept.is_on:
            raise Conflict("There is no second factor to turn on", key="no-second-factor")
        step = self._step_of(kept, account_id, code)
        if step is None:
            raise BadRequest("This is not the code that the app shows now", key="wrong-code", parameter="code")
        storage.keep_authenticator(tx, account_id, Authenticator(kept.sealed_secret, True, step))
        feed.changed(tx, SubjectKind.ACCOUNT, account_id)
        return self.make_recovery_codes(tx, account_id)

    def secret(self, tx: Transaction, account_id: AccountId) -> bytes | None:
        """That of the account's app, for an institution that is to ask for its codes; None where none is asked for."""
        kept = storage.authenticator(tx, account_id)
        return self._opened(kept.sealed_secret, account_id) if kept is not None and kept.is_on else None

    def adopt(self, tx: Transaction, account_id: AccountId, secret: bytes | None) -> None:
        """Codes of this secret are asked for from now on, or none. A code that was taken here is not taken again. Recovery codes
        are spent where they were made, and nowhere else."""
        kept = storage.authenticator(tx, account_id)
        if secret is None:
            storage.forget(tx, account_id)
        elif kept is None or self._opened(kept.sealed_secret, account_id) != secret:
            storage.keep_authenticator(tx, account_id, Authenticator(self._sealed(secret, account_id), True, 0))

    def turn_off(self, tx: Transaction, account_id: AccountId) -> None:
        storage.forget(tx, account_id)

    def make_recovery_codes(self, tx: Transaction, account_id: AccountId) -> tuple[str, ...]:
        """New ones; the old are worth nothing. Conflict while there is no second factor."""
        if not self.state(tx, account_id).is_on:
            raise Conflict("There is no second factor that could be lost", key="no-second-factor")
        codes = [base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode("ascii") for _ in range(_RECOVERY_CODES)]
        storage.replace_recovery_codes(tx, account_id, [self._hash(code) for code in codes])
        return tuple("-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in codes)

    def is_right(self, tx: Transaction, account_id: AccountId, code: str) -> bool:
        """Whether the code is good now; it is not a second time."""
        plain = "".join(code.split()).replace("-", "").upper()
        if len(plain) != _DIGITS:
            return storage.spend_recovery_code(tx, account_id, self._hash(plain))
        kept = storage.authenticator(tx, account_id)
        step = self._step_of(kept, account_id, plain) if kept is not None else None
        if kept is None or step is None:
            return False
        storage.keep_authenticator(tx, account_id, Authenticator(kept.sealed_secret, kept.is_on, step))
        return True

    def _step_of(self, kept: Authenticator, account_id: AccountId, code: str) -> int | None:
        secret, now = self._opened(kept.sealed_secret, account_id), int(time.time()) // _STEP_S
        for step in (now - 1, now, now + 1):
            if step > kept.last_step and hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
                return step
        return None

    def _sealed(self, secret: bytes, account_id: AccountId) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, secret, account_id.bytes)

    def _opened(self, sealed: bytes, account_id: AccountId) -> bytes:
        try:
            return AESGCM(self._key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], account_id.bytes)
        except InvalidTag as error:
            raise Damaged(
                "The secret of the second factor was sealed by another key", key="second-factor-damaged"
            ) from error

    def _hash(self, code: str) -> bytes:
        return hmac.digest(self._key, b"recovery code " + code.encode(), hashlib.sha256)
