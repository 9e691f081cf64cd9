"""Every door is asked for what the document of the doors allows, and for what it does not, by schemathesis."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.openapi import from_dict
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one

_EXAMPLES = 6
"""Of each door in each mode."""
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
Operation = APIOperation  # type: ignore[type-arg]  # of whatever it was read from


@schemathesis.serializer("application/dicom")
def as_it_is(_: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, phantom_folder: Path) -> Iterator[RunningAppliance]:
    """All roles in one process, with somebody who may do everything, and the study of a patient."""
    running = all_in_one(tmp_path_factory.mktemp("clinic"))
    running.create_account(roles="physician,administrator,superuser")
    try:
        running.start()
        running.take_in(phantom_folder)
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture(scope="module")
def session(clinic: RunningAppliance) -> Iterator[requests.Session]:
    """Of that somebody."""
    with requests.Session() as opened:
        opened.trust_env = False  # authorities of the environment would go before ours
        opened.verify = str(clinic.authority)
        answer = opened.post(f"{clinic.base_url}/api/session", json={"username": USERNAME, "password": PASSWORD})
        # The token alone says who asks, and the session is not to be ended by who tries how that is done.
        opened.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        opened.cookies.clear()
        opened.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield opened


@pytest.fixture(scope="module")
def operations(clinic: RunningAppliance, session: requests.Session) -> list[Operation]:
    document = from_dict(session.get(f"{clinic.base_url}/api/openapi.json").json())
    document.config.update(base_url=clinic.base_url, tls_verify=str(clinic.authority))
    return [result.ok() for result in document.get_all_operations()]


def test_nothing_that_the_document_allows_surprises_a_door(
    operations: list[Operation], session: requests.Session
) -> None:
    assert len(operations) > 70
    assert failures(operations, session, GenerationMode.POSITIVE) == []


def test_nothing_that_the_document_forbids_is_taken(operations: list[Operation], session: requests.Session) -> None:
    assert failures(operations, session, GenerationMode.NEGATIVE) == []


def test_what_is_found_is_as_it_is_described(
    operations: list[Operation], session: requests.Session, clinic: RunningAppliance
) -> None:
    patients = session.get(f"{clinic.base_url}/api/patients").json()["patients"]  # some were made by the tests above
    studies = {one["id"]: session.get(f"{clinic.base_url}/api/patients/{one['id']}/studies").json() for one in patients}
    ((patient_id, study),) = [(one, study) for one, found in studies.items() for study in found["studies"]]
    details = session.get(f"{clinic.base_url}/api/studies/{study['study_uid']}").json()
    there = {
        "patient_id": patient_id,
        "study": study["study_uid"],
        "study_uid": study["study_uid"],
        "series": details["series"][0]["series_uid"],
    }
    answered = {}
    for operation in operations:
        names = [parameter.name for parameter in operation.path_parameters]
        if operation.method == "get" and all(name in there for name in names):
            case = operation.Case(path_parameters={name: there[name] for name in names})
            response = case.call(session=session)
            case.validate_response(response, checks=_CHECKS)
            answered[operation.label] = response.status_code

    refused = {
        "GET /api/sync/trust": 401,  # not signed
        "GET /api/studies/{study}/series/{series}/regions": 400,  # of no object
    }
    assert {label: status for label, status in answered.items() if status != 200} == refused
    assert len(answered) > 25


def failures(operations: list[Operation], session: requests.Session, mode: GenerationMode) -> list[str]:
    return [said for operation in operations if (said := failure(operation, session, mode))]


def failure(operation: Operation, session: requests.Session, mode: GenerationMode) -> str:
    """What a door did wrong; nothing where it did all right, or where there is nothing to ask in this mode."""

    @hypothesis.settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        case.validate_response(case.call(session=session), checks=_CHECKS)

    try:
        ask()
    except (Failure, FailureGroup) as found:
        return f"{operation.label}: {found}"
    except hypothesis.errors.Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, operation.label
    return ""
