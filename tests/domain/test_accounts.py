"""Rights: what an account may do, and where."""

from __future__ import annotations

from uuid import UUID

import pytest

from appliance.domain.accounts import Account, Right, Role
from appliance.domain.errors import NotAllowed
from appliance.domain.identifiers import AccountId, InstitutionId

HOME = InstitutionId(UUID(int=1))
ELSEWHERE = InstitutionId(UUID(int=2))


def account(*roles: Role, at: InstitutionId | None = HOME) -> Account:
    return Account(AccountId(UUID(int=7)), "ana", "Ana", "Anić", frozenset(roles), at)


def test_a_physician_sees_pictures_of_every_institution() -> None:
    account(Role.PHYSICIAN).require(Right.VIEW, at=ELSEWHERE)


def test_a_physician_stores_at_home() -> None:
    account(Role.PHYSICIAN).require(Right.STORE, at=HOME)


def test_a_physician_does_not_store_elsewhere() -> None:
    with pytest.raises(NotAllowed) as caught:
        account(Role.PHYSICIAN).require(Right.STORE, at=ELSEWHERE)

    assert caught.value.key == "other-institution"


def test_somebody_of_no_institution_stores_nowhere() -> None:
    with pytest.raises(NotAllowed):
        account(Role.PHYSICIAN, at=None).require(Right.STORE, at=HOME)


def test_a_superuser_stores_anywhere() -> None:
    account(Role.SUPERUSER, at=None).require(Right.STORE, at=ELSEWHERE)


def test_a_physician_deletes_nothing() -> None:
    with pytest.raises(NotAllowed) as caught:
        account(Role.PHYSICIAN).require(Right.DELETE, at=HOME)

    assert caught.value.key == "missing-right"


def test_an_administrator_sees_no_patient() -> None:
    with pytest.raises(NotAllowed):
        account(Role.ADMINISTRATOR).require(Right.VIEW)


def test_without_a_role_there_is_no_right() -> None:
    assert not any(account().has(right) for right in Right)
