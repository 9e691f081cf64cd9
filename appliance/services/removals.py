"""Bytes that nobody refers to any more go: after the transaction that said so, and after a crash between the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from appliance.storage import index
from appliance.storage.database import Database
from appliance.storage.instances import InstanceStore

_AT_ONCE = 1000


def nothing_else(key: str) -> None:
    """For a store of whose instances nothing was made."""


Forget = Callable[[str], None]
"""Removes what was made of an instance, after the instance itself."""


def remove(store: InstanceStore, database: Database, keys: Iterable[str], forget: Forget = nothing_else) -> None:
    """The bytes of these keys are gone, and what was made of them, but of those that somebody stored again meanwhile."""
    for key in keys:
        with store.holding(key):
            if not database.read(lambda tx, key=key: index.is_held(tx, key)):  # type: ignore[misc]
                store.delete(key)
                forget(key)
            database.run(lambda tx, key=key: index.forget_removal(tx, key))  # type: ignore[misc]


def finish(store: InstanceStore, database: Database, forget: Forget = nothing_else) -> int:
    """What was to be removed and was not, is; how many keys that were."""
    done = 0
    while keys := database.read(lambda tx: index.removals(tx, limit=_AT_ONCE)):
        remove(store, database, keys, forget)
        done += len(keys)
    return done
