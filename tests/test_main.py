"""The commands as a person meets them: one clear line and a status, never a traceback."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from appliance.http import receive_queue
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one, command
from tests.services.node_parts import ct_slice, encoded


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), input=stdin, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def toplevel(tmp_path: Path) -> Iterator[RunningAppliance]:
    """Only the roles that start quickly."""
    appliance = all_in_one(tmp_path)
    appliance.settings["roles"] = ["toplevel", "institution"]
    del appliance.settings["node"]
    appliance.config.write_text(yaml.safe_dump(appliance.settings))
    yield appliance
    appliance.kill()


def test_check_config_says_the_roles(toplevel: RunningAppliance) -> None:
    done = run("check-config", str(toplevel.config))

    assert done.returncode == 0
    assert "toplevel, institution" in done.stdout


def test_check_config_says_what_the_machine_lacks(toplevel: RunningAppliance) -> None:
    done = run("check-config", str(toplevel.config))

    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    lacks = receive_queue.shortage(receive_queue.allowed_bytes())
    assert notes == ([f"note: {lacks}"] if lacks else [])


def test_check_config_refuses_an_unknown_key_with_status_2(toplevel: RunningAppliance) -> None:
    toplevel.settings["toplevel"]["colour"] = "blue"
    toplevel.config.write_text(yaml.safe_dump(toplevel.settings))

    done = run("check-config", str(toplevel.config))

    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "colour" in done.stderr


def test_a_doctor_where_no_server_runs_says_so_with_status_1_and_the_same_as_json(toplevel: RunningAppliance) -> None:
    in_words = run("doctor", "--config", str(toplevel.config))
    as_json = run("doctor", "--config", str(toplevel.config), "--json")

    assert (in_words.returncode, as_json.returncode) == (1, 1)
    (line,) = [line for line in in_words.stdout.splitlines() if " server " in line]
    assert line.startswith("DANGER")
    assert "does not answer" in line
    findings = {finding["subject"]: finding for finding in json.loads(as_json.stdout)["findings"]}
    assert findings["server"]["verdict"] == "danger"
    assert findings["memory"]["figures"]["total_bytes"] > 0


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_said_in_one_line_with_status_2(toplevel: RunningAppliance, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", toplevel.port))
        if kind == socket.SOCK_STREAM:
            taken.listen()

        done = run("serve", "--config", str(toplevel.config))

    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("appliance:")]
    assert str(toplevel.port) in line


def test_a_page_that_was_not_built_is_said_with_status_2(toplevel: RunningAppliance, tmp_path: Path) -> None:
    toplevel.settings["roles"].append("web")
    toplevel.settings["web"] = {"directory": str(tmp_path / "nothing")}
    toplevel.config.write_text(yaml.safe_dump(toplevel.settings))

    done = run("serve", "--config", str(toplevel.config))

    assert done.returncode == 2
    assert "not built" in done.stderr


def test_create_account_refuses_a_short_password(toplevel: RunningAppliance) -> None:
    done = run(
        "create-account", "--config", str(toplevel.config), "--username", "ana", "--password-stdin", stdin="short\n"
    )

    assert done.returncode == 2
    assert "password" in done.stderr.lower()


def test_create_account_refuses_a_username_that_is_taken(toplevel: RunningAppliance) -> None:
    toplevel.create_account()

    done = run(
        "create-account", "--config", str(toplevel.config), "--username", "ANA", "--password-stdin", stdin=PASSWORD
    )

    assert done.returncode == 1
    assert "already" in done.stderr


def test_import_needs_a_node(toplevel: RunningAppliance, tmp_path: Path) -> None:
    done = run("import", "--config", str(toplevel.config), str(tmp_path))

    assert done.returncode == 2
    assert "node" in done.stderr


def test_import_names_what_it_refuses(tmp_path: Path) -> None:
    appliance = all_in_one(tmp_path / "appliance")
    appliance.directory.mkdir()
    appliance.config.write_text(yaml.safe_dump(appliance.settings))
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "letter.txt").write_text("Dear colleague")

    done = run("import", "--config", str(appliance.config), str(folder))

    assert done.returncode == 0
    assert "0 imported, 0 already there, 1 refused" in done.stdout
    assert "deep/letter.txt" in done.stdout


def test_verify_names_what_is_damaged_with_status_1(tmp_path: Path) -> None:
    appliance = all_in_one(tmp_path / "appliance")
    appliance.directory.mkdir()
    appliance.config.write_text(yaml.safe_dump(appliance.settings))
    (tmp_path / "one.dcm").write_bytes(encoded(ct_slice()))
    run("import", "--config", str(appliance.config), str(tmp_path / "one.dcm"))

    sound = run("verify", "--config", str(appliance.config))
    (place,) = (path for path in (appliance.directory / "instances" / "instances").rglob("*") if path.is_file())
    data = place.read_bytes()
    place.write_bytes(data[:300] + bytes([data[300] ^ 1]) + data[301:])
    damaged = run("verify", "--config", str(appliance.config), "--json")

    assert (sound.returncode, damaged.returncode) == (0, 1)
    assert "1 instances and 0 conflicts read" in sound.stdout
    (fault,) = json.loads(damaged.stdout)["faults"]
    assert (fault["kind"], fault["instance_uid"]) == ("damaged", "1.2.3.1.1")
    assert "Muster" not in damaged.stdout + damaged.stderr


def test_rotate_key_wraps_what_is_kept_by_a_new_key(tmp_path: Path) -> None:
    appliance = all_in_one(tmp_path / "appliance")
    appliance.directory.mkdir()
    appliance.config.write_text(yaml.safe_dump(appliance.settings))
    (tmp_path / "one.dcm").write_bytes(encoded(ct_slice()))
    run("import", "--config", str(appliance.config), str(tmp_path / "one.dcm"))
    key_file = appliance.directory / "keys" / "instances.key"
    old = key_file.read_text()

    done = run("rotate-key", "--config", str(appliance.config))

    assert done.returncode == 0
    assert "1 of 1 files wrapped by the new key" in done.stdout
    new, _, rest = key_file.read_text().partition("\n")
    assert rest == old
    key_file.write_text(new)
    assert run("verify", "--config", str(appliance.config)).returncode == 0
    assert new not in done.stdout + done.stderr


def test_audit_verify_names_the_first_broken_record_with_status_1(tmp_path: Path) -> None:
    appliance = all_in_one(tmp_path / "appliance")
    appliance.directory.mkdir()
    appliance.create_account("ana")
    appliance.create_account("eva")
    run("rotate-key", "--config", str(appliance.config))

    sound = run("audit", "verify", "--config", str(appliance.config))
    database = appliance.directory / appliance.settings["toplevel"]["database"].removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE audit SET at = '2020-01-01T00:00:00.000000+00:00' WHERE sequence = 2")
    broken = run("audit", "verify", "--config", str(appliance.config))

    assert (sound.returncode, broken.returncode) == (0, 1)
    assert "toplevel: 2 records, each as it was written" in sound.stdout
    assert "node: 1 records, each as it was written" in sound.stdout
    assert "toplevel: changed: record 2 is not what was written there; 1 records before it" in broken.stdout


@pytest.mark.parametrize(("form", "first"), [("dicom", "<AuditMessage>"), ("fhir", '{"resourceType":"AuditEvent"')])
def test_audit_export_prints_each_record_on_a_line_and_is_on_record(tmp_path: Path, form: str, first: str) -> None:
    appliance = all_in_one(tmp_path / "appliance")
    appliance.directory.mkdir()
    appliance.create_account("ana")
    export = ("audit", "export", "--config", str(appliance.config), "--format", form)

    everything = run(*export).stdout.splitlines()
    of_another_day = run(*export, "--until", "2020-01-01").stdout

    assert all(line.startswith(first) for line in everything)
    assert [sum(action in line for line in everything) for action in ("create-account", "read-audit")] == [1, 3]
    assert of_another_day == ""


def test_a_token_for_enrolment_is_two_parts_and_on_record(toplevel: RunningAppliance) -> None:
    toplevel.config.write_text(yaml.safe_dump(toplevel.settings))

    made = run("enrolment-token", "--config", str(toplevel.config))

    assert made.returncode == 0
    assert re.fullmatch(r"[\w-]{32}\.[\w-]{43}\n", made.stdout)
    with sqlite3.connect(toplevel.directory / "toplevel.sqlite") as database:
        assert database.execute("SELECT action, actor_kind FROM audit").fetchall() == [
            ("make-enrolment-token", "command")
        ]


def test_enrolling_needs_a_parent_elsewhere(toplevel: RunningAppliance) -> None:
    toplevel.config.write_text(yaml.safe_dump(toplevel.settings))

    refused = run("enrol", "--config", str(toplevel.config), "--token", "a.b")

    assert refused.returncode == 2
    assert "no parent on another machine" in refused.stderr


def test_serving_ends_with_status_0_on_sigterm(toplevel: RunningAppliance) -> None:
    toplevel.start()

    assert toplevel.stop() == 0


def test_several_processes_may_hold_the_connections(toplevel: RunningAppliance) -> None:
    toplevel.settings["listen"]["processes"] = 2
    toplevel.create_account()
    toplevel.start()
    with toplevel.client() as client:
        answer = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD})
        ready, figures = client.get("/readyz").json(), client.get("/metrics")  # which only this machine may see

    assert answer.status_code == 200
    assert ready["parts"]["fronts"] == "ready"
    assert 'appliance_helper_restarts{helper="front"} 0.0' in figures.text
    (granted,) = re.findall(r"^appliance_receive_queue_bytes (\S+)$", figures.text, re.MULTILINE)
    assert float(granted) == min(receive_queue.WANTED_BYTES, receive_queue.allowed_bytes())
    assert toplevel.stop() == 0


def test_a_request_in_flight_is_answered_before_the_end(toplevel: RunningAppliance) -> None:
    toplevel.create_account()
    toplevel.start()
    answers: list[int] = []

    def log_in() -> None:  # Argon2id takes its time, so the stop comes in the middle
        with toplevel.client() as client:
            answer = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD})
            answers.append(answer.status_code)

    asking = threading.Thread(target=log_in)
    asking.start()
    time.sleep(0.05)
    status = toplevel.stop()
    asking.join()

    assert status == 0
    assert answers == [200]


def test_the_log_names_no_patient_and_no_search(tmp_path: Path, toplevel: RunningAppliance) -> None:
    toplevel.create_account()
    toplevel.start()
    with toplevel.client() as client:
        token = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).json()["access_token"]
        client.get(
            "/api/patients", params={"search": "Secretname"}, headers={"Authorization": f"Bearer {token}"}
        ).raise_for_status()
    toplevel.stop()

    log = toplevel.log.read_text()
    assert "/api/patients" in log
    assert "Secretname" not in log
    assert token not in log


def test_tls_1_2_is_refused(toplevel: RunningAppliance) -> None:
    toplevel.start()
    context = ssl.create_default_context(cafile=str(toplevel.authority))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{toplevel.base_url}/healthz", verify=context)
    finally:
        toplevel.stop()
