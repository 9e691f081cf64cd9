"""The DICOM network of a running appliance: what storescu sends, a physician's browser lists."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one, free_port


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    made = all_in_one(tmp_path_factory.mktemp("dimse"))
    made.settings["node"]["dimse"] = {
        "ae_title": "BOX",
        "port": free_port(),
        "peers": [{"ae_title": "CT1", "hosts": ["127.0.0.1"], "verbs": ["echo", "store", "find"]}],
    }
    made.create_account()
    try:
        made.start()
        yield made
    finally:
        made.kill()


def call(appliance: RunningAppliance, program: str, *arguments: str | Path, title: str = "CT1") -> int:
    """Exit status of one of DCMTK's requestors."""
    port = str(appliance.settings["node"]["dimse"]["port"])
    command = [program, "-aet", title, "-aec", "BOX", "127.0.0.1", port, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def figure(appliance: RunningAppliance, line: str) -> float:
    """A line of /metrics; 0 if it is not there."""
    with appliance.client() as client:
        found = re.search(rf"^{re.escape(line)} ([0-9.e+]+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0


def until_figure(appliance: RunningAppliance, line: str, value: float) -> None:
    deadline = time.monotonic() + 20
    while figure(appliance, line) < value:
        assert time.monotonic() < deadline, line
        time.sleep(0.1)


def ready(appliance: RunningAppliance) -> str:
    """What readiness says of it."""
    with appliance.client() as client:
        return str(client.get("/readyz").json()["parts"]["dimse"])


def processes(appliance: RunningAppliance) -> list[int]:
    """Ids of the processes that serve it."""
    assert appliance.process is not None
    children = Path(f"/proc/{appliance.process.pid}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    return [pid for pid in pids if b"appliance.dimse.process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_readiness_counts_the_dicom_network_in(appliance: RunningAppliance) -> None:
    assert ready(appliance) == "ready"


def test_an_instance_that_a_modality_sends_comes_to_its_patient(
    appliance: RunningAppliance, phantom_folder: Path
) -> None:
    files = sorted(phantom_folder.rglob("*.dcm"))[:3]

    assert call(appliance, "storescu", "-R", "-xe", *files) == 0

    until_figure(appliance, 'appliance_instances_received_total{outcome="stored"}', 3)
    with appliance.client() as client:
        token = client.post(
            "/api/session", json={"username": USERNAME, "password": PASSWORD}, headers={"Origin": appliance.base_url}
        ).json()["access_token"]
        deadline = time.monotonic() + 20
        while not client.get("/api/patients", headers={"Authorization": f"Bearer {token}"}).json()["patients"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_stranger_is_rejected_and_counted(appliance: RunningAppliance) -> None:
    assert call(appliance, "echoscu", title="NOBODY") != 0

    until_figure(appliance, 'appliance_dimse_associations_total{outcome="unknown-peer"}', 1)


def test_a_process_of_it_that_dies_is_started_again(appliance: RunningAppliance) -> None:
    first = processes(appliance)
    os.kill(first[0], signal.SIGKILL)

    until_figure(appliance, 'appliance_helper_restarts{helper="dimse"}', 1)
    deadline = time.monotonic() + 20
    while ready(appliance) != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert call(appliance, "echoscu") == 0
    assert processes(appliance) != first


def test_no_name_of_a_patient_is_in_the_log(appliance: RunningAppliance) -> None:
    assert "Phantom" not in appliance.log.read_text()


def test_stopping_the_appliance_stops_it_too(appliance: RunningAppliance) -> None:
    """The last one: nobody starts it again."""
    running = processes(appliance)
    assert len(running) == 2

    assert appliance.stop() == 0

    assert [pid for pid in running if Path(f"/proc/{pid}").exists()] == []
