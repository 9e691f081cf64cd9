"""Credentials sealed to this machine, by the real systemd-creds with a host key of the test's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from provisioning import credentials, site, site_parts
from zfs import drill_reports

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-creds") is None or os.geteuid() != 0,
    reason="systemd-creds seals for root only, where it is installed",
)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is in the folder of the test, and so is what is sealed."""
    monkeypatch.setenv("SYSTEMD_CREDENTIAL_SECRET", str(tmp_path / "credential.secret"))
    monkeypatch.setattr(credentials, "FOLDER", tmp_path)


def test_what_was_sealed_is_unsealed_by_its_name_and_cannot_be_read_otherwise(tmp_path: Path) -> None:
    credentials.seal("acme-tsig", b"a secret\n", "host")

    assert credentials.unsealed("acme-tsig") == b"a secret\n"
    assert b"a secret" not in (tmp_path / "acme-tsig").read_bytes()
    shutil.copy(tmp_path / "acme-tsig", tmp_path / "another")
    assert credentials.unsealed("another") is None, "one is not taken for the other"


def test_what_another_machine_sealed_or_nobody_is_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.seal("acme-tsig", b"a secret\n", "host")
    monkeypatch.setenv("SYSTEMD_CREDENTIAL_SECRET", str(tmp_path / "another.secret"))

    assert credentials.unsealed("acme-tsig") is None
    assert credentials.unsealed("none") is None


def test_a_box_makes_the_key_of_its_drills_once_and_tells_its_fingerprint(tmp_path: Path) -> None:
    box = site.Site(settings={}, pool=site.Pool(unlock="none"))
    assert not site_parts._look_at_drill_key().is_well

    site_parts._make_drill_key(box)

    key = drill_reports.read_key(credentials.unsealed("drill.key") or b"")
    found = site_parts._look_at_drill_key()
    assert found.is_well
    assert drill_reports.fingerprint(key.public_key()) in found.told
