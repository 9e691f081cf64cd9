"""Access tokens: who reads what, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import NotAuthenticated, SettingsError
from appliance.domain.identifiers import AccountId, InstitutionId
from appliance.services.tokens import (
    TokenSigner,
    TokenVerifier,
    Trust,
    load_or_make_private_key,
    load_private_key,
    public_key_of,
)

ANA = Account(AccountId(UUID(int=7)), "ana", "Ana", "Anić", frozenset({Role.PHYSICIAN}), InstitutionId(UUID(int=1)))


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def test_a_token_says_who_somebody_is_and_when_it_ends(key: Ed25519PrivateKey) -> None:
    signer = TokenSigner(key, lifetime_s=600)

    account, ends_at = TokenVerifier((signer.public_key,)).verify(signer.sign(ANA).text)

    assert account == ANA
    assert ends_at == pytest.approx(time.time() + 600, abs=5)


def test_a_token_of_another_key_is_refused(key: Ed25519PrivateKey) -> None:
    stranger = TokenSigner(Ed25519PrivateKey.generate(), lifetime_s=600)

    with pytest.raises(NotAuthenticated):
        TokenVerifier((public_key_of(key.public_key()),)).verify(stranger.sign(ANA).text)


def test_a_token_signed_by_another_key_under_the_name_of_a_known_one_is_refused(key: Ed25519PrivateKey) -> None:
    known = public_key_of(key.public_key())
    good = TokenSigner(key, lifetime_s=600).sign(ANA).text
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": known.id})

    with pytest.raises(NotAuthenticated):
        TokenVerifier((known,)).verify(forged)


def test_a_token_without_signature_is_refused(key: Ed25519PrivateKey) -> None:
    known = public_key_of(key.public_key())
    good = TokenSigner(key, lifetime_s=600).sign(ANA).text
    claims = jwt.decode(good, options={"verify_signature": False})

    with pytest.raises(NotAuthenticated):
        TokenVerifier((known,)).verify(jwt.encode(claims, None, algorithm="none", headers={"kid": known.id}))


def test_a_token_that_has_expired_is_refused(key: Ed25519PrivateKey) -> None:
    signer = TokenSigner(key, lifetime_s=-120)

    with pytest.raises(NotAuthenticated) as caught:
        TokenVerifier((signer.public_key,)).verify(signer.sign(ANA).text)

    assert caught.value.key == "token-expired"


def test_a_token_that_expires_after_it_was_read_once_is_refused(
    key: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = TokenSigner(key, lifetime_s=600)
    verifier = TokenVerifier((signer.public_key,))
    text = signer.sign(ANA).text
    verifier.verify(text)
    later = time.time() + 700
    monkeypatch.setattr(time, "time", lambda: later)

    with pytest.raises(NotAuthenticated):
        verifier.verify(text)


def test_replacing_the_keys_ends_the_tokens_of_the_old_ones(key: Ed25519PrivateKey) -> None:
    signer = TokenSigner(key, lifetime_s=600)
    verifier = TokenVerifier((signer.public_key,))
    text = signer.sign(ANA).text
    verifier.verify(text)

    verifier.replace(Trust((public_key_of(Ed25519PrivateKey.generate().public_key()),)))

    with pytest.raises(NotAuthenticated):
        verifier.verify(text)


@pytest.mark.parametrize("text", ["", "a.b.c", "nonsense", "ä"])
def test_what_is_no_token_is_refused(key: Ed25519PrivateKey, text: str) -> None:
    with pytest.raises(NotAuthenticated):
        TokenVerifier((public_key_of(key.public_key()),)).verify(text)


def test_a_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "tokens.pem"

    first = load_or_make_private_key(file)

    assert load_or_make_private_key(file).private_bytes_raw() == first.private_bytes_raw()
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens.pem"
    file.write_text("no key")

    with pytest.raises(SettingsError):
        load_private_key(file)
