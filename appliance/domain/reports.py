"""What a physician wrote about a patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from appliance.domain.identifiers import AccountId, PatientId, ReportId, StudyUid


@dataclass(frozen=True, slots=True)
class ReportText:
    """The four parts of a report."""

    description: str
    findings: str
    conclusion: str
    recommendation: str


@dataclass(frozen=True, slots=True)
class Report:
    id: ReportId
    patient_id: PatientId
    study_uid: StudyUid | None
    created_at: datetime
    """With time zone."""
    author_id: AccountId
    author_name: str
    text: ReportText
