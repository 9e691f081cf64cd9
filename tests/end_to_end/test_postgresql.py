"""A whole appliance whose rows are in PostgreSQL: taken in, found, shown, sent, deleted, and there again after kill -9."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest

from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one, free_port
from tests.postgresql import Postgresql

_DICOM = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory, postgresql: Postgresql) -> Iterator[RunningAppliance]:
    """All roles in one process and their rows in one database, since nothing says that each must have its own."""
    made = all_in_one(tmp_path_factory.mktemp("postgresql"))
    made.own_group = True
    url = postgresql.new_database()
    for role in ("toplevel", "institution", "node"):
        made.settings[role]["database"] = url
    made.settings["node"]["dimse"] = {
        "ae_title": "BOX",
        "port": free_port(),
        "peers": [{"ae_title": "CT1", "hosts": ["127.0.0.1"], "verbs": ["echo", "store", "find", "get"]}],
    }
    made.create_account()
    made.create_account("chief", "superuser")
    try:
        made.start()
        yield made
    finally:
        kill(made)


def kill(appliance: RunningAppliance) -> None:
    """All of its processes, with no time to tidy up."""
    if appliance.process is not None and appliance.process.poll() is None:
        os.killpg(appliance.process.pid, signal.SIGKILL)
        appliance.process.wait()


@pytest.fixture
def client(appliance: RunningAppliance) -> Iterator[httpx.Client]:
    """Somebody who may do everything."""
    with appliance.client() as client:
        answer = client.post("/api/session", json={"username": "chief", "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture(scope="module")
def files(phantom_folder: Path) -> list[Path]:
    return sorted(phantom_folder.rglob("*.dcm"))[:12]


def call(appliance: RunningAppliance, program: str, *arguments: str | Path) -> str:
    """What one of DCMTK's requestors said; fails if it failed."""
    port = str(appliance.settings["node"]["dimse"]["port"])
    command = [program, "-aet", "CT1", "-aec", "BOX", "127.0.0.1", port, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def found(client: httpx.Client, study: str) -> set[str]:
    """The instances of a study, by QIDO-RS."""
    answer = client.get(f"/dicom-web/studies/{study}/instances")
    return {one["00080018"]["Value"][0] for one in answer.json()} if answer.status_code == 200 else set()


def uids(files: list[Path]) -> set[str]:
    return {str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files}


def test_what_comes_by_every_door_is_found_shown_and_sent(
    appliance: RunningAppliance, client: httpx.Client, files: list[Path], tmp_path: Path
) -> None:
    uploaded = [client.post("/api/uploads", content=f.read_bytes(), headers=_DICOM).status_code for f in files[:4]]
    posted = [client.post("/dicom-web/studies", content=f.read_bytes(), headers=_DICOM).status_code for f in files[4:8]]
    call(appliance, "storescu", "-xe", *files[8:])

    first = pydicom.dcmread(files[0])
    study, series = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
    assert (uploaded, posted) == ([201] * 4, [200] * 4)
    assert found(client, study) == uids(files)
    by_name = client.get("/dicom-web/studies", params={"PatientName": f"{str(first.PatientName)[:4].lower()}*"})
    assert [one["0020000D"]["Value"] for one in by_name.json()] == [[study]]
    listed = call(
        appliance, "findscu", "-v", "-S", "-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={study}",
        "-k", "SeriesInstanceUID",
    )  # fmt: skip
    assert series in listed
    address = f"/dicom-web/studies/{study}/series/{series}"
    for picture in ("renderedmpr", "rendered3d", f"instances/{first.SOPInstanceUID}/rendered"):
        answer = client.get(f"{address}/{picture}", headers={"Accept": "image/png"})
        assert (answer.status_code, answer.content[:4]) == (200, b"\x89PNG"), picture
    call(
        appliance, "getscu", "-S", "-od", tmp_path, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"
    )  # fmt: skip
    assert uids(list(tmp_path.iterdir())) == uids(files)


def test_the_patient_has_come_up_to_the_toplevel(appliance: RunningAppliance) -> None:
    with appliance.client() as client:
        token = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).json()["access_token"]
        deadline = time.monotonic() + 30
        while not client.get("/api/patients", headers={"Authorization": f"Bearer {token}"}).json()["patients"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_all_is_there_after_kill_9_under_load(
    appliance: RunningAppliance, client: httpx.Client, files: list[Path]
) -> None:
    first = pydicom.dcmread(files[0])
    study = str(first.StudyInstanceUID)
    held = found(client, study)
    ds = pydicom.dcmread(files[0])
    acknowledged = set()
    for number in range(12):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}"
        path = appliance.directory / "another.dcm"
        ds.save_as(path)
        if client.post("/api/uploads", content=path.read_bytes(), headers=_DICOM).status_code == 201:
            acknowledged.add(f"1.2.9.{number}")
    sending = subprocess.Popen(
        ["storescu", "-xe", "-aet", "CT1", "-aec", "BOX", "127.0.0.1",
         str(appliance.settings["node"]["dimse"]["port"]), *map(str, files * 20)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(0.3)
    kill(appliance)
    sending.wait(60)

    appliance.start()

    assert len(acknowledged) == 12
    assert found(client, study) == held | acknowledged
    call(appliance, "echoscu")
    assert "0 faults" in appliance.run("verify", "--config", str(appliance.config))


def test_what_is_deleted_is_gone_and_on_record(
    appliance: RunningAppliance, client: httpx.Client, files: list[Path]
) -> None:
    study = str(pydicom.dcmread(files[0]).StudyInstanceUID)

    assert client.delete(f"/dicom-web/studies/{study}").status_code == 204

    assert found(client, study) == set()
    assert client.get(f"/dicom-web/studies/{study}/metadata").status_code == 404
    proof = appliance.run("audit", "verify", "--config", str(appliance.config))
    assert re.search(r"^node: \d+ records, each as it was written", proof, re.MULTILINE)
    assert re.search(r"^toplevel: [1-9]\d* records, each as it was written", proof, re.MULTILINE)
