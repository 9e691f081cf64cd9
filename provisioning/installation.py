"""Brings a checkout up to date, step by step; a step whose inputs have not changed is left out.

What was done is remembered in ``.cache/setup.json`` by a key of each step's inputs; what the programs said is in
``.cache/setup.log``.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning import debian
from provisioning.environment import Environment
from provisioning.page import Page
from provisioning.progress import Refusal, complain, say

ROOT = Path(__file__).resolve().parent.parent
_CACHE = ROOT / ".cache"
_LOG = _CACHE / "setup.log"


class _Done:
    """Which steps were done, and with which inputs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}

    def ensure(self, name: str, key: str, is_there: bool, do: Callable[[], None]) -> None:
        """Does the step unless it was done with these inputs and its product is there."""
        if is_there and self._keys.get(name) == key:
            return
        do()
        self._keys[name] = key
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(self._keys, indent=1))
        temporary.replace(self._file)


def set_up(*, for_tests: bool = False, for_machines: bool = False) -> None:
    """Brings everything up to date; Refusal, with the mend, at the first step that fails."""
    with _alone():
        of_tests = debian.TEST_PACKAGES if for_tests else ()
        debian.provide(debian.PACKAGES + of_tests + (debian.MACHINE_PACKAGES if for_machines else ()), _LOG)
        done = _Done(_CACHE / "setup.json")
        environment = Environment(ROOT, _CACHE, _LOG)
        done.ensure("environment", environment.key(), environment.works(), environment.fill)
        page = Page(ROOT, _LOG)
        done.ensure("page packages", page.packages_key(), page.has_packages(), page.fetch_packages)
        done.ensure("page", page.sources_key(), page.is_built(), page.build)


@contextmanager
def _alone() -> Iterator[None]:
    """Only one set-up at a time works on a checkout; others wait for it."""
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another set-up of this checkout …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # A log of one set-up, not of all that ever were.
        _LOG.unlink(missing_ok=True)
        yield


def enter_environment(
    module: str, arguments: list[str], *, for_tests: bool = False, for_machines: bool = False
) -> None:
    """Sets up and goes on as ``module`` inside the virtual environment; returns where we are in it already."""
    if Path(sys.prefix) == ROOT / ".venv":
        return
    set_up(for_tests=for_tests, for_machines=for_machines)
    python = ROOT / ".venv" / "bin" / "python"
    os.execv(python, [str(python), "-m", module, *arguments])  # noqa: S606 (no shell is wanted)


def or_complain(do: Callable[[], int | None]) -> int:
    """The exit status of ``do``: its own, 1 after a refusal was told, 130 when interrupted as shells have it."""
    try:
        return do() or 0
    except Refusal as refusal:
        complain(refusal)
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted")
        return 130


def main() -> int:
    """The command ``provisioning/setup``."""
    parser = argparse.ArgumentParser(prog="provisioning/setup", description="Brings this checkout up to date.")
    parser.add_argument("--for-tests", action="store_true", help="also what only the tests need of the system")
    parser.add_argument("--for-machines", action="store_true", help="also what the tests need that boot a machine")
    arguments = parser.parse_args()
    return or_complain(lambda: set_up(for_tests=arguments.for_tests, for_machines=arguments.for_machines))


if __name__ == "__main__":
    sys.exit(main())
