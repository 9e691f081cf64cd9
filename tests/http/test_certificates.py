"""Certificates of our own making, judged by OpenSSL where it has an opinion."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from appliance.domain.errors import SettingsError
from appliance.http.certificates import CertificateFiles, check, ensure_self_made

NAMES = ["box.test", "127.0.0.1", "::1"]


def leaf_of(files: CertificateFiles) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes())


def test_openssl_accepts_the_chain_strictly_for_each_name(tmp_path: Path) -> None:
    files = ensure_self_made(tmp_path, NAMES)

    for wanted in (["-verify_hostname", "box.test"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]):
        command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(files.authority)]
        subprocess.run([*command, *wanted, str(files.certificate)], check=True, capture_output=True)


def test_openssl_refuses_another_name(tmp_path: Path) -> None:
    files = ensure_self_made(tmp_path, NAMES)

    command = ["openssl", "verify", "-CAfile", str(files.authority), "-verify_hostname", "other.test"]
    assert subprocess.run([*command, str(files.certificate)], check=False, capture_output=True).returncode != 0


def test_the_server_certificate_is_short_lived_and_signs_nothing(tmp_path: Path) -> None:
    leaf = leaf_of(ensure_self_made(tmp_path, NAMES))

    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=398)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_authority_signs_servers_only(tmp_path: Path) -> None:
    files = ensure_self_made(tmp_path, NAMES)
    assert files.authority

    constraints = x509.load_pem_x509_certificate(files.authority.read_bytes()).extensions.get_extension_for_class(
        x509.BasicConstraints
    )

    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    ensure_self_made(tmp_path / "tls", NAMES)

    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "tls").iterdir()} == {0o600}


def test_a_second_call_keeps_everything(tmp_path: Path) -> None:
    first = ensure_self_made(tmp_path, NAMES)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert ensure_self_made(tmp_path, list(reversed(NAMES))) == first
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("days", "is_renewed"), [(300, False), (380, True)])
def test_it_is_renewed_a_month_before_its_end_by_the_same_authority(
    tmp_path: Path, days: int, is_renewed: bool
) -> None:
    files = ensure_self_made(tmp_path, NAMES)
    assert files.authority
    authority, leaf = files.authority.read_bytes(), leaf_of(files)

    ensure_self_made(tmp_path, NAMES, now=datetime.now(UTC) + timedelta(days=days))

    assert (leaf_of(files) != leaf) is is_renewed
    assert files.authority.read_bytes() == authority


def test_new_names_make_a_new_certificate(tmp_path: Path) -> None:
    files = ensure_self_made(tmp_path, NAMES)

    ensure_self_made(tmp_path, [*NAMES, "second.test"])

    names = leaf_of(files).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "second.test" in names.get_values_for_type(x509.DNSName)


def test_a_damaged_pair_is_made_again(tmp_path: Path) -> None:
    files = ensure_self_made(tmp_path, NAMES)
    files.key.write_bytes(ensure_self_made(tmp_path / "other", NAMES).key.read_bytes())

    check(ensure_self_made(tmp_path, NAMES))


@pytest.mark.parametrize("names", [[], [""], ["a b"], ["-x.test"], ["https://box.test"]])
def test_names_that_are_none_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(SettingsError):
        ensure_self_made(tmp_path, names)


def test_check_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.pem"):
        check(CertificateFiles(tmp_path / "absent.pem", tmp_path / "absent.key"))


def test_check_refuses_a_key_of_another_certificate(tmp_path: Path) -> None:
    one, other = ensure_self_made(tmp_path / "one", NAMES), ensure_self_made(tmp_path / "other", NAMES)

    with pytest.raises(SettingsError, match="does not belong"):
        check(CertificateFiles(one.certificate, other.key))


def test_check_refuses_what_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")

    with pytest.raises(SettingsError, match="PEM"):
        check(CertificateFiles(tmp_path / "text", tmp_path / "text"))


def test_check_warns_of_a_certificate_that_has_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check(ensure_self_made(tmp_path, NAMES, now=datetime.now(UTC) - timedelta(days=500)))

    assert "browsers will refuse it" in caplog.text


def test_python_trusts_it_with_the_authority_file(tmp_path: Path) -> None:
    files = ensure_self_made(tmp_path, NAMES)

    assert len(ssl.create_default_context(cafile=str(files.authority)).get_ca_certs()) == 1
