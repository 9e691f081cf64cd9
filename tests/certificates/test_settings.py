"""What an order for a certificate may say, and what its command does with what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certificates import __main__ as command
from certificates import renewal, settings
from certificates.settings import Refusal

DNS = {"server": "192.0.2.53", "zone": "example.org", "key": {"name": "box-1"}}
ORDER = {
    "directory": "https://acme.example.org/directory",
    "name": "riverside.example.org",
    "contact": "box@example.org",
    "dns": DNS,
}


def written(folder: Path, content: object) -> Path:
    file = folder / "certificate.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_the_record_is_where_the_authority_looks_unless_an_alias_leads_elsewhere(tmp_path):
    plain = settings.read(written(tmp_path, ORDER))
    aliased = settings.read(written(tmp_path, ORDER | {"dns": DNS | {"record": "r1.proofs.example.org"}}))

    assert plain.record == "_acme-challenge.riverside.example.org"
    assert aliased.record == "r1.proofs.example.org"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"directory": "http://acme.example.org"}, r"matching regex '\^https://' - at `\$.directory`"),
        ({"name": "no name"}, r"at `\$.name`"),
        ({"contact": "somebody"}, r"at `\$.contact`"),
        ({"dns": DNS | {"zone": "example.com"}}, "_acme-challenge.riverside.example.org is not in example.com"),
        ({"dns": DNS | {"zone": "ample.org"}}, "_acme-challenge.riverside.example.org is not in ample.org"),
        ({"dns": DNS | {"key": {"name": "k", "algorithm": "hmac-md5"}}}, r"at `\$.dns.key.algorithm`"),
        ({"dns": DNS | {"port": 0}}, r"at `\$.dns.port`"),
        ({"dns": DNS | {"key": {"name": "k", "secret": "s"}}}, "unknown field `secret`"),
        ({"authorities": "here.pem"}, "expected an absolute path"),
    ],
)
def test_a_wrong_order_is_refused_by_what_is_wrong(tmp_path, change, complaint):
    with pytest.raises(Refusal, match=complaint):
        settings.read(written(tmp_path, ORDER | change))


def test_an_account_key_of_another_kind_is_refused(tmp_path):
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "acme-account.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "acme-tsig").write_text("c2VjcmV0")

    with pytest.raises(Refusal, match=r"acme-account\.key is no key of the curve P-256"):
        renewal.Credentials.read(tmp_path)


def test_a_missing_credential_is_refused_by_its_name(tmp_path):
    (tmp_path / "acme-account.key").write_bytes(renewal.new_account_key())

    with pytest.raises(Refusal, match="acme-tsig: No such file"):
        renewal.Credentials.read(tmp_path)


def test_the_command_ends_with_status_1_and_says_why(tmp_path, monkeypatch, capsys):
    words = ["renew", "--config", str(tmp_path / "none"), "--credentials", str(tmp_path), "--into", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["appliance-certificate", *words])

    assert command.main() == 1
    assert "the certificate stays as it is: " in capsys.readouterr().err
