"""Which tokens are good: keys that follow each other, and who is shut out."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from uuid import UUID

import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import NotAuthenticated, SettingsError
from appliance.domain.identifiers import AccountId
from appliance.services.tokens import Revocation, TokenSigner, TokenVerifier, Trust, public_key_of
from appliance.services.trust import SigningKeys, add_signing_key

ANA = Account(AccountId(UUID(int=1)), "ana", "Ana", "Anić", frozenset({Role.PHYSICIAN}), None)
SESSION = UUID(int=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    SigningKeys(tmp_path / "tokens.pem")
    return tmp_path / "tokens.pem"


def made(file: Path, *, seconds_ago: float) -> SigningKeys:
    """The keys, as if the newest had come so long ago."""
    os.utime(file, (time.time() - seconds_ago,) * 2)
    return SigningKeys(file)


def trusted(keys: SigningKeys, *revoked: Revocation) -> TokenVerifier:
    verifier = TokenVerifier()
    verifier.replace(Trust(tuple(public_key_of(key.public_key()) for key in keys.all), revoked))
    return verifier


def test_a_new_key_is_told_before_it_signs(file: Path) -> None:
    (old,) = SigningKeys(file).all
    old_bytes = old.private_bytes_raw()
    add_signing_key(file)

    early, later = made(file, seconds_ago=30), made(file, seconds_ago=61)

    assert early.signing.private_bytes_raw() == old_bytes
    assert later.signing.private_bytes_raw() != old_bytes
    assert len(early.all) == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_tokens_of_the_old_key_stay_good(file: Path) -> None:
    token = TokenSigner(SigningKeys(file).signing, lifetime_s=600).sign(ANA)
    add_signing_key(file)

    account, _ = trusted(made(file, seconds_ago=61)).verify(token.text)

    assert account == ANA


def test_a_running_server_sees_the_new_key(file: Path) -> None:
    keys = made(file, seconds_ago=600)
    add_signing_key(file)

    keys.look()

    assert len(keys.all) == 2


def test_the_oldest_of_many_keys_goes(file: Path) -> None:
    token = TokenSigner(SigningKeys(file).signing, lifetime_s=600).sign(ANA)
    for _ in range(3):
        add_signing_key(file)

    with pytest.raises(NotAuthenticated):
        trusted(SigningKeys(file)).verify(token.text)


def test_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()

    with pytest.raises(SettingsError):
        SigningKeys(tmp_path / "empty.pem")


@pytest.mark.parametrize("subject", [ANA.id, SESSION])
def test_tokens_from_before_a_revocation_are_no_good_and_later_ones_are(file: Path, subject: UUID) -> None:
    keys = SigningKeys(file)
    signer = TokenSigner(keys.signing, lifetime_s=600)
    before = signer.sign(ANA, SESSION)
    verifier = trusted(keys)
    verifier.verify(before.text)

    verifier.replace(Trust(verifier.trust.keys, (Revocation(subject, time.time()),)))
    after = signer.sign(ANA, SESSION)

    with pytest.raises(NotAuthenticated) as refused:
        verifier.verify(before.text)
    assert refused.value.key == "token-revoked"
    assert verifier.verify(after.text)[0] == ANA


def test_a_revocation_of_one_session_leaves_the_others(file: Path) -> None:
    keys = SigningKeys(file)
    token = TokenSigner(keys.signing, lifetime_s=600).sign(ANA, UUID(int=3))

    trusted(keys, Revocation(SESSION, time.time() + 1)).verify(token.text)
