"""Changing the master key of a sealed store: a new one for new files at once, and the heads of the old files wrapped by it.

Only heads are written, 77 bytes a file, in place: the data keys stay, and so do the chunks. A head that a power cut leaves half
written would cost its file, so the old heads of each batch are durable in a journal before the first of them is touched, and are
put back where needed. Servers may run meanwhile: they look into the key file again when it has changed.

    directory/rewrapping    there from the start of a rotation to its end: name (32 bytes) and old head of each file of a batch
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.domain.errors import Damaged, SettingsError
from appliance.storage.instances import InstanceStore
from appliance.storage.sealing import HEAD_BYTES, MasterKeys, new_key

_AT_ONCE = 256
_MOST_ROUNDS = 5
"""Files that were begun under the old key come to their places meanwhile; a further round finds them."""


@dataclass(slots=True)
class Rotation:
    """What became of the files."""

    files: int = 0
    rewrapped: int = 0
    damaged: int = 0
    """Heads that no key opens; they are left as they are."""


def is_under_way(store: InstanceStore) -> bool:
    """Whether a rotation has begun and not ended."""
    return _journal(store).exists()


def add_key(key_file: Path) -> None:
    """The key file begins with a new key, and has all others below. Raises SettingsError if it cannot be written."""
    try:
        old, status = key_file.read_text("ascii"), key_file.stat()
        draft = key_file.with_name(f"{key_file.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{new_key()}\n{old}")
            file.flush()
            os.fsync(descriptor)
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, status.st_uid, status.st_gid)  # the server has to read it
        draft.replace(key_file)
        _sync_directory(key_file.parent)
    except OSError as error:
        raise SettingsError(f"the key file {key_file} cannot be replaced: {error.strerror}") from error


def rewrap(store: InstanceStore, on_files: Callable[[int], object] = lambda files: None) -> Rotation:
    """All heads are wrapped by the first of the store's keys; ``on_files`` hears how many files more are done.

    Interrupted, by a power cut even, it is begun again without harm.
    """
    keys = _keys_of(store)
    keys.look_again()
    put_back(store)
    outcome = Rotation()
    for round_number in range(_MOST_ROUNDS):
        before = outcome.rewrapped
        _write_journal(store, ())
        for places in _batches(store):
            found = _rewrap_batch(store, keys, places)
            outcome.rewrapped += found.rewrapped
            if round_number == 0:
                outcome.files += found.files
                outcome.damaged += found.damaged
                on_files(found.files)
        if outcome.rewrapped == before:
            break
    _rewrap_naming(store, keys)
    _journal(store).unlink()
    _sync_directory(store.directory)
    return outcome


def put_back(store: InstanceStore) -> int:
    """Heads that were left half written are as they were before; how many that were."""
    if store.keys is None or not _journal(store).exists():
        return 0
    data, size = _journal(store).read_bytes(), 32 + HEAD_BYTES
    restored = 0
    for start in range(0, len(data) - size + 1, size):
        name, head = data[start : start + 32].hex(), data[start + 32 : start + size]
        for place in (store.place_of_name(name), *store.aside_places(name)):
            restored += _put_back(store, store.keys, place, head)
    return restored


def _put_back(store: InstanceStore, keys: MasterKeys, place: Path, old: bytes) -> bool:
    with store.holding_place(place):
        try:
            descriptor = os.open(place, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            keys.opened_head(os.pread(descriptor, HEAD_BYTES, 0))
        except Damaged:
            os.pwrite(descriptor, old, 0)
            os.fsync(descriptor)
            return True
        finally:
            os.close(descriptor)
    return False


def _batches(store: InstanceStore) -> Iterator[Sequence[Path]]:
    for part in (*store.places(), store.aside_places()):
        for start in range(0, len(part), _AT_ONCE):
            yield part[start : start + _AT_ONCE]


def _rewrap_batch(store: InstanceStore, keys: MasterKeys, places: Sequence[Path]) -> Rotation:
    outcome, old_heads = Rotation(files=len(places)), {}
    for place in places:
        try:
            with place.open("rb") as file:
                head = file.read(HEAD_BYTES)
            if keys.rewrapped(head):
                old_heads[place] = head
        except FileNotFoundError:
            continue
        except Damaged:
            outcome.damaged += 1
    if old_heads:
        _write_journal(store, [(place.name[:64], head) for place, head in old_heads.items()])
        outcome.rewrapped = sum(_rewrap_one(store, keys, place) for place in old_heads)
    return outcome


def _rewrap_one(store: InstanceStore, keys: MasterKeys, place: Path) -> bool:
    with store.holding_place(place):
        try:
            descriptor = os.open(place, os.O_RDWR)
        except FileNotFoundError:
            return False  # deleted since
        try:
            head = keys.rewrapped(os.pread(descriptor, HEAD_BYTES, 0))
            if head is None:
                return False
            os.pwrite(descriptor, head, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return True


def _rewrap_naming(store: InstanceStore, keys: MasterKeys) -> None:
    """The secret of the names is 77 bytes in all: a new file takes the place of the old one."""
    naming = store.directory / "naming"
    head = keys.rewrapped(naming.read_bytes())
    if head is not None:
        _replace(naming, head)


def _write_journal(store: InstanceStore, heads: Sequence[tuple[str, bytes]]) -> None:
    _replace(_journal(store), b"".join(bytes.fromhex(name) + head for name, head in heads))


def _journal(store: InstanceStore) -> Path:
    return store.directory / "rewrapping"


def _keys_of(store: InstanceStore) -> MasterKeys:
    if store.keys is None:
        raise SettingsError("the store is plain: it has no key to change")
    return store.keys


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
