"""The part of a box that gets its certificate by ACME: what it looks at, and what it writes for the service."""

from __future__ import annotations

import msgspec
import yaml

from certificates import settings
from provisioning import acme_parts, credentials, site
from provisioning.installation import ROOT
from provisioning.site import Acme

EXAMPLE = ROOT / "config" / "site.yaml"


def of_the_example() -> Acme:
    certificate = site.read(EXAMPLE).certificate
    assert certificate is not None
    assert certificate.acme is not None
    return certificate.acme


def test_what_is_written_for_the_service_is_the_order_without_where_its_secret_came_from(tmp_path):
    acme = msgspec.structs.replace(of_the_example(), authorities=tmp_path / "roots.pem")
    file = tmp_path / "certificate.yaml"

    file.write_bytes(acme_parts._settings_text(acme))

    assert settings.read(file) == acme.order
    assert b"secret" not in file.read_bytes()


def test_the_example_has_the_server_read_what_the_service_writes():
    assert acme_parts.unfit(site.read(EXAMPLE).settings) == []


def test_a_server_that_would_read_another_certificate_is_told():
    read = yaml.safe_load(EXAMPLE.read_text())["settings"]
    read["listen"]["certificate"]["file"] = "/etc/appliance/certificate.pem"

    (complaint,) = acme_parts.unfit(read)

    assert "does not name /var/lib/appliance-certificate/certificate.pem" in complaint


def test_a_box_that_has_nothing_yet_says_all_that_is_missing(tmp_path, monkeypatch):
    secret = tmp_path / "tsig"
    secret.write_text("c2VjcmV0\n")
    monkeypatch.setattr(credentials, "FOLDER", tmp_path / "credstore")
    monkeypatch.setattr(acme_parts, "FOLDER", tmp_path / "none")
    acme = msgspec.structs.replace(of_the_example(), secret_from=secret)

    found = acme_parts.part(acme, sealed_to="host").look()

    assert not found.is_well
    for what in (
        "certificate.yaml",
        "acme-account.key",
        f"acme-tsig, as {secret} has it",
        "a certificate for riverside",
    ):
        assert what in found.told
