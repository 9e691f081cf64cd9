"""The command ``appliance-update``. Exit status: 0 well, 1 refused with the reason, 2 the command line is wrong."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from updates import applying, bundle
from updates.machine import Box
from updates.versions import Versions
from zfs.running import Refusal

_KEY = Path("/etc/appliance/updates.pem")
_GOES_ALONG = (
    *("appliance", "certificates", "updates", "zfs", "systemd", "provisioning", "config", "webui/dist"),
    *("requirements.lock", "pyproject.toml", "README.md", "LICENSE"),
)
"""Of a checkout; ``webui/dist`` as it was built there."""
_LEFT = frozenset({"__pycache__"})


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="appliance-update", description="Another version on this box (docs/box.md).")
    commands = made.add_subparsers(dest="command", required=True)
    apply = commands.add_parser("apply", help="try a version, and take it back if it does not answer")
    apply.add_argument("file", type=Path, metavar="FILE")
    apply.add_argument("--key", type=Path, default=_KEY, metavar="FILE", help="whose signature is believed, PEM")
    commands.add_parser("settle", help="take back what was being tried when the power failed")
    commands.add_parser("status", help="which version is used, and which are beside it")
    make = commands.add_parser("make", help="make such a file of a checkout")
    make.add_argument("--key", type=Path, required=True, metavar="FILE", help="the private key, PEM")
    make.add_argument("--number", type=int, required=True, help="greater than that of the version before")
    make.add_argument("--name", required=True, help="what people call it")
    make.add_argument("checkout", type=Path)
    make.add_argument("file", type=Path)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parsed = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    os.umask(0o022)  # the server's account reads what is installed
    try:
        _carry_out(parsed)
    except Refusal as refusal:
        print(f"appliance-update: {refusal}", file=sys.stderr)
        return 1
    return 0


def _carry_out(parsed: argparse.Namespace) -> None:
    versions = Versions()
    match parsed.command:
        case "apply":
            applying.apply(parsed.file, bundle.read_public(parsed.key), versions, Box(), print)
        case "settle":
            applying.settle(versions, Box(), print)
        case "status":
            trial = versions.trial
            beside = ", ".join(str(number) for number in versions.numbers if number != versions.current.number)
            print(f"version {versions.current.number} is used; beside it: {beside or 'none'}")
            if trial is not None:
                raise Refusal(
                    f"version {trial.number} is being tried and has not proven itself", "appliance-update settle"
                )
        case "make":
            key = bundle.read_private(parsed.key)
            paths = _files(parsed.checkout)
            now = datetime.now(UTC)
            bundle.make(
                parsed.checkout, paths, number=parsed.number, name=parsed.name, made=now, key=key, to=parsed.file
            )
            print(f"{parsed.file}: {len(paths)} files")


def _files(root: Path) -> list[str]:
    """What goes onto a box."""
    found = []
    for name in _GOES_ALONG:
        place = root / name
        inside = [place] if place.is_file() else sorted(place.rglob("*"))
        found += [path for path in inside if path.is_file() and not _LEFT & set(path.parts)]
    return [str(path.relative_to(root)) for path in found]


if __name__ == "__main__":
    sys.exit(main())
