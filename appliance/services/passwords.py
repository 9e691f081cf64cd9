"""Passwords: which are good enough, and their Argon2id hashes.

The rules are those of NIST SP 800-63B-4 §3.1.1.2 for a password that is the only factor: 15 characters at least, no composition
asked for, no change after a time, spaces and all of Unicode taken (NFKC), and nothing that a list of what people choose leads
to. The list and the way it is tried are zxcvbn's: common passwords, names, words, dates, rows of keys, repetitions, and what
is known of the person, spelt with the usual replacements.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from appliance.domain.errors import BadRequest

P = ParamSpec("P")
T = TypeVar("T")

SHORTEST = 15
LONGEST = 1024
_JUDGED = 72
"""zxcvbn takes time by the square of the length; what is good so far is good."""
_FEWEST_GUESSES = 10**9
"""Slowed down as here, that many take longer than anybody lives."""
_THREADS = 2
_PRODUCT = ("appliance", "password", "clinic", "hospital", "dicom")


class Passwords:
    """Hashing, in threads of its own: it costs 50 ms and 64 MiB on purpose."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="password")
        # Verified when there is no such account, so that the time of an answer does not tell which usernames exist.
        self._nobodys_hash = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str, about: Iterable[str]) -> str:
        """The hash of a new password; BadRequest if it is too short, too long or easily guessed by who knows ``about``."""
        return await self._in_thread(self._checked_hash, _plain(password), [*about, *_PRODUCT])

    async def is_right(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password of the hash; without a hash it takes as long and is not."""
        is_right = await self._in_thread(self._verify, password_hash or self._nobodys_hash, _plain(password)[:LONGEST])
        return is_right and password_hash is not None

    def is_old(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(password_hash)

    async def hash_again(self, password: str) -> str:
        """A hash of a password that was right, whatever the rules are by now."""
        return await self._in_thread(self._hasher.hash, _plain(password))

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    def _checked_hash(self, password: str, about: list[str]) -> str:
        refuse_weak(password, about)
        return self._hasher.hash(password)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        work = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def refuse_weak(password: str, about: Iterable[str]) -> None:
    """Returns if the rules above are kept; BadRequest otherwise."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadRequest(
            f"A password has {SHORTEST} to {LONGEST} characters; a few words in a row are easy to keep",
            key="password-length",
            parameter="password",
            shortest=SHORTEST,
            longest=LONGEST,
        )
    known = [word for word in about if word.strip()]
    # Blanks of several kinds look like chance to the judge.
    if not password.strip() or zxcvbn(password[:_JUDGED], user_inputs=known)["guesses"] < _FEWEST_GUESSES:
        raise BadRequest(
            "This password is one of those that are tried first: common, repeated, or made of your own names",
            key="password-guessable",
            parameter="password",
        )


def _plain(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
