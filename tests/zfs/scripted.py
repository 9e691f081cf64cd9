"""Commands of the system that only note their words and say what they were told to.

They can show order, quoting and what is never run, and nothing else: what the real ones do is for the machine tests.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

_SCRIPT = """#!{python}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
words = " ".join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]])
with (folder / "said").open("a") as said:
    said.write(words + "\\n")
answers = json.loads((folder / "answers.json").read_text())
answer = next((a for start, a in answers.items() if words.startswith(start)), "")
if answer.startswith("!"):
    sys.exit(answer[1:])
sys.stdout.write(answer)
"""

_CHANGING = (
    "hold",
    "release",
    "send",
    "receive",
    "destroy",
    "set",
    "create",
    "load-key",
    "unload-key",
    "change-key",
    "encrypt",
)


class Commands:
    """Those commands, first in the PATH."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self._folder = folder
        for name in names:
            (folder / name).write_text(_SCRIPT.format(python=sys.executable))
            (folder / name).chmod(0o755)

    def answer(self, answers: dict[str, str]) -> None:
        """To the first of these beginnings that fits; what begins with an exclamation mark is a failure."""
        (self._folder / "answers.json").write_text(json.dumps(answers))

    @property
    def said(self) -> list[str]:
        """Every command, in order."""
        noted = self._folder / "said"
        return noted.read_text().splitlines() if noted.exists() else []

    @property
    def verbs(self) -> list[str]:
        """The changing ones that were run, in order, each with its last word."""
        words = [line.split() for line in self.said]
        return [f"{w[1]} {w[-1]}" for w in words if w[0] not in ("mount", "umount") and w[1] in _CHANGING]


def scripted(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> Commands:
    """``names`` are such commands for the length of the test."""
    place = folder / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    commands = Commands(place, names)
    commands.answer({})
    return commands
