"""What was measured in the studies of one institution: kept, shown, changed and removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from appliance.domain.accounts import Account, Right, Role
from appliance.domain.audit import Action, Actor, Event, Subject, dicom_subject
from appliance.domain.changes import MeasurementsTold, MeasurementsWanted
from appliance.domain.errors import ConditionMissing, Conflict, NotFound, Outdated
from appliance.domain.hierarchy import not_held
from appliance.domain.identifiers import InstitutionId, MeasurementId, StudyUid
from appliance.domain.measurements import Drawn, Measurement
from appliance.domain.reports import Writer
from appliance.services.audit import Auditing, Recorded
from appliance.services.database_threads import DatabaseThreads
from appliance.services.reports import Seen
from appliance.storage import inbox, institution, measurements
from appliance.storage.database import Database, Transaction

T = TypeVar("T")

MOST_IN_STUDY = 2000
"""Of one study: who draws more has no hands."""


class Measurements:
    def __init__(self, database: DatabaseThreads, institution_id: InstitutionId, auditing: Auditing) -> None:
        self._database = database
        self._id = institution_id
        self._auditing = auditing

    async def of_study(self, account: Account, study_uid: StudyUid, by: Actor) -> tuple[Measurement, ...]:
        """The oldest first; on record ``by`` whom they were read. NotFound for a study that is not held, or held back."""
        account.require(Right.VIEW)
        sees_all = account.institution_id == self._id or Role.SUPERUSER in account.roles

        def work(tx: Transaction) -> tuple[Measurement, ...]:
            if inbox.study_patient(tx, study_uid).patient_id is None and not sees_all:
                raise not_held(study_uid)
            return measurements.of_study(tx, study_uid)

        found = await self._database.read(work)
        await self._auditing.looked_at(by, Action.READ_MEASUREMENTS, dicom_subject(study_uid))
        return found

    async def keep(
        self, account: Account, measurement_id: MeasurementId, drawn: Drawn, seen: Seen | None, by: Actor
    ) -> Measurement:
        """It is kept as it is drawn, new or changed by its author.

        What is kept already is acknowledged once more, whatever was seen: an acknowledgement may have been lost. Raises
        ConditionMissing without ``seen``; Outdated if it is not what was seen; Conflict if it is somebody else's, or elsewhere.
        """
        event = Event(by, Action.MEASURE, _subject(measurement_id, drawn.study_uid))
        await self._auditing.require(account, Right.MEASURE, self._id, event)
        drawn.check()
        if seen is None:
            raise _condition_missing()

        def work(tx: Transaction) -> tuple[Measurement, Event | None]:
            current = measurements.measurement(tx, measurement_id)
            if current is None:
                if seen.tag is not None:
                    raise _not_there()
                return self._added(tx, account, measurement_id, drawn), event
            _require_author(current, account)
            if current.drawn == drawn:
                return current, None
            if not current.drawn.is_at_same_place(drawn):
                raise Conflict("It is of another kind, or in another picture", key="other-picture")
            _require_newest(current, seen)
            changed = replace(current, drawn=drawn, revision=current.revision + 1, changed_at=_now())
            measurements.change(tx, changed)
            return changed, event

        return await self._carry_out(work)

    def _added(self, tx: Transaction, account: Account, measurement_id: MeasurementId, drawn: Drawn) -> Measurement:
        inbox.study_patient(tx, drawn.study_uid)  # raises NotFound of what no node of this institution holds
        if measurements.count_of_study(tx, drawn.study_uid) >= MOST_IN_STUDY:
            raise Conflict(f"A study has at most {MOST_IN_STUDY} measurements", key="too-many-measurements")
        at = _now()
        new = Measurement(measurement_id, drawn, 1, Writer(account.id, account.name), at, at)
        measurements.add(tx, new)
        return new

    async def remove(self, account: Account, measurement_id: MeasurementId, seen: Seen | None, by: Actor) -> None:
        """It is not there any more: by its author, or by whoever may remove DICOM. Raises as ``keep`` does."""
        event = Event(by, Action.DELETE_MEASUREMENT, _subject(measurement_id, None))
        await self._auditing.require(account, Right.REMOVE_MEASUREMENTS, self._id, event)
        if seen is None:
            raise _condition_missing()

        def work(tx: Transaction) -> tuple[None, Event | None]:
            current = measurements.measurement(tx, measurement_id)
            if current is None:
                raise _not_there()
            if not account.has(Right.DELETE):
                _require_author(current, account)
            _require_newest(current, seen)
            measurements.remove(tx, measurement_id)
            return None, replace(event, subject=_subject(measurement_id, current.drawn.study_uid))

        await self._carry_out(work)

    async def told(self, wanted: MeasurementsWanted) -> MeasurementsTold:
        """What was measured in a study, for a node that holds it; of any other, nothing."""
        study_uid = StudyUid(wanted.study_uid)

        def work(tx: Transaction) -> tuple[Measurement, ...]:
            held = institution.held_studies(tx, (study_uid,))
            return measurements.of_study(tx, study_uid) if any(one.node_id == wanted.child_id for one in held) else ()

        return MeasurementsTold(await self._database.read(work))

    async def _carry_out(self, work: Callable[[Transaction], tuple[T, Event | None]]) -> T:
        """What ``work`` returned; its event, if any, is on record in the same transaction."""
        trail = self._auditing.trail

        def recording(tx: Transaction) -> tuple[T, Recorded | None]:
            result, event = work(tx)
            return result, trail.record(tx, event) if event else None

        def run(database: Database) -> T:
            result, recorded = database.run(recording)
            if recorded is not None:
                trail.tell(recorded)
            return result

        return await self._database.call(run)


def _require_author(kept: Measurement, account: Account) -> None:
    if kept.author.id != account.id:
        raise Conflict("Somebody else measured this", key="measurement-of-another", by=kept.author.name)


def _require_newest(kept: Measurement, seen: Seen) -> None:
    if kept.tag != seen.tag:
        raise Outdated(
            "It was changed since it was seen",
            tag=kept.tag,
            changed_at=kept.changed_at.isoformat(),
            by=kept.author.name,
        )


def _not_there() -> NotFound:
    return NotFound("There is no such measurement", key="no-such-measurement")


def _condition_missing() -> ConditionMissing:
    return ConditionMissing("A change says by If-Match what it was made from, or by If-None-Match: * that it is new")


def _subject(measurement_id: MeasurementId, study_uid: StudyUid | None) -> Subject:
    return Subject("measurement", str(measurement_id), study_uid or "")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
