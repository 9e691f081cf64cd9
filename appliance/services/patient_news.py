"""Hearing from the toplevel how patients are called, and who of them turned out to be one person."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from appliance.domain.changes import Answers, PatientHere, PatientTold, Questions
from appliance.domain.identifiers import InstitutionId
from appliance.services.database_threads import DatabaseThreads
from appliance.services.synchronisation import AnswerQuestions
from appliance.storage import institution, known_patients
from appliance.storage.database import Transaction

log = logging.getLogger(__name__)

_EVERY_S = 2.0
"""Each look is a signed request."""


class PatientNews:
    """What an institution hears of those whom it holds something of."""

    def __init__(
        self,
        database: DatabaseThreads,
        institution_id: InstitutionId,
        answer: AnswerQuestions,
        *,
        on_change: Callable[[], None],
    ) -> None:
        """``on_change`` is called when there is something for the toplevel."""
        self._database = database
        self._institution_id = institution_id
        self._answer = answer
        self._on_change = on_change
        self._heard_at = -_EVERY_S

    async def hear(self) -> None:
        """All is heard that the toplevel has to tell, if it was not a moment ago. Unavailable while it is away."""
        if time.monotonic() - self._heard_at < _EVERY_S:
            return
        is_all = False
        while not is_all:
            after = await self._database.read(known_patients.heard)
            answers = await self._answer(Questions(self._institution_id, patients_after=after))
            if answers.patients_last != after:
                has_moved = await self._database.run(lambda tx, told=answers: self._keep(tx, told))  # type: ignore[misc]
                if has_moved:
                    self._on_change()
            is_all = answers.is_all_news
        self._heard_at = time.monotonic()

    def _keep(self, tx: Transaction, answers: Answers) -> bool:
        moved = [told for told in answers.patients if known_patients.keep(tx, told)]
        for told in moved:
            self._say_that_it_is_here(tx, told)
        known_patients.note_heard(tx, answers.patients_last)
        return bool(moved)

    def _say_that_it_is_here(self, tx: Transaction, told: PatientTold) -> None:
        """The toplevel may have heard meanwhile that nothing of the other one is left, which is so no more."""
        log.info("what was of patients that were merged is of patient %s now", told.patient_id)
        institution.OUTBOX.put(tx, PatientHere(self._institution_id, told.patient_id))
