"""The parts of a box, in order: each is looked at, told, brought about where it is not as it should be, and looked at again."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioning.progress import Refusal, say


@dataclass(frozen=True)
class Found:
    """What there is of a part."""

    is_well: bool
    told: str
    """In words, for the technician and for the report."""


@dataclass(frozen=True)
class Part:
    """A part of a box. ``look`` changes nothing; ``mend`` brings it about and is None where only a person can."""

    name: str
    look: Callable[[], Found]
    mend: Callable[[], None] | None = None
    waits_for_others: bool = False
    """Whether it cannot be looked at before the parts above it are there."""


@dataclass(frozen=True)
class Told:
    """What became of a part."""

    name: str
    text: str
    is_well: bool
    was_changed: bool = False


def go_through(parts: Sequence[Part], *, only_check: bool, first: int = 1) -> list[Told]:
    """What became of each; Refusal at the first that cannot be brought about. ``only_check`` changes nothing at all."""
    told: list[Told] = []
    for number, part in enumerate(parts, start=first):
        if part.waits_for_others and only_check and any(not before.is_well for before in told):
            outcome = Told(part.name, "cannot be looked at before what is missing above is there", is_well=False)
        else:
            outcome = _bring_about(part, only_check=only_check)
        sign = "changed" if outcome.was_changed else "as it should be" if outcome.is_well else "NOT as it should be"
        say(f"{number:2} {part.name}: {sign}: {outcome.text}")
        told.append(outcome)
    return told


def _bring_about(part: Part, *, only_check: bool) -> Told:
    found = part.look()
    if found.is_well or only_check:
        return Told(part.name, found.told, found.is_well)
    if part.mend is None:
        raise Refusal(f"{part.name}: {found.told}", "nothing but a person can change this; then run it again")
    say(f"      {part.name}: {found.told}")
    started = time.monotonic()
    part.mend()
    now = part.look()
    if not now.is_well:
        raise Refusal(f"{part.name}: it was brought about, and still: {now.told}", "look at what was said above")
    return Told(part.name, f"{now.told} ({time.monotonic() - started:.0f} s)", is_well=True, was_changed=True)


def run(*command: str, mend: str, given: str = "") -> str:
    """What the command printed; Refusal with all it said where it fails."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise Refusal(f"{command[0]} cannot be run: {error.strerror}", mend) from error
    if done.returncode:
        raise Refusal(
            f"`{' '.join(command)}` ended with status {done.returncode}: {(done.stderr or done.stdout).strip()}", mend
        )
    return done.stdout


def status(*command: str) -> int:
    """The exit status; what the command says is not looked at."""
    return subprocess.run(command, capture_output=True, check=False).returncode


@dataclass(frozen=True)
class Copy:
    """A file that is to be as another, or as a text."""

    content: bytes
    target: Path
    mode: int = 0o644
    group: str = "root"

    @property
    def is_there(self) -> bool:
        """Contents, rights and group."""
        if not self.target.is_file() or self.target.read_bytes() != self.content:
            return False
        return self.target.stat().st_mode & 0o7777 == self.mode and self.target.group() == self.group

    def put(self) -> None:
        """Whole at every moment, and never readable by more than it should be."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.target.with_name(f".{self.target.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(self.content)
        shutil.chown(fresh, "root", self.group)
        fresh.chmod(self.mode)
        fresh.replace(self.target)


def files_part(name: str, copies: Callable[[], Sequence[Copy]], after: Callable[[], None] | None = None) -> Part:
    """A part that consists of files; ``after`` tells whoever reads them."""

    def missing() -> list[Copy]:
        return [copy for copy in copies() if not copy.is_there]

    def look() -> Found:
        different = missing()
        if not different:
            return Found(is_well=True, told=f"{len(copies())} files are as they should be")
        return Found(is_well=False, told=f"not there or different: {', '.join(str(c.target) for c in different[:5])}"
                     + (f" and {len(different) - 5} more" if len(different) > 5 else ""))  # fmt: skip

    def mend() -> None:
        for copy in missing():
            copy.put()
        if after is not None:
            after()

    return Part(name, look, mend)


def digest(*files: Path) -> str:
    """SHA-256 of their contents."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()
