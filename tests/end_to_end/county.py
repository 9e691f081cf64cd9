"""A central box and clinics' boxes as processes of their own, with lines between them that can be cut."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import yaml

from tests.end_to_end.link import Link
from tests.end_to_end.running import PASSWORD, RunningAppliance, all_in_one, free_port

CENTRAL = "health.test"


class County:
    """One toplevel and clinics below it, all on this machine; not started."""

    def __init__(
        self,
        folder: Path,
        *,
        clinics: int,
        central_roles: Sequence[str] = ("web", "toplevel"),
        database: str | None = None,
    ) -> None:
        """``database`` is the toplevel's, by its URL; its own file without one."""
        self.central = _box(folder / "central", CENTRAL, list(central_roles))
        if database is not None:
            self.central.settings["toplevel"]["database"] = database
        self.clinics = [
            _box(folder / f"clinic-{number}", f"clinic-{number}.test", ["web", "institution", "node"])
            for number in range(1, clinics + 1)
        ]
        self.links = [Link(free_port(), self.central.port) for _ in self.clinics]
        for number, (clinic, link) in enumerate(zip(self.clinics, self.links, strict=True), 1):
            institution, node = clinic.settings["institution"], clinic.settings["node"]
            institution.update(id=str(UUID(int=number)), name=f"Clinic {number}")
            node.update(id=str(UUID(int=100 + number)), name=f"Node {number}")
            institution["parent"] = {
                "base_url": f"https://localhost:{link.port}",
                "key": "institution.pem",
                "authorities": str(self.central.authority),
            }
            clinic.settings["allowed_origins"] = [self.central.origin]
        origins = [clinic.origin for clinic in self.clinics]
        if "web" in central_roles:
            self.central.settings["web"] = {"origins": origins}

    @property
    def all(self) -> list[RunningAppliance]:
        return [self.central, *self.clinics]

    def institution_of(self, clinic: RunningAppliance) -> str:
        return str(clinic.settings["institution"]["id"])

    def start(self) -> None:
        """All of them, enrolled."""
        self.central.start()
        for clinic, link in zip(self.clinics, self.links, strict=True):
            link.start()
            token = self.central.run("enrolment-token", "--config", str(self.central.config))
            clinic.config.write_text(yaml.safe_dump(clinic.settings))
            parent = clinic.settings["institution"]["parent"]["base_url"]
            enrol = ("enrol", "--config", str(clinic.config), "--toplevel", parent, "--token", "-")
            assert "enrolled at" in clinic.run(*enrol, stdin=token)
            clinic.start()

    def stop(self) -> None:
        """In order; each ends well."""
        for box in reversed(self.all):
            assert box.stop() == 0

    def kill(self) -> None:
        for box in self.all:
            kill_group(box)
        for link in self.links:
            with contextlib.suppress(RuntimeError):
                link.stop()


def kill_group(appliance: RunningAppliance) -> None:
    """It and its helpers, with no time to tidy up."""
    if appliance.process is not None and appliance.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(appliance.process.pid, signal.SIGKILL)
        appliance.process.wait()


def log_in(client: httpx.Client, username: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/api/session", json={"username": username, "password": password})


def keep_draft(client: httpx.Client, patient_id: str, findings: str) -> httpx.Response:
    """A new report that is not signed."""
    draft = {"patient_id": patient_id, "findings": findings}
    return client.put(f"/api/reports/{uuid4()}/draft", json=draft, headers={"If-None-Match": "*"})


def sign_report(client: httpx.Client, patient_id: str, findings: str) -> str:
    """A new report that is signed; its id."""
    draft = keep_draft(client, patient_id, findings)
    assert draft.status_code == 201, draft.text
    report_id = str(draft.json()["id"])
    signed = client.post(f"/api/reports/{report_id}/signature", headers={"If-Match": draft.headers["ETag"]})
    assert signed.status_code == 200, signed.text
    return report_id


def _box(folder: Path, host: str, roles: list[str]) -> RunningAppliance:
    folder.mkdir()
    box = all_in_one(folder, host=host)
    box.own_group = True
    for role in ("toplevel", "institution", "node"):
        if role not in roles:
            del box.settings[role]
    box.settings["roles"] = roles
    return box
