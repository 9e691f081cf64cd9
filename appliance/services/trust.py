"""What tokens are good now: the keys that sign them, and the sessions and accounts that are shut out before their tokens end.

All appliances below the toplevel fetch it every few seconds (``services.synchronisation``), so that whoever is shut out here is
shut out everywhere within a minute, as long as the line is up; without a line a token ends by itself, after ten minutes.

The file of the signing key may hold several, the newest first. A new one is told to everybody for a while before it signs, and
the old ones stay good: nobody notices the change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.errors import ApplianceError
from appliance.services.database_threads import DatabaseThreads
from appliance.services.tokens import (
    Revocation,
    TokenSigner,
    TokenVerifier,
    Trust,
    make_private_key,
    new_private_pem,
    private_key_of,
    public_key_of,
)
from appliance.storage import toplevel

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_TOLD_BEFORE_USE_S = 60.0
_KEPT_KEYS = 3
_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n?", re.DOTALL)


class SigningKeys:
    """The keys in a file, which is made if it is not there."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            make_private_key(file)
        self._file = file
        self._changed_at = 0.0
        self._keys: tuple[Ed25519PrivateKey, ...] = ()
        self.look()

    def look(self) -> None:
        """Knows the keys as they are in the file now. SettingsError if it holds none."""
        changed_at = self._file.stat().st_mtime
        if changed_at != self._changed_at:
            blocks = _PEM.findall(self._file.read_bytes())
            self._keys = tuple(private_key_of(block, self._file) for block in blocks or [b""])
            self._changed_at = changed_at

    @property
    def all(self) -> tuple[Ed25519PrivateKey, ...]:
        return self._keys

    @property
    def signing(self) -> Ed25519PrivateKey:
        """The newest that everybody has heard of."""
        is_told = len(self._keys) == 1 or time.time() - self._changed_at >= _TOLD_BEFORE_USE_S
        return self._keys[0] if is_told else self._keys[1]


def add_signing_key(file: Path) -> None:
    """A new key stands above the ones in ``file``, of which the last two stay; running toplevels see it within seconds."""
    old = _PEM.findall(file.read_bytes()) if file.exists() else []
    new_file = file.with_name(f"{file.name}.new")
    new_file.unlink(missing_ok=True)
    new_file.touch(mode=0o600)
    new_file.write_bytes(b"".join([new_private_pem(), *old[: _KEPT_KEYS - 1]]))
    new_file.replace(file)


class TrustKeeper:
    """Keeps what a toplevel trusts up to date: its verifier, and what is told to those below.

    An institution whose toplevel is elsewhere has one too, for the tokens that it gives its own people.
    """

    def __init__(
        self, database: DatabaseThreads, keys: SigningKeys, signer: TokenSigner, verifier: TokenVerifier
    ) -> None:
        self._database = database
        self._keys = keys
        self._signer = signer
        self._verifier = verifier
        self._above = Trust()
        self._task: asyncio.Task[None] | None = None

    async def hear(self, above: Trust) -> None:
        """What the toplevel trusts is trusted too, beside the tokens that are signed here."""
        self._above = above
        await self.look()

    async def look(self) -> None:
        """All is as it is in the key file and in the database now, which other processes may have changed."""
        await asyncio.to_thread(self._keys.look)
        oldest = datetime.now(UTC) - timedelta(seconds=self._signer.lifetime_s + _TOLD_BEFORE_USE_S)
        revoked = await self._database.read(lambda tx: toplevel.revocations(tx, oldest))
        self._signer.use(self._keys.signing)
        keys = tuple(public_key_of(key.public_key()) for key in self._keys.all)
        shut_out = tuple(Revocation(one.subject, one.before.timestamp()) for one in revoked)
        self._verifier.replace(Trust((*self._above.keys, *keys), _latest((*self._above.revoked, *shut_out))))

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_looking(), name="trust")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.look()
            except (ApplianceError, OSError) as error:
                log.warning("the signing keys and who is shut out could not be looked at: %s", error)


def _latest(revoked: Iterable[Revocation]) -> tuple[Revocation, ...]:
    """Of several that speak of the same account or session the one that goes furthest."""
    latest: dict[UUID, Revocation] = {}
    for one in revoked:
        if one.subject not in latest or latest[one.subject].before < one.before:
            latest[one.subject] = one
    return tuple(latest.values())
