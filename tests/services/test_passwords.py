"""Which passwords are taken."""

from __future__ import annotations

import time

import pytest

from appliance.domain.errors import BadRequest
from appliance.services.passwords import LONGEST, Passwords, refuse_weak

ABOUT = ("ana", "Ana", "Anić")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "bovi-kapu-tena-fuda-rila",
        "žuta kućica na brijegu",
        "ключ от старого дома",
        "five words with some spaces",
    ],
)
def test_words_in_a_row_are_taken_in_any_script(password: str) -> None:
    refuse_weak(password, ABOUT)


@pytest.mark.parametrize("password", ["fourteen chars", "x" * (LONGEST + 1), ""])
def test_what_is_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(BadRequest) as refused:
        refuse_weak(password, ABOUT)

    assert refused.value.key == "password-length"


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "P4ssw0rdP4ssw0rd!",
        "aaaaaaaaaaaaaaaaaaaa",
        "123456789012345",
        "qwertyuiopasdfgh",
        "anaanicanaanic22",
        "iloveyouiloveyou",
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(BadRequest) as refused:
        refuse_weak(password, ABOUT)

    assert refused.value.key == "password-guessable"


def test_the_message_does_not_hold_the_password() -> None:
    with pytest.raises(BadRequest) as refused:
        refuse_weak("passwordpassword", ABOUT)

    assert "passwordpassword" not in refused.value.message


def test_a_long_one_is_judged_at_once() -> None:
    started = time.process_time()

    refuse_weak("correct horse battery staple " * 35, ABOUT)

    assert time.process_time() - started < 2


async def test_the_same_letters_are_the_same_password_however_they_are_composed() -> None:
    passwords = Passwords()
    composed, decomposed = "ku\u0107a na brijegu stoji", "kuc\u0301a na brijegu stoji"

    made = await passwords.hash(composed, ())

    assert made.startswith("$argon2id$")
    assert await passwords.is_right(made, decomposed)
    assert not await passwords.is_right(None, composed)
    await passwords.close()
