"""The steps of an update in order, and the way back.

    1  unpack          the signature first, then every file against the list
    2  install         beside the one that is used, by the new version's own provisioning
    3  try out         it takes the box's settings, and draws a picture that arithmetic agrees with
    4  stop            nobody is served from here on
    5  keep the data   a snapshot; from here on the trial is on the disk, and whoever finds it goes back
    6  use             the link, then units and accounts of the new version
    7  start           and wait until it answers

A refusal in 1 to 3 leaves the box as it was, and nobody noticed. From 4 on the former version comes back by itself. The databases
are put back only where the new version had changed their tables: else what came in meanwhile stays.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from updates import bundle
from updates.versions import Trial, Version, Versions
from zfs.running import Refusal

log = logging.getLogger(__name__)


class Machine(Protocol):
    """What the steps do to a box; each raises a Refusal that says why it could not."""

    databases: Path
    """The folder whose data are kept and put back."""

    def install(self, version: Version) -> None:
        """Makes the environment of a version from its source."""

    def try_out(self, version: Version) -> None:
        """Whether it takes the settings and draws, beside the one that serves."""

    def take_on(self, version: Version) -> None:
        """Units and whatever else of a version lies outside of its folder; run again, it changes nothing."""

    def stop(self) -> None:
        """Nobody is served, and nobody can make it start."""

    def start(self) -> None:
        """What the link leads to is started, and answers."""

    def keep(self) -> str:
        """The name under which the data of this moment can be had again."""

    def kept(self, name: str) -> Path:
        """The folder that has them."""

    def release(self, name: str) -> None:
        """They are needed no more."""


def apply(file: Path, key: Ed25519PublicKey, versions: Versions, machine: Machine, say: Callable[[str], None]) -> int:
    """The number of the version that is used now, and answers. Refusal else, the former one being used again."""
    settle(versions, machine, say)
    before = versions.current
    version = _stage(file, key, versions, machine, say)
    trial = Trial(version.number, before.number, snapshot="", shape=_shape(machine.databases))
    versions.begin(trial)
    try:
        machine.stop()
        trial = Trial(version.number, before.number, machine.keep(), _shape(machine.databases))
        versions.begin(trial)
        versions.use(version)
        machine.take_on(version)
        machine.start()
    except (Refusal, OSError) as error:
        say(f"version {version.number} is taken back: {error}")
        try:
            _back(trial, versions, machine)
        except (Refusal, OSError) as second:
            raise Refusal(
                f"version {trial.number} was not fit: {error}; and version {trial.before} does not answer either: {second}",
                "journalctl -b -p warning; then appliance-update settle",
            ) from second
        raise Refusal(
            f"version {version.number} was not fit: {error}; version {before.number} is used again, and answers"
        ) from error
    _accept(trial, versions, machine)
    say(f"version {version.number} is used and answers; version {before.number} stays beside it")
    return version.number


def settle(versions: Versions, machine: Machine, say: Callable[[str], None]) -> None:
    """Ends what the power cut off: the version that was being tried stays if it answers, and is taken back if not."""
    trial = versions.trial
    if trial is None:
        return
    if versions.current.number == trial.number:
        try:
            machine.take_on(versions.current)
            machine.start()
        except Refusal as refusal:
            say(f"version {trial.number} is taken back: {refusal}")
        else:
            _accept(trial, versions, machine)
            say(f"version {trial.number} was being tried, and answers: it stays")
            return
    _back(trial, versions, machine)
    say(f"version {trial.number} was being tried: version {trial.before} is used again, and answers")


def _stage(
    file: Path, key: Ed25519PublicKey, versions: Versions, machine: Machine, say: Callable[[str], None]
) -> Version:
    current = versions.current.number
    fresh = versions.version(current + 1).folder.with_name("unpacking")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        manifest = bundle.unpack(file, key, fresh / "source")
        if manifest.number <= current:
            raise Refusal(
                f"{file} is version {manifest.number}, and version {current} is used: nothing goes back by an update"
            )
        version = versions.version(manifest.number)
        shutil.rmtree(version.folder, ignore_errors=True)  # what an update before left half done
        fresh.rename(version.folder)
    except Refusal:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    say(
        f"{manifest.name}, version {manifest.number} of {manifest.made}: {len(manifest.files)} files, all as they were signed"
    )
    try:
        machine.install(version)
        machine.try_out(version)
    except Refusal:
        versions.forget(version.number)
        raise
    say(f"version {version.number} is installed and draws")
    return version


def _accept(trial: Trial, versions: Versions, machine: Machine) -> None:
    """The one before stays beside it, older ones go."""
    versions.end()
    machine.release(trial.snapshot)
    for number in versions.numbers:
        if number < trial.before:
            versions.forget(number)


def _back(trial: Trial, versions: Versions, machine: Machine) -> None:
    """Refusal where the former version does not answer either; the trial stays on the disk then, for `settle`."""
    before = versions.version(trial.before)
    machine.stop()
    versions.use(before)
    machine.take_on(before)
    if trial.snapshot and _shape(machine.databases) != trial.shape:
        log.warning("version %d had changed the tables: the databases are put back", trial.number)
        _put_back(machine.kept(trial.snapshot), machine.databases)
    machine.start()
    versions.end()
    if trial.snapshot:
        machine.release(trial.snapshot)
    versions.forget(trial.number)


def _shape(folder: Path) -> str:
    """A digest of what migrations the databases below have had; of a file that is none, or is damaged, that it is so."""
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*.sqlite")):
        total.update(f"{file.relative_to(folder)}\n{_migrations(file)}\n".encode())
    return total.hexdigest()


def _migrations(file: Path) -> list[tuple[object, ...]] | str:
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            return database.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall() + (
                database.execute("SELECT * FROM migration ORDER BY 1, 2").fetchall()
            )
    except sqlite3.Error as error:
        return f"unreadable: {error}"


def _put_back(kept: Path, folder: Path) -> None:
    """``folder`` has what ``kept`` has, and nothing else; run again after it was interrupted, too."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    _copy(kept, folder)


def _copy(source: Path, target: Path) -> None:
    """With owners, rights and times."""
    for path in source.iterdir():
        place = target / path.name
        if path.is_dir() and not path.is_symlink():
            place.mkdir()
            _copy(path, place)
        else:
            shutil.copy2(path, place, follow_symlinks=False)
        owner = path.lstat()
        shutil.copystat(path, place, follow_symlinks=False)
        shutil.chown(place, owner.st_uid, owner.st_gid)
