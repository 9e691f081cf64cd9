"""Reports of one institution: read, written, signed and amended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from appliance.domain.accounts import Account, Right
from appliance.domain.audit import Action, Actor, Event, Outcome, Subject, patient_subject
from appliance.domain.changes import InstitutionHere, PatientHere, PatientTold, Questions
from appliance.domain.errors import BadRequest, ConditionMissing, Conflict, NotAllowed, NotFound, Outdated, Unavailable
from appliance.domain.identifiers import InstitutionId, PatientId, ReportId
from appliance.domain.people import family_and_given, gender_of
from appliance.domain.reports import (
    PatientWritten,
    Report,
    ReportContent,
    Signature,
    Version,
    VersionState,
    Writer,
    changed_parts,
    content_hash,
)
from appliance.rendering.printed_reports import PrintedReport, printed
from appliance.rendering.printed_reports import languages as printed_languages
from appliance.services.audit import Auditing, Recorded
from appliance.services.database_threads import DatabaseThreads
from appliance.services.synchronisation import AnswerQuestions
from appliance.storage import inbox, institution, known_patients, report_access, reports
from appliance.storage.database import Database, Transaction

T = TypeVar("T")

Policy = Literal["open", "reason", "closed"]
"""What people of other institutions see of the reports here: all; all once they said why; nothing."""
LONGEST_TEXT = 100_000
"""Characters of one part of a report."""
_LONGEST_RECORD_TYPE = 100
_LONGEST_REASON = 1000
_SHORTEST_REASON = 5
_MOST_IMAGES = 200
_GLASS_STAYS_BROKEN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a change was made from."""

    tag: str | None
    """``Version.tag`` of the last version; None: that there was no such report."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be kept."""

    report_id: ReportId
    patient_id: PatientId
    content: ReportContent


@dataclass(frozen=True, slots=True)
class Kept:
    """A draft that is kept, and the event of it where it was begun with that."""

    report: Report
    recorded: Recorded | None = None


class Reports:
    def __init__(
        self,
        database: DatabaseThreads,
        here: InstitutionHere,
        answer: AnswerQuestions,
        auditing: Auditing,
        *,
        policy: Policy,
        on_change: Callable[[], None],
    ) -> None:
        """``answer`` is the toplevel's; ``on_change`` is called when there is something for it."""
        self._database = database
        self._here = here
        self._id = InstitutionId(here.institution_id)
        self._answer = answer
        self._auditing = auditing
        self._policy = policy
        self._on_change = on_change

    # Reading

    async def of_patient(self, account: Account, patient_id: PatientId, by: Actor) -> tuple[Report, ...]:
        """The patient's reports here, the newest first, without drafts of others; on record ``by`` whom they were read."""
        wanted = Event(by, Action.READ_REPORTS, patient_subject(patient_id))
        await self._require_sight(account, patient_id, wanted)
        found = await self._database.read(lambda tx: reports.reports_of(tx, known_patients.now_called(tx, patient_id)))
        await self._auditing.looked_at(by, Action.READ_REPORTS, patient_subject(patient_id))
        return tuple(seen for one in found if (seen := one.seen_by(account.id)) is not None)

    async def one(
        self, account: Account, report_id: ReportId, by: Actor, *, to: Action = Action.READ_REPORTS
    ) -> Report:
        """A report, without a draft of somebody else; NotFound where there is nothing but that."""
        account.require(Right.VIEW)
        found = (await self._there(report_id)).seen_by(account.id)
        if found is None:
            raise _no_such_report()
        subject = (
            Subject("report", str(report_id)) if to is not Action.READ_REPORTS else patient_subject(found.patient_id)
        )
        await self._require_sight(account, found.patient_id, Event(by, to, subject))
        await self._auditing.looked_at(by, to, subject)
        return found

    async def printed(
        self, account: Account, report_id: ReportId, number: int, languages: Sequence[str], by: Actor
    ) -> bytes:
        """A version as a PDF, in the first of ``languages`` that there are words in; on record ``by`` whom."""
        found = await self.one(account, report_id, by, to=Action.PRINT_REPORT)
        version = next((one for one in found.versions if one.number == number), None)
        if version is None:
            raise NotFound("The report has no such version", key="no-such-version")
        signature = version.signature
        wanted = PrintedReport(
            found,
            version,
            signature.institution_name if signature else self._here.name,
            signature.patient if signature else await self._patient_written(found.patient_id),
            self.is_intact(found, version),
            next((language for language in languages if language in printed_languages()), ""),
        )
        return await asyncio.to_thread(printed, wanted)

    async def break_glass(self, account: Account, patient_id: PatientId, reason: str, by: Actor) -> datetime:
        """The patient's reports are open to the account, for the reason that it gave; until when."""
        event = Event(by, Action.BREAK_GLASS, patient_subject(patient_id))
        await self._auditing.require(account, Right.VIEW, None, event)
        if self._policy == "closed" and account.institution_id != self._id:
            await self._refuse(event, "reports-closed")
        if not _SHORTEST_REASON <= len(reason.strip()) <= _LONGEST_REASON:
            raise BadRequest(
                f"The reason has between {_SHORTEST_REASON} and {_LONGEST_REASON} characters",
                key="reason-missing",
                parameter="reason",
            )
        at = _now()
        until = at + _GLASS_STAYS_BROKEN

        def work(tx: Transaction) -> tuple[None, Event]:
            now_called = known_patients.now_called(tx, patient_id)
            report_access.open_reports(tx, _writer(account), now_called, reason.strip(), at=at, until=until)
            return None, event

        await self._carry_out(work)
        return until

    async def _require_sight(self, account: Account, patient_id: PatientId, wanted: Event) -> None:
        account.require(Right.VIEW)
        if account.institution_id == self._id or self._policy == "open":
            return
        if self._policy == "closed":
            await self._refuse(wanted, "reports-closed")
        is_open = await self._database.read(
            lambda tx: report_access.is_open(tx, account.id, known_patients.now_called(tx, patient_id), at=_now())
        )
        if not is_open:
            await self._refuse(wanted, "reason-needed")

    async def _refuse(self, wanted: Event, key: str) -> None:
        await self._auditing.put(replace(wanted, outcome=Outcome.REFUSED, reason=key))
        raise NotAllowed("The reports of this institution are kept from other institutions", key=key)

    # Writing

    async def keep_draft(self, account: Account, draft: Draft, seen: Seen | None, by: Actor) -> Report:
        """The draft is kept: of a new report, as it was or of a version more. On record ``by`` whom, when it is begun.

        What is kept already is acknowledged once more, whatever was seen: an acknowledgement may have been lost. Raises
        ConditionMissing without ``seen``; Outdated, with the parts that differ, if the last version is not what was seen;
        Conflict if the draft is somebody else's.
        """
        await self._require_writing(account, Event(by, Action.WRITE_REPORT, _subject(draft.report_id)))
        if seen is None:
            raise _condition_missing()
        _check(draft.content)

        def work(database: Database) -> Kept:
            kept = database.run(lambda tx: self._kept(tx, account, draft, seen, by))
            if kept.recorded is not None:
                self._auditing.trail.tell(kept.recorded)
            return kept

        kept = await self._database.call(work)
        if kept.recorded is not None:
            self._on_change()
        return kept.report

    def _kept(self, tx: Transaction, account: Account, draft: Draft, seen: Seen, by: Actor) -> Kept:
        current = reports.report(tx, draft.report_id)
        if current is None:
            if seen.tag is not None:
                raise _no_such_report()
            return self._begun(tx, account, draft, by)
        if known_patients.now_called(tx, draft.patient_id) != current.patient_id:
            raise Conflict("The report is another patient's", key="other-patient")
        last = current.last
        if last.is_draft:
            _require_author(last, account)
            if last.content == draft.content:
                return Kept(current)
        if last.tag != seen.tag:
            raise _outdated(last, draft.content)
        if last.is_draft:
            changed = replace(last, revision=last.revision + 1, content=draft.content, changed_at=_now())
            reports.keep_draft(tx, current.id, changed)
            return Kept(Report(current.id, current.patient_id, (*current.versions[:-1], changed)))
        return self._amended(tx, account, current, draft.content, by)

    def _begun(self, tx: Transaction, account: Account, draft: Draft, by: Actor) -> Kept:
        patient_id = known_patients.now_called(tx, draft.patient_id)
        if not inbox.is_known(tx, patient_id) and not reports.has_reports(tx, patient_id):
            institution.OUTBOX.put(tx, PatientHere(self._here.institution_id, patient_id))
        version = _first_draft(1, draft.content, account)
        reports.begin(tx, draft.report_id, patient_id, version)
        event = Event(by, Action.WRITE_REPORT, _subject(draft.report_id))
        return Kept(Report(draft.report_id, patient_id, (version,)), self._auditing.trail.record(tx, event))

    def _amended(self, tx: Transaction, account: Account, current: Report, content: ReportContent, by: Actor) -> Kept:
        version = _first_draft(current.last.number + 1, content, account)
        reports.add_version(tx, current.id, version)
        recorded = self._auditing.trail.record(tx, Event(by, Action.AMEND_REPORT, _subject(current.id)))
        return Kept(Report(current.id, current.patient_id, (*current.versions, version)), recorded)

    async def discard_draft(self, account: Account, report_id: ReportId, seen: Seen | None, by: Actor) -> None:
        """The draft is gone, and with it a report that was nothing else. What is signed stays: Conflict says so."""
        event = Event(by, Action.DISCARD_DRAFT, _subject(report_id))
        await self._require_writing(account, event)
        if seen is None:
            raise _condition_missing()

        def work(tx: Transaction) -> tuple[None, Event]:
            current = reports.report(tx, report_id)
            if current is None:
                raise _no_such_report()
            if not current.last.is_draft:
                raise Conflict(
                    "The versions of a report that are not drafts are kept for good",
                    key="report-signed",
                    versions=[version.number for version in current.versions],
                )
            _require_author(current.last, account)
            if current.last.tag != seen.tag:
                raise _outdated(current.last, None)
            reports.discard_draft(tx, report_id, current.last.number)
            return None, event

        await self._carry_out(work)

    async def sign(self, account: Account, report_id: ReportId, seen: Seen | None, by: Actor) -> Report:
        """The draft is signed by its author, and never changed again. What is signed already is acknowledged once more."""
        event = Event(by, Action.SIGN_REPORT, _subject(report_id))
        await self._require_writing(account, event)
        if seen is None:
            raise _condition_missing()
        draft = await self._there(report_id)
        _require_author(draft.last, account)
        if _was_signed(draft.last, seen):
            return draft
        if not draft.last.is_draft or draft.last.tag != seen.tag:
            raise _outdated(draft.last, None)
        _check_whole(draft.last)
        patient = await self._patient_written(draft.patient_id)

        def work(tx: Transaction) -> tuple[Report, Event]:
            current = reports.report(tx, report_id)
            if current is None or current.last != draft.last:
                raise _outdated(draft.last, None)
            return self._signed(tx, account, current, patient), event

        signed = await self._carry_out(work)
        self._on_change()
        return signed

    def _signed(self, tx: Transaction, account: Account, current: Report, patient: PatientWritten) -> Report:
        last, before = current.last, current.final
        signature = Signature(_writer(account), _now(), current.patient_id, patient, self._here.name, "")
        amended = before.signature.sha256 if before and before.signature else ""
        signature = replace(signature, sha256=content_hash(current.id, last, self._id, signature, amended))
        signed = replace(last, state=VersionState.SIGNED, revision=last.revision + 1, signature=signature)
        reports.sign(tx, current.id, signed, signature)
        return Report(current.id, current.patient_id, (*current.versions[:-1], signed))

    def is_intact(self, report: Report, version: Version) -> bool:
        """Whether what is kept of a signed version is what was signed."""
        if version.signature is None:
            return False
        before = next((one for one in report.versions if one.number == version.number - 1), None)
        amended = before.signature.sha256 if before and before.signature else ""
        return content_hash(report.id, version, self._id, version.signature, amended) == version.signature.sha256

    async def _patient_written(self, patient_id: PatientId) -> PatientWritten:
        """What the patient is called: as the toplevel says now, or as it said last, or as a study of theirs does."""
        try:
            answers = await self._answer(Questions(self._here.institution_id, patient_ids=(patient_id,)))
        except Unavailable:
            answers = None
        told = answers.patients[0] if answers and answers.patients else None
        if told is None:
            told = await self._database.read(lambda tx: known_patients.known(tx, patient_id))
        written = _as_told(told) if told else await self._database.read(lambda tx: _as_held(tx, patient_id))
        if written is None:
            raise Unavailable(
                "Nobody here knows the patient's name, and the toplevel cannot be asked now", key="patient-name-unknown"
            )
        return written

    async def _require_writing(self, account: Account, wanted: Event) -> None:
        await self._auditing.require(account, Right.REPORT, self._id, wanted)

    async def _there(self, report_id: ReportId) -> Report:
        found = await self._database.read(lambda tx: reports.report(tx, report_id))
        if found is None:
            raise _no_such_report()
        return found

    async def _carry_out(self, work: Callable[[Transaction], tuple[T, Event]]) -> T:
        return await self._database.call(lambda database: self._auditing.trail.carry_out(database, work))


def _first_draft(number: int, content: ReportContent, account: Account) -> Version:
    at = _now()
    return Version(number, VersionState.DRAFT, 1, content, _writer(account), at, at)


def _was_signed(last: Version, seen: Seen) -> bool:
    return last.state is VersionState.SIGNED and seen.tag == f"{last.number}.{last.revision - 1}"


def _require_author(version: Version, account: Account) -> None:
    if version.author.id != account.id:
        raise Conflict("Somebody else is writing this version", key="draft-of-another", by=version.author.name)


def _check(content: ReportContent) -> None:
    if max(map(len, content.text.parts)) > LONGEST_TEXT:
        raise BadRequest(f"A part of the report has more than {LONGEST_TEXT} characters", key="report-too-long")
    if len(content.record_type) > _LONGEST_RECORD_TYPE:
        raise BadRequest(f"record_type has more than {_LONGEST_RECORD_TYPE} characters", parameter="record_type")
    if len(content.reason) > _LONGEST_REASON:
        raise BadRequest(f"reason has more than {_LONGEST_REASON} characters", parameter="reason")
    if len(content.images) > _MOST_IMAGES:
        raise BadRequest(f"A report has at most {_MOST_IMAGES} images", parameter="images")
    if len(set(content.images)) < len(content.images):
        raise BadRequest("An image is attached twice", parameter="images")
    for image in content.images:
        if image.frame is not None and (image.instance_uid is None or image.frame < 1):
            raise BadRequest("A frame counts from 1, in an instance that is named", parameter="images")


def _check_whole(draft: Version) -> None:
    if draft.content.is_blank:
        raise BadRequest("The report is empty", key="empty-report")
    if draft.number > 1 and not draft.content.reason.strip():
        raise BadRequest("An amendment says why", key="reason-missing", parameter="reason")


def _as_told(told: PatientTold) -> PatientWritten:
    record = told.record
    number = told.numbers[0].value if told.numbers else ""
    return PatientWritten(record.family_name, record.given_name, record.birth_date, record.gender, number)


def _as_held(tx: Transaction, patient_id: PatientId) -> PatientWritten | None:
    studies = institution.studies_of(tx, patient_id)
    if not studies:
        return None
    held = studies[0].patient
    family_name, given_name = family_and_given(held.person_name)
    born = datetime.fromisoformat(held.birth_date).date() if held.birth_date else None
    return PatientWritten(family_name, given_name, born, gender_of(held.sex), held.value)


def _outdated(last: Version, wanted: ReportContent | None) -> Outdated:
    differs = changed_parts(last.content, wanted) if wanted is not None else ()
    return Outdated(
        "The report was changed since it was seen",
        tag=last.tag,
        state=last.state.value,
        changed=list(differs),
        changed_at=last.changed_at.isoformat(),
        by=last.author.name,
    )


def _no_such_report() -> NotFound:
    return NotFound("There is no such report", key="no-such-report")


def _condition_missing() -> ConditionMissing:
    return ConditionMissing("A change says by If-Match what it was made from, or by If-None-Match: * that it is new")


def _subject(report_id: ReportId) -> Subject:
    return Subject("report", str(report_id))


def _writer(account: Account) -> Writer:
    return Writer(account.id, account.name)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
