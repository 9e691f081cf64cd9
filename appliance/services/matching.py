"""Asking the toplevel whose the studies of an institution are, whenever there is one that waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from appliance.domain.changes import Answer, Question, Questions
from appliance.domain.identifiers import InstitutionId
from appliance.services.database_threads import DatabaseThreads
from appliance.services.synchronisation import AnswerQuestions
from appliance.storage import inbox
from appliance.storage.database import Transaction
from appliance.storage.inbox import StudyPatient

_BATCH = 200
_AGAIN_AFTER = timedelta(minutes=5)
"""The toplevel may have learned of the patient meanwhile, or of another name of theirs."""


class Matching:
    """The rule of the toplevel, carried out for one institution."""

    def __init__(
        self, database: DatabaseThreads, institution_id: InstitutionId, answer: AnswerQuestions, *, may_create: bool
    ) -> None:
        """``may_create``: an unknown Patient ID with a name and a birth date makes a patient."""
        self._database = database
        self._institution_id = institution_id
        self._answer = answer
        self._may_create = may_create

    async def ask(self) -> None:
        """Every study that waits for the rule was asked about lately; for when the toplevel knows all that we have to tell."""
        while await self._ask_some() == _BATCH:
            pass

    async def _ask_some(self) -> int:
        """How many answers counted."""
        before = datetime.now(UTC) - _AGAIN_AFTER
        asked = await self._database.read(lambda tx: inbox.to_ask(tx, asked_before=before, limit=_BATCH))
        if not asked:
            return 0
        questions = tuple(Question(study.study_uid, study.patient) for study in asked)
        answers = await self._answer(Questions(self._institution_id, questions, self._may_create))
        return await self._database.run(lambda tx: _take(tx, asked, answers.studies))


def _take(tx: Transaction, asked: Sequence[StudyPatient], answers: Sequence[Answer]) -> int:
    by_study = {answer.study_uid: answer for answer in answers}
    return sum(
        inbox.take_answer(tx, study, by_study[study.study_uid]) for study in asked if study.study_uid in by_study
    )
