"""The versions on a box, each whole in a folder of its own, and the one link that says which of them is used.

    /opt/appliance-versions/7/source        the checkout: its units, its provisioning
    /opt/appliance-versions/7/environment   its Python, with all packages and the appliance
    /opt/appliance-versions/trial.json      while one is tried: which, and which was before
    /opt/appliance                          the link to the environment of the one that is used

Units and people name ``/opt/appliance`` only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from zfs.running import Refusal


@dataclass(frozen=True)
class Version:
    """A folder with a version."""

    number: int
    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def environment(self) -> Path:
        return self.folder / "environment"


@dataclass(frozen=True)
class Trial:
    """A version that is used and has not proven itself yet."""

    number: int
    before: int
    snapshot: str
    """What the data were before it was started; empty until they were kept."""
    shape: str
    """Of the databases then (applying.py)."""


class Versions:
    """Those in ``folder``; ``link`` leads to one of them."""

    def __init__(self, folder: Path = Path("/opt/appliance-versions"), link: Path = Path("/opt/appliance")) -> None:
        self._folder = folder
        self._link = link

    def version(self, number: int) -> Version:
        return Version(number, self._folder / str(number))

    @property
    def numbers(self) -> list[int]:
        """Of those that are there, ascending; whole or not."""
        return sorted(int(path.name) for path in self._folder.iterdir() if re.fullmatch(r"\d+", path.name))

    @property
    def current(self) -> Version:
        """The one that is used. Refusal on a box whose appliance lies there without a link."""
        target = Path(os.path.realpath(self._link))
        if not self._link.is_symlink() or target.parent.parent != Path(os.path.realpath(self._folder)):
            raise Refusal(
                f"{self._link} is no link into {self._folder}: nothing can be put beside it",
                f"move {self._link} away, and run provisioning/provision again",
            )
        return self.version(int(target.parent.name))

    def use(self, version: Version) -> None:
        """Every program that is started from now on is of this version: one rename, which happens or does not."""
        fresh = self._link.with_name(f".{self._link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.relpath(version.environment, self._link.parent))
        fresh.replace(self._link)
        _sync(self._link.parent)

    def forget(self, number: int) -> None:
        """Refusal for the one that is used."""
        if number == self.current.number:
            raise Refusal(f"version {number} is the one that is used")
        shutil.rmtree(self.version(number).folder, ignore_errors=True)

    @property
    def trial(self) -> Trial | None:
        """The one that is being tried, or was when the power failed."""
        file = self._folder / "trial.json"
        return Trial(**json.loads(file.read_text())) if file.is_file() else None

    def begin(self, trial: Trial) -> None:
        """On the disk before anything of it is done."""
        file = self._folder / "trial.json"
        fresh = file.with_suffix(".new")
        with fresh.open("w") as stream:
            json.dump(asdict(trial), stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
        _sync(self._folder)

    def end(self) -> None:
        (self._folder / "trial.json").unlink(missing_ok=True)
        _sync(self._folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
