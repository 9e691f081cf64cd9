"""The commands of the appliance. Exit status: 0 done, 1 not all could be done, 2 the settings or the command are wrong."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import get_args
from uuid import UUID

import msgspec
import uvloop
from tqdm import tqdm

from appliance import __version__, assembly
from appliance.domain.accounts import Role
from appliance.domain.audit import Action, Event, Outcome, Subject
from appliance.domain.changes import AuditHead
from appliance.domain.enrolment import EnrolmentToken, Kind
from appliance.domain.errors import ApplianceError, BadRequest, SettingsError
from appliance.domain.identifiers import InstitutionId
from appliance.http import receive_queue
from appliance.services import journal
from appliance.services.accounts import account_to_create
from appliance.services.audit import at_the_shell
from appliance.services.audit_export import Format, messages
from appliance.services.imports import Tally, import_folder
from appliance.services.supervision import Supervisor
from appliance.services.verification import Verification, row_count, verified
from appliance.settings import Appliance, load
from appliance.storage import rotation
from appliance.storage.audit import Proof
from appliance.storage.audit_heads import ToldChain, as_anchors
from appliance.storage.audit_lists import AuditFilter

_WRONG = 2
_FAILED = 1
log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of a command line; says in one line what was wrong with it."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except (SettingsError, BadRequest) as error:
        print(f"appliance: {error.message}", file=sys.stderr)
        return _WRONG
    except ApplianceError as error:
        print(f"appliance: {error.message}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="appliance", description=sys.modules["appliance"].__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=run)
        return added

    serve = command("serve", _serve, "Play the roles that the settings name, until stopped by SIGTERM or Ctrl-C")
    serve.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")

    check = command("check-config", _check, "Say whether the settings are right")
    check.add_argument("file", type=Path, metavar="FILE.yaml")

    bring = command("import", _import, "Take in a folder of DICOM: any nesting, ZIP files too")
    bring.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    bring.add_argument("directory", type=Path, metavar="DIR")
    bring.add_argument("--refused", type=int, default=20, metavar="N", help="name at most N refused files (20)")

    verify = command("verify", _verify, "Read every kept byte once more; exit status 1 if anything is not as it came")
    verify.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    verify.add_argument("--json", action="store_true", help="print the report as JSON")

    doctor = command("doctor", _doctor, "How this machine is, on one page; exit status 1 if somebody should look")
    doctor.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    doctor.add_argument("--json", action="store_true", help="print it as JSON")

    _add_audit(commands)

    rotate = command(
        "rotate-key", _rotate_key, "Make a new master key for new files, and wrap the keys of all old files by it"
    )
    rotate.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")

    account = command("create-account", _create_account, "Make an account at the toplevel")
    account.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    account.add_argument("--username", required=True)
    account.add_argument("--given-name", default="")
    account.add_argument("--family-name", default="")
    account.add_argument("--roles", default=Role.PHYSICIAN.value, help=f"of {', '.join(Role)}, divided by commas")
    account.add_argument(
        "--institution", type=UUID, metavar="UUID", help="where they work; default: the one in this file"
    )
    account.add_argument("--password-stdin", action="store_true", help="read the password from standard input")

    for name, run, text in (
        ("deactivate-account", _deactivate, "Shut somebody out: they are logged out everywhere within a minute"),
        ("reactivate-account", _reactivate, "Let somebody in again"),
        ("remove-second-factor", _remove_second_factor, "For whoever lost their app and their recovery codes"),
    ):
        activity = command(name, run, text)
        activity.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
        activity.add_argument("--username", required=True)

    sign = command(
        "rotate-signing-key", _rotate_signing_key, "Make a new key for the access tokens; nobody is logged out"
    )
    sign.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")

    invite = command("enrolment-token", _make_enrolment_token, "Make a token by which one appliance enrols at this one")
    invite.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    invite.add_argument(
        "--for", dest="kind", choices=get_args(Kind), help="default: the one that enrols at a role here"
    )
    invite.add_argument("--child", type=UUID, metavar="UUID", help="let this one in again, with a new key")

    join = command("enrol", _enrol, "Redeem such a token: this appliance and the one above it exchange their keys")
    join.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    join.add_argument("--toplevel", "--institution", dest="parent", metavar="URL", help="must be that of the settings")
    join.add_argument("--token", required=True, help="as it was printed; - reads it from standard input")
    return parser


def _add_audit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    trail = commands.add_parser("audit", help="The trail of who did what", description="The trail of who did what")
    of_trail = trail.add_subparsers(required=True, metavar="COMMAND")
    text = "Walk the trail from its first record; exit status 1 and the first broken one if it is not as it was written"
    prove = of_trail.add_parser("verify", help=text, description=text)
    prove.set_defaults(command=_verify_audit)
    prove.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    prove.add_argument("--json", action="store_true", help="print the report as JSON")
    text = "Print the records, each on a line, as DICOM audit messages (PS3.15 A.5) or FHIR AuditEvents; that is on record too"
    export = of_trail.add_parser("export", help=text, description=text)
    export.set_defaults(command=_export_audit)
    export.add_argument("--config", type=Path, required=True, metavar="FILE.yaml")
    export.add_argument("--format", choices=[str(form) for form in Format], required=True)
    export.add_argument("--since", type=_day, metavar="YYYY-MM-DD", help="from this day on, in UTC")
    export.add_argument("--until", type=_day, metavar="YYYY-MM-DD", help="to the end of the day before, in UTC")


def _serve(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up(settings.log.level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_stopped(settings, arguments.config))
    return 0


async def _serve_until_stopped(settings: Appliance, file: Path) -> None:
    supervisor = Supervisor.found_in(os.environ)
    stop = asyncio.Event()

    def end() -> None:
        supervisor.stopping()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if supervisor.is_there:  # else it means that the terminal has gone, and ends us
        loop.add_signal_handler(signal.SIGHUP, _reload, settings, file, supervisor)
    await assembly.serve(settings, stop, supervisor)


def _reload(running: Appliance, file: Path, supervisor: Supervisor) -> None:
    """The log level of ``file`` holds from now on; what else has changed in it needs a restart, and the log says so."""
    supervisor.reloading()
    try:
        wanted = load(file)
    except SettingsError as error:
        log.error("the settings are not taken: %s", error.message)
    else:
        journal.set_up(wanted.log.level)
        changed = [name for name in Appliance.__struct_fields__ if getattr(wanted, name) != getattr(running, name)]
        if waiting := [name for name in changed if name != "log"]:
            log.warning("what has changed in the settings needs a restart", extra={"blocks": waiting})
        log.info("reloaded", extra={"log_level": wanted.log.level})
    supervisor.ready()


def _check(arguments: argparse.Namespace) -> int:
    settings = load(arguments.file)
    print(f"{arguments.file}: right; roles: {', '.join(settings.roles)}")
    if note := receive_queue.shortage(receive_queue.allowed_bytes()):
        print(f"note: {note}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("error")  # the closing lines say what was refused
    if settings.node is None:
        raise SettingsError(f"{arguments.config}: names no node, which is what keeps DICOM")
    if not arguments.directory.exists():
        raise BadRequest(f"{arguments.directory}: is not there")
    return asyncio.run(_import_with_bar(settings, arguments.directory, arguments.refused))


async def _import_with_bar(settings: Appliance, directory: Path, named: int) -> int:
    tally = Tally()
    assert settings.node is not None, "asked for before anything is opened"
    limits = assembly.archive_limits(settings.node)
    async with assembly.ingesting(settings) as ingest:
        sender = ingest.sender(at_the_shell("import"))
        with tqdm(unit=" files", disable=None) as bar:
            async for progress in import_folder(sender, directory, limits):
                tally.add(progress.last)
                bar.total = progress.files
                bar.update(progress.files_done - bar.n)
            bar.update((bar.total or 0) - bar.n)
    ignored = f", {tally.ignored} DICOMDIR ignored" if tally.ignored else ""
    print(
        f"{tally.stored} imported, {tally.already_there} already there, {len(tally.refused)} refused{ignored}",
        flush=True,
    )
    for refusal in tally.refused[:named]:
        print(f"  {refusal.name}: {refusal.message}")
    if len(tally.refused) > named:
        print(f"  and {len(tally.refused) - named} more")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("warning")
    with (
        assembly.kept(settings) as (store, database),
        tqdm(total=row_count(database), unit=" instances", disable=None) as bar,
    ):
        outcome = verified(store, database, bar.update)
    print(msgspec.json.encode(outcome).decode() if arguments.json else _in_words(outcome))
    return _FAILED if outcome.faults else 0


def _in_words(outcome: Verification) -> str:
    lines = [
        f"{outcome.instances} instances and {outcome.conflicts} conflicts read, {outcome.bytes_read} bytes: "
        f"{len(outcome.faults)} faults"
    ]
    for fault in outcome.faults:
        whose = f"instance {fault.instance_uid}" if fault.instance_uid else "no instance"
        lines.append(f"  {fault.kind}: {whose}, {fault.file}: {fault.reason}")
    if outcome.set_aside:
        lines.append(
            f"{outcome.set_aside} files were set aside at a start of the server and wait for somebody to judge them"
        )
    return "\n".join(lines)


def _doctor(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("warning")
    found = assembly.examined(settings)
    if arguments.json:
        print(msgspec.json.encode({"verdict": found.verdict, "at": found.at, "findings": found.findings}).decode())
    else:
        print(found.in_words())
    return 0 if found.is_well else _FAILED


def _verify_audit(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("warning")
    proofs = []
    with assembly.trails(settings) as trails:
        if not trails:
            raise SettingsError(f"{arguments.config}: names no toplevel, institution or node, which keep audit trails")
        told = _heads_above(settings)
        for trail, database in trails:
            keeper_id = assembly.keeper_of(settings, trail)
            above = as_anchors(told, keeper_id) if keeper_id else ()
            with tqdm(total=trail.count(database), unit=" records", disable=None) as bar:
                proofs.append(trail.proof(database, bar.update, above))
    below = assembly.told_chains(settings)
    if arguments.json:
        print(msgspec.json.encode({"trails": proofs, "below": below}).decode())
    else:
        for proof in proofs:
            print(_proof_in_words(proof))
        for chain in below:
            print(_chain_in_words(chain))
    is_sound = not any(proof.fault for proof in proofs) and not any(chain.fault for chain in below)
    return 0 if is_sound else _FAILED


def _heads_above(settings: Appliance) -> tuple[AuditHead, ...]:
    """What the toplevel keeps of the trails here; where it cannot be asked that is said, and they are verified without."""
    try:
        return assembly.told_heads(settings)
    except ApplianceError as error:
        print(f"not compared with the heads that went up: {error.message}", file=sys.stderr)
        return ()


def _export_audit(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("warning")
    wanted = AuditFilter(since=arguments.since, until=arguments.until)
    with assembly.trails(settings) as trails:
        for trail, database in trails:
            event = Event(at_the_shell("audit export"), Action.READ_AUDIT, Subject("audit", trail.room))
            trail.put(database, event)
            for line in messages(
                database, trail, wanted, assembly.base_url_of(settings, trail), Format(arguments.format)
            ):
                sys.stdout.buffer.write(line + b"\n")
    return 0


def _day(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), time(), UTC)


def _chain_in_words(chain: ToldChain) -> str:
    name = f"{chain.room} {chain.keeper_id}"
    if chain.fault is None:
        return f"{name}: told of {chain.sequence} records, last at {chain.told_at:%Y-%m-%d %H:%M:%S}Z"
    return f"{name}: {chain.fault}: a head that came at {chain.fault_at:%Y-%m-%d %H:%M:%S}Z contradicts one before it"


def _proof_in_words(proof: Proof) -> str:
    if proof.fault is None:
        above = f"; {proof.heads_above} heads that went up are among them" if proof.heads_above else ""
        return f"{proof.room}: {proof.records} records, each as it was written; head {proof.head.hash or 'none'}{above}"
    return f"{proof.room}: {proof.fault.kind}: {proof.fault.reason}; {proof.records} records before it are as they were written"


def _rotate_key(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("warning")
    if settings.node is None or settings.node.instances.key is None:
        raise SettingsError(f"{arguments.config}: names no node with a master key")
    key_file = settings.node.instances.key
    with assembly.kept(settings) as (store, database):
        if rotation.is_under_way(store):
            print("going on with a change of the key that was interrupted")
        else:
            rotation.add_key(key_file)
        with tqdm(total=row_count(database), unit=" files", disable=None) as bar:
            outcome = rotation.rewrap(store, bar.update)
        ended = Outcome.FAILED if outcome.damaged else Outcome.DONE
        event = Event(
            at_the_shell("rotate-key"), Action.ROTATE_KEY, Subject("store"), ended, instances=outcome.rewrapped
        )
        assembly.node_trail(settings.node).put(database, event)
    print(f"{outcome.rewrapped} of {outcome.files} files wrapped by the new key, {outcome.damaged} damaged")
    print(f"The old keys stay in {key_file}: uploads under way and backups may need them")
    return _FAILED if outcome.damaged else 0


def _create_account(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    account = account_to_create(
        arguments.username,
        given_name=arguments.given_name,
        family_name=arguments.family_name,
        roles=[_role(name.strip()) for name in arguments.roles.split(",")],
        institution_id=_institution(arguments.institution, settings),
    )
    password = sys.stdin.readline().rstrip("\n") if arguments.password_stdin else _asked_password()
    created = asyncio.run(assembly.create_account(settings, account, password))
    print(f"account {created.username} made")
    return 0


def _role(name: str) -> Role:
    try:
        return Role(name)
    except ValueError:
        raise BadRequest(f"{name!r} is not one of {', '.join(Role)}", parameter="roles") from None


def _institution(wanted: UUID | None, settings: Appliance) -> InstitutionId | None:
    if wanted is None and settings.institution:
        wanted = settings.institution.id
    return InstitutionId(wanted) if wanted else None


def _asked_password() -> str:
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise BadRequest("The two passwords differ")
    return password


def _deactivate(arguments: argparse.Namespace) -> int:
    journal.set_up("warning")
    asyncio.run(assembly.set_active(load(arguments.config), arguments.username, is_active=False))
    print(f"account {arguments.username} is shut out")
    return 0


def _reactivate(arguments: argparse.Namespace) -> int:
    journal.set_up("warning")
    asyncio.run(assembly.set_active(load(arguments.config), arguments.username, is_active=True))
    print(f"account {arguments.username} may log in again")
    return 0


def _remove_second_factor(arguments: argparse.Namespace) -> int:
    journal.set_up("warning")
    asyncio.run(assembly.remove_second_factor(load(arguments.config), arguments.username))
    print(f"account {arguments.username} is asked for its password only")
    return 0


def _rotate_signing_key(arguments: argparse.Namespace) -> int:
    journal.set_up("warning")
    assembly.rotate_signing_key(load(arguments.config))
    print("a new key signs the access tokens in a minute; those of the old one stay good")
    return 0


def _make_enrolment_token(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("warning")
    kind: Kind = arguments.kind or ("institution" if settings.toplevel is not None else "node")
    by = at_the_shell("enrolment-token")
    print(asyncio.run(assembly.make_enrolment_token(settings, kind, arguments.child, by)))
    return 0


def _enrol(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    journal.set_up("warning")
    text = sys.stdin.readline() if arguments.token == "-" else arguments.token  # noqa: S105
    print(f"enrolled at {assembly.enrol_here(settings, arguments.parent, EnrolmentToken.parse(text))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
