"""The commands of the pool. Exit status: 0 all is well, 1 something is not, 2 the command line is wrong."""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from zfs import (
    creation,
    disks,
    drill,
    drill_reports,
    keys,
    manifests,
    names,
    replacement,
    replication,
    scrubbing,
    snapshots,
    status,
)
from zfs.layout import BOX, RECORDS, ROOT
from zfs.names import Place
from zfs.running import Refusal

_FAILED = 1
_CHILDREN = ("database", "instances")
"""Of ``RECORDS``, in the order in which they are copied."""
_PLACES = {child: str(ds.mountpoint) for child in _CHILDREN for ds in BOX.data_sets if ds.name == f"{RECORDS}/{child}"}
_UNSEEN = "APPLIANCE_DRILL_UNSEEN"
"""Set where the mounts of a drill are in a name space of its own."""
_REPORTS = Path("/var/lib/appliance-pool/drills")
_VERIFY = (
    *("runuser", "--user", "appliance", "--", "/opt/appliance/bin/appliance", "verify"),
    *("--config", "/etc/appliance/appliance.yaml", "--json"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of a command line."""
    try:
        parsed = parser().parse_args(arguments)
        logging.basicConfig(level="INFO" if parsed.verbose else "WARNING", format="%(message)s", stream=sys.stderr)
        command: Callable[[argparse.Namespace], int] = parsed.command
        return command(parsed)
    except Refusal as refusal:
        print(f"appliance-zfs: {refusal}", file=sys.stderr)
        return _FAILED


def parser() -> argparse.ArgumentParser:
    """Of all command lines."""
    whole = argparse.ArgumentParser(
        prog="appliance-zfs", description="The pool of a box: look, say, change if needed, look again"
    )
    whole.add_argument("--verbose", action="store_true", help="say every command that is run, with its time")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=run)
        return added

    command("disks", _disks, "What disks there are, and what they hold")

    create = command("create", _create, "Make the pool and its data sets, or what is missing of them")
    create.add_argument(
        "disks", nargs="*", metavar="PATH", help="disks, as `disks` names them; default: all blank ones"
    )
    create.add_argument("--erase", action="append", default=[], metavar="PATH", help="this one too, whatever it holds")
    create.add_argument("--check", action="store_true", help="say what would be done; status 1 if that is anything")
    create.add_argument(
        "--key-from", type=Path, metavar="FILE", help="the key; without it one is made and its sheet printed"
    )
    _add_seal(create)

    load = command("load-key", _load, "Unlock: typed as on the sheet, or from a file")
    load.add_argument("--from", dest="file", type=Path, metavar="FILE", help="64 hexadecimal digits")

    command("unload-key", _unload, "Lock, when nothing is mounted any more")
    command("check-key", _check_key, "Whether the sheet, typed, opens the pool; changes nothing")

    rotate = command(
        "rotate-key", _rotate, "Another key from now on: prints its sheet, and goes on when that was typed back"
    )
    _add_key(rotate)

    seal = command(
        "seal-key", _seal, "Bind the key to this machine, as after its board or TPM was changed: asks for the sheet"
    )
    _add_seal(seal)

    command("snapshot", _snapshot, "A snapshot of databases and instances at one moment; old ones go")

    scrub = command("scrub", _scrub, "Read and compare every block; status 1 if the pool is not well afterwards")
    scrub.add_argument("--json", action="store_true", help="print the status as JSON")

    replace = command("replace", _replace, "Another disk for one of the pool's")
    replace.add_argument("old", metavar="OLD", help="as `status` names it")
    replace.add_argument("new", metavar="PATH", help="as `disks` names it")
    replace.add_argument("--erase", action="store_true", help="whatever the new one holds")

    copy = command("replicate", _replicate, "The newest snapshot to another pool or box, and every file compared")
    copy.add_argument("--to", type=Place.parse, required=True, metavar="[[ACCOUNT@]BOX:]POOL/NAME")
    copy.add_argument(
        "--all", action="store_true", help="read every file, not only those that came since the last time"
    )

    copy.add_argument("--write", type=Path, metavar="FILE", help="write what came of it as JSON, for others to read")

    practice = command(
        "drill", _drill, "Practise the restore: a copy is laid over the data, unseen, and read by the appliance"
    )
    practice.add_argument(
        "--from", dest="origin", type=_origin, default=Place(RECORDS), metavar="[[ACCOUNT@]BOX:]POOL/NAME",
        help="where `replicate` copied to; default: the newest snapshot of this pool",
    )  # fmt: skip
    practice.add_argument(
        "--write", type=Path, metavar="FILE", help="write what came of it as JSON, for others to read"
    )

    practice.add_argument("--key", type=Path, metavar="FILE", help="sign a report of it by this key (PEM, Ed25519)")
    practice.add_argument("--reports", type=Path, default=_REPORTS, metavar="FOLDER", help="where the report is put")

    reports = command(
        "drill-reports", _verify_reports, "Whether reports of drills are as they were signed; status 1 if not"
    )
    reports.add_argument("path", nargs="?", type=Path, default=_REPORTS, metavar="PATH", help="one, or a folder of all")
    reports.add_argument(
        "--public", type=Path, metavar="FILE", help="the key, as it was filed; default: as it lies beside"
    )

    manifest = command("manifest", _manifest, "The files of a snapshot with their hashes, a line of JSON each")
    manifest.add_argument("snapshot", metavar="POOL/NAME@SNAPSHOT")
    manifest.add_argument("--since", metavar="SNAPSHOT", help="read only what is not as it was then")

    state = command("status", _status, "How the pool is; status 1 if it is not well")
    state.add_argument("--json", action="store_true", help="print it as JSON")
    state.add_argument("--write", type=Path, metavar="FILE", help="write it as JSON, for others to read; status 0")
    return whole


def _origin(text: str) -> Place:
    """Nothing, as of a service whose box makes no copies, is this pool itself."""
    return Place.parse(text) if text else Place(RECORDS)


def _add_key(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--key-from", type=Path, metavar="FILE", help="the key; without it one is made and its sheet printed"
    )
    _add_seal(to)


def _add_seal(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--seal",
        choices=("host+tpm2", "host", "none"),
        default="host+tpm2",
        help="what the key is bound to for a start without anybody; none: somebody types it at each start",
    )


def _disks(_: argparse.Namespace) -> int:
    for disk in disks.found_here():
        print(disk)
    return 0


def _create(arguments: argparse.Namespace) -> int:
    seen = creation.look(BOX)
    taken = [] if seen.has_pool else disks.chosen(disks.found_here(), arguments.disks, arguments.erase)
    steps = creation.plan(BOX, seen, taken)
    for step in steps:
        print(f"{'would run' if arguments.check else 'to do'}: {' '.join(step.command)}  # {step.why}")
    if not steps:
        print(f"{BOX.pool} is as it should be")
        return 0
    if arguments.check:
        return _FAILED
    if any(step.needs_key for step in steps):
        key = _new_key(arguments)
        sealed = _sealed(key, arguments.seal)
        creation.create(BOX, taken, key, keep=lambda: _keep(sealed))
    else:
        creation.create(BOX, taken, None)
    print(f"{BOX.pool} is as it should be now")
    return 0


def _new_key(arguments: argparse.Namespace) -> str:
    """A key that somebody has on paper, or in the file that they named."""
    if arguments.key_from is not None:
        return keys.parse(_text(arguments.key_from))
    key = keys.make()
    print(
        f"\nThe recovery sheet: write it down, or print it. Without it nobody can open this box again.\n\n{keys.sheet(key)}"
    )
    if _typed_sheet() != key:
        raise Refusal("what was typed is the sheet of another key", "nothing has been changed; begin again")
    return key


def _typed_sheet() -> str:
    """The key of a sheet, from the terminal without showing it, or from standard input."""
    if not sys.stdin.isatty():
        return keys.read_sheet(sys.stdin.read())
    print("Type it as it is on the sheet, line by line:")
    return keys.read_sheet("\n".join(getpass.getpass(f"line {n}: ") for n in range(1, 9)))


def _sealed(key: str, bound_to: str) -> Path | None:
    """The key, sealed, beside the one in force; before anything is changed, so that a machine that cannot do it refuses now."""
    if bound_to == "none":
        return None
    fresh = keys.CREDENTIAL.with_suffix(".new")
    keys.seal(key, fresh, bound_to)
    return fresh


def _keep(sealed: Path | None) -> None:
    """What was sealed is in force; without it nothing is."""
    if sealed is None:
        keys.CREDENTIAL.unlink(missing_ok=True)
        print("The key is kept nowhere on this machine: somebody types it at each start")
    else:
        sealed.replace(keys.CREDENTIAL)
        print(f"The key is sealed to this machine in {keys.CREDENTIAL}")


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from error


def _load(arguments: argparse.Namespace) -> int:
    if keys.is_loaded(ROOT):
        print(f"{ROOT} is unlocked already")
        return 0
    keys.load(ROOT, keys.parse(_text(arguments.file)) if arguments.file else _typed_sheet())
    print(f"{ROOT} is unlocked")
    return 0


def _unload(_: argparse.Namespace) -> int:
    print(f"{ROOT} is locked{'' if keys.unload(ROOT) else ' already'}")
    return 0


def _check_key(_: argparse.Namespace) -> int:
    if keys.opens(ROOT, _typed_sheet()):
        print(f"this sheet opens {ROOT}")
        return 0
    print(f"this sheet does not open {ROOT}")
    return _FAILED


def _seal(arguments: argparse.Namespace) -> int:
    key = _typed_sheet()
    if not keys.opens(ROOT, key):
        raise Refusal(f"this sheet does not open {ROOT}", "nothing has been changed")
    _keep(_sealed(key, arguments.seal))
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    key = _new_key(arguments)
    sealed = _sealed(key, arguments.seal)
    keys.change(ROOT, key)
    _keep(sealed)
    print(
        f"{ROOT} opens with the new key only: destroy the old sheet. Whoever took a disk before can still open it with that"
    )
    return 0


def _snapshot(_: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    print(f"{RECORDS}@{snapshots.take(RECORDS, now).name}")
    for gone in snapshots.prune(RECORDS, now):
        print(f"removed {RECORDS}@{gone.name}")
    return 0


def _scrub(arguments: argparse.Namespace) -> int:
    return _tell(scrubbing.scrub(BOX), as_json=arguments.json)


def _replace(arguments: argparse.Namespace) -> int:
    new = disks.chosen(disks.found_here(), [arguments.new], [arguments.new] if arguments.erase else [])[0]
    return _tell(replacement.replace(BOX, arguments.old, new), as_json=False)


def _replicate(arguments: argparse.Namespace) -> int:
    outcomes = replication.replicate(RECORDS, _CHILDREN, arguments.to, reads_all=arguments.all)
    print(replication.as_json(outcomes))
    if arguments.write is not None:
        status.write(replication.summary(outcomes, arguments.to, datetime.now(UTC)), arguments.write)
    return 0 if all(outcome.is_well for outcome in outcomes) else _FAILED


def _drill(arguments: argparse.Namespace) -> int:
    if os.environ.get(_UNSEEN) is None:
        words = ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-m", "zfs", *sys.argv[1:]]
        os.execvpe(words[0], words, os.environ | {_UNSEEN: "yes"})  # noqa: S606 (no shell)
    key = drill_reports.read_key(_read(arguments.key)) if arguments.key is not None else None
    found = drill.practise(arguments.origin, _PLACES, _VERIFY)
    print(found.as_json())
    if key is not None:
        print(drill_reports.write(found, socket.gethostname(), key, arguments.reports))
    if arguments.write is not None:
        status.write(found.as_json(), arguments.write)
    return 0 if found.is_well else _FAILED


def _verify_reports(arguments: argparse.Namespace) -> int:
    path: Path = arguments.path
    folder = path if path.is_dir() else path.parent
    key = drill_reports.read_public(arguments.public or drill_reports.public_file(folder))
    for report in drill_reports.verify_all(path, key) if path.is_dir() else [drill_reports.verify(path, key)]:
        print(drill_reports.in_words(report))
    print(
        f"signed by {drill_reports.fingerprint(key)}" + ("" if arguments.public else ": compare it with what was filed")
    )
    return 0


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}", "run provisioning/provision again: it makes the key") from error


def _manifest(arguments: argparse.Namespace) -> int:
    name, _, taken = arguments.snapshot.partition("@")
    for snapshot in filter(None, (taken, arguments.since)):
        if names.taken_at(snapshot) is None:
            raise Refusal(f"{snapshot!r} is no snapshot of the appliance")
    with replication.entries(names.data_set(name), taken, arguments.since) as found:
        for entry in found:
            print(manifests.write_line(entry))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    found = status.look(BOX)
    if arguments.write is not None:
        status.write(found.as_json(), arguments.write)
        return 0
    return _tell(found, as_json=arguments.json)


def _tell(found: status.Status, *, as_json: bool) -> int:
    if as_json:
        print(found.as_json())
    else:
        print(
            f"{found.pool} is {found.state}; {found.allocated_bytes / 1e9:.0f} of {found.size_bytes / 1e9:.0f} GB are used"
        )
        for problem in found.problems:
            print(f"  {problem}")
    return _FAILED if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
