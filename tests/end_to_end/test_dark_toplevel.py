"""A clinic whose central server cannot be reached, or was: its people work on, and everything goes up when the line is back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from tests.end_to_end.browser import open_browser
from tests.end_to_end.county import County, log_in, sign_report
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import RunningAppliance
from tests.services.node_parts import ct_slice, encoded

_TIMEOUT_S = 90
_USER = "ana"


def wait_for(is_so: Callable[[], bool], what: str) -> float:
    """How long it took until it is so, seconds."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < _TIMEOUT_S, f"not within {_TIMEOUT_S} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    made = County(tmp_path_factory.mktemp("county"), clinics=1, central_roles=["toplevel"])
    made.central.settings["toplevel"]["access_token_s"] = 24 * 3600
    made.central.create_account(_USER, institution=made.institution_of(made.clinics[0]))
    made.central.create_account("chief", "superuser")
    try:
        made.start()
        yield made
        made.stop()
    finally:
        made.kill()


@pytest.fixture
def clinic(county: County) -> Iterator[httpx.Client]:
    with county.clinics[0].client() as client:
        wait_for(lambda: log_in(client, _USER).status_code == 200, "the credentials come down")
        yield client
    county.links[0].mend()


def bearer(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def upload(client: httpx.Client, headers: dict[str, str], study: str, patient_id: str) -> None:
    ds = ct_slice(1, study=study, series=f"{study}.1")
    ds.PatientID, ds.PatientName = patient_id, f"Dunkel^{patient_id}"
    answer = client.post("/api/uploads", content=encoded(ds), headers={**headers, "Content-Type": "application/dicom"})
    assert answer.status_code == 201, answer.text


def found(client: httpx.Client, headers: dict[str, str], search: str) -> list[str]:
    answer = client.get("/api/patients", params={"search": search}, headers=headers)
    assert answer.status_code == 200, answer.text
    return [patient["id"] for patient in answer.json()["patients"]]


def is_told(appliance: RunningAppliance) -> bool:
    return appliance._untold() == 0


def test_in_the_dark_they_log_in_search_view_store_and_report_and_all_goes_up_when_it_is_light(
    county: County, clinic: httpx.Client
) -> None:
    upload(clinic, bearer(log_in(clinic, _USER)), "1.2.77", "before")
    wait_for(lambda: len(found(clinic, bearer(log_in(clinic, _USER)), "dunkel before")) == 1, "the patient comes down")
    county.links[0].cut()
    wait_for(lambda: clinic.get("/api/place").json()["is_toplevel_away"], "the clinic notices")

    someone = bearer(log_in(clinic, _USER))
    (patient,) = found(clinic, someone, "dunkel before")
    upload(clinic, someone, "1.2.78", "during")
    clinic.headers.update(someone)
    report = sign_report(clinic, patient, "In the dark")
    written = clinic.get(f"/api/patients/{patient}/reports").json()["reports"]
    assert [(one["id"], one["versions"][-1]["state"]) for one in written] == [(report, "signed")]
    wait_for(lambda: "1.2.78" in waiting(clinic, someone), "the study is in the inbox")
    record = {"family_name": "Nacht", "given_name": "Eva", "birth_date": None, "gender": None}
    created = clinic.post(
        "/api/inbox/1.2.78/patient",
        json={**record, "with_number": True, "seen_patient_id": None},
        headers=someone,
    )
    assert created.status_code in (200, 201), created.text
    assert len(found(clinic, someone, "nacht")) == 1
    study = clinic.get("/dicom-web/studies/1.2.77/metadata", headers=someone)
    assert study.status_code == 200
    with county.central.client() as central:
        chief = bearer(log_in(central, "chief"))
        assert found(central, chief, "nacht") == []

        county.links[0].mend()

        wait_for(lambda: len(found(central, chief, "nacht")) == 1, "the patient goes up")
        assert found(central, chief, "nacht") == found(clinic, someone, "nacht")
    wait_for(lambda: not clinic.get("/api/place").json()["is_toplevel_away"], "the clinic notices the light")


async def test_the_page_from_the_clinics_own_address_says_that_the_central_server_is_away_and_works(
    county: County, clinic: httpx.Client, tmp_path: Path
) -> None:
    upload(clinic, bearer(log_in(clinic, _USER)), "1.2.90", "page")
    wait_for(lambda: len(found(clinic, bearer(log_in(clinic, _USER)), "dunkel page")) == 1, "the patient comes down")
    county.links[0].cut()
    wait_for(lambda: clinic.get("/api/place").json()["is_toplevel_away"], "the clinic notices")
    box = county.clinics[0]
    async with open_browser(tmp_path, authority=box.authority, hosts={box.host: "127.0.0.1"}) as context:
        physician = await Physician.at(context, box)
        note = physician.find("place-note")
        await expect(note).to_contain_text("The central server cannot be reached (last heard")
        await expect(note).to_contain_text("Clinic 1 works on by itself")

        await physician.log_in()
        await expect(note).to_contain_text("cannot be reached")
        await physician.open_patient("dunkel page")
        await expect(physician.find("study-row")).to_have_count(1)
        county.links[0].mend()
        wait_for(lambda: not clinic.get("/api/place").json()["is_toplevel_away"], "the clinic notices the light")
        await physician.page.reload()

        await expect(note).to_contain_text("it shows what is known here")
        assert physician.faults == []


def waiting(client: httpx.Client, headers: dict[str, str]) -> list[str]:
    answer = client.get("/api/inbox", headers=headers)
    return [one["study_uid"] for one in answer.json()["studies"]]


def test_a_clinic_that_starts_in_the_dark_knows_its_people_and_their_tokens(
    county: County, clinic: httpx.Client
) -> None:
    with county.central.client() as central:
        of_toplevel = bearer(log_in(central, _USER))
    county.links[0].cut()
    box = county.clinics[0]
    clinic.close()  # a client that does not read would hold up the stop
    assert box.stop() == 0

    box.start()

    with box.client() as client:
        assert log_in(client, _USER).status_code == 200
        assert client.get("/api/inbox", headers=of_toplevel).status_code == 200


def test_who_is_shut_out_is_out_at_the_clinic_at_once_while_the_line_is_up(
    county: County, clinic: httpx.Client
) -> None:
    someone = bearer(log_in(clinic, _USER))
    with county.central.client() as central:
        of_toplevel = bearer(log_in(central, _USER))
        account = central.get("/api/account", headers=of_toplevel).json()
        chief = bearer(log_in(central, "chief"))
        path = f"/api/accounts/{account['id']}/activity"
        assert central.put(path, json={"is_active": False}, headers=chief).status_code == 204
        try:
            refused = wait_for(lambda: log_in(clinic, _USER).status_code == 403, "nobody new is let in")
            for token in (someone, of_toplevel):
                wait_for(lambda token=token: clinic.get("/api/inbox", headers=token).status_code == 401, "tokens end")  # type: ignore[misc]
            print(f"shut out at the clinic {refused:.1f} s after it was said at the toplevel")
            assert refused < 60
        finally:
            assert central.put(path, json={"is_active": True}, headers=chief).status_code == 204
