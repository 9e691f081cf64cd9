"""The command ``provisioning/provision``: from a bare Debian to a box, part by part; run again it changes nothing.

Exit status: 0 all is as it should be, 1 something is not, 2 the command line or the site file is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from provisioning import box, installing
from provisioning.installation import or_complain
from provisioning.parts import Told, go_through
from provisioning.progress import say

_STARTED = "APPLIANCE_PROVISIONING_STARTED"
_TOLD = "APPLIANCE_PROVISIONING_TOLD"
"""Between the two Pythons that one run has."""


def main() -> int:
    """The exit status."""
    arguments = _parse()
    return or_complain(lambda: _provision(arguments))


def _parse() -> argparse.Namespace:
    text = "Makes this machine a box: looks, says what it found, changes what is not as it should be, looks again."
    parser = argparse.ArgumentParser(prog="provisioning/provision", description=text)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="site.yaml", help="what this box is (docs/technician.md)")
    what.add_argument("--install-only", action="store_true", help="what is the same on every box: for an image")
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if anything would be")
    arguments = parser.parse_args()
    if arguments.config is not None and not arguments.config.is_file():
        parser.error(f"--config: there is no file {arguments.config}")
    return arguments


def _provision(arguments: argparse.Namespace) -> int:
    """First what needs nothing but Debian's Python; then, with the Python of the box, what the site file says."""
    started = float(os.environ.get(_STARTED, time.time()))
    before = json.loads(os.environ.get(_TOLD, "[]"))
    told = [Told(**entry) for entry in before]
    if not told:
        told = go_through(installing.parts(), only_check=arguments.check)
        if arguments.config is None:
            return _close(told)
        if not all(part.is_well for part in told):
            say("What the site file says can be looked at once these are there.")
            return _close(told)
        _go_on_in_box(told, started)
    from provisioning import site, site_parts

    of_site = site_parts.parts(site.read(arguments.config))
    told += go_through(of_site, only_check=arguments.check, first=len(told) + 1)
    if any(part.was_changed for part in told):
        took_s = time.time() - started
        say(f"From the start to the first picture: {took_s / 60:.1f} minutes")
        file = site_parts.report([f"{part.name}: {part.text}" for part in told], took_s)
        say(f"The report of this visit: {file}")
    return _close(told)


def _go_on_in_box(told: Sequence[Told], started: float) -> None:
    """The same command, by the Python that has the box's packages; does not return."""
    python = str(box.ENVIRONMENT / "bin" / "python")
    passed = {_STARTED: str(started), _TOLD: json.dumps([asdict(part) for part in told])}
    sys.stdout.flush()
    os.execve(python, [python, "-m", "provisioning.provision", *sys.argv[1:]], os.environ | passed)  # noqa: S606 (no shell)


def _close(told: Sequence[Told]) -> int:
    wrong = [part.name for part in told if not part.is_well]
    changed = [part.name for part in told if part.was_changed]
    if wrong:
        say(f"To be done: {', '.join(wrong)}. Nothing was changed.")
        return 1
    say(f"Changed: {', '.join(changed)}." if changed else "Everything is as it should be; nothing was changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
