"""A certificate from a real authority (Pebble), proven by a real name server (Knot)."""

from __future__ import annotations

import base64
import contextlib
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from appliance.http import certificates as served
from certificates import files, renewal
from certificates.name_server import Zone
from certificates.renewal import Credentials, renew
from certificates.settings import Key, NameServer, Order, Refusal
from tests.certificates import servers
from tests.end_to_end.running import free_port

pytestmark = pytest.mark.skipif(bool(servers.MISSING), reason=f"not installed: {', '.join(servers.MISSING)}")
NAME = f"clinic.{servers.ZONE}"


@pytest.fixture(scope="module")
def name_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.NameServer]:
    with servers.running_name_server(tmp_path_factory.mktemp("knot")) as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory, name_server: servers.NameServer) -> Iterator[servers.Authority]:
    with servers.running_authority(tmp_path_factory.mktemp("pebble"), name_server) as server:
        yield server


@pytest.fixture(scope="module")
def credentials() -> Credentials:
    key = load_pem_private_key(renewal.new_account_key(), password=None)
    return Credentials(key, servers.SECRET)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def order(authority: servers.Authority, name_server: servers.NameServer) -> Order:
    dns = NameServer(server="127.0.0.1", port=name_server.port, zone=servers.ZONE, key=Key(name=servers.KEY))
    return Order(
        directory=authority.directory, authorities=authority.authorities, name=NAME,
        contact="box@riverside.test", dns=dns,
    )  # fmt: skip


@pytest.fixture(scope="module")
def issued(order: Order, credentials: Credentials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the authority gave for the order, for the first time."""
    folder = tmp_path_factory.mktemp("issued")
    assert renew(order, credentials, folder, now()).startswith(f"{NAME}: a new one, because there was none; ")
    return folder


@pytest.fixture
def there(issued: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(issued, tmp_path / "there"))


def now() -> datetime:
    return datetime.now(UTC)


def test_what_the_authority_gives_is_used_by_the_server_and_the_record_is_gone(issued, name_server):
    served.check(served.CertificateFiles(files.chain_file(issued), files.key_file(issued)))

    assert len(x509.load_pem_x509_certificates(files.chain_file(issued).read_bytes())) > 1, "with those in between"
    assert name_server.values(f"_acme-challenge.{NAME}") == set()


def test_the_key_is_for_the_server_and_nobody_else(issued):
    assert stat.S_IMODE(files.key_file(issued).stat().st_mode) == 0o640


def test_nothing_is_done_until_a_third_of_its_life_is_left_and_then_it_is_another_with_another_key(
    order, credentials, there
):
    first = files.current(there)
    key = files.key_file(there).read_bytes()
    assert first is not None
    life = first.ends - first.begins

    early = renew(order, credentials, there, first.begins + 0.6 * life)
    assert early.endswith("nothing to do")
    assert files.key_file(there).read_bytes() == key

    late = renew(order, credentials, there, first.begins + 0.7 * life)
    assert "a new one, because" in late
    assert files.key_file(there).read_bytes() != key


def test_another_name_is_another_certificate(order, credentials, there):
    told = renew(msgspec.structs.replace(order, name=f"second.{servers.ZONE}"), credentials, there, now())

    assert f"because there was one for {NAME}" in told


def test_a_key_that_is_not_the_certificates_is_as_none(there):
    files.key_file(there).write_bytes(renewal.new_account_key())

    assert files.current(there) is None


def test_a_name_whose_record_is_an_alias_is_proven_where_the_alias_leads(order, credentials, tmp_path):
    aliased = msgspec.structs.replace(
        order, name=f"aliased.{servers.ZONE}", dns=msgspec.structs.replace(order.dns, record=f"proofs.{servers.ZONE}")
    )

    assert "a new one" in renew(aliased, credentials, tmp_path, now())


def test_a_key_that_may_not_change_the_zone_is_refused_by_name(order, credentials, tmp_path):
    addresses = msgspec.structs.replace(order.dns, key=Key(name=servers.ADDRESSES_KEY))

    with pytest.raises(Refusal, match=f"does not take the key addresses to add _acme-challenge.{NAME}: "):
        renew(msgspec.structs.replace(order, dns=addresses), credentials, tmp_path, now())

    assert files.current(tmp_path) is None


def test_a_wrong_secret_is_refused_by_the_name_of_its_key(order, credentials, tmp_path):
    wrong = Credentials(credentials.account, base64.b64encode(b"another secret").decode())

    with pytest.raises(Refusal, match=r"127\.0\.0\.1 does not take the key box-1 to add"):
        renew(order, wrong, tmp_path, now())


def test_a_zone_that_the_name_server_does_not_have_is_refused_by_its_name(order, credentials, tmp_path):
    dns = msgspec.structs.replace(order.dns, zone="elsewhere.test")
    strange = msgspec.structs.replace(order, name="clinic.elsewhere.test", dns=dns)

    with pytest.raises(Refusal, match=r"127\.0\.0\.1 does not have the zone elsewhere\.test: REFUSED"):
        renew(strange, credentials, tmp_path, now())


def test_a_secret_that_is_not_base64_is_refused(order, credentials, tmp_path):
    with pytest.raises(Refusal, match="the secret of the key box-1 is not base64"):
        renew(order, Credentials(credentials.account, "?"), tmp_path, now())


def test_an_authority_that_refuses_the_name_is_told_with_its_own_words(order, credentials, tmp_path):
    blocked = msgspec.structs.replace(order, name=f"blocked.{servers.ZONE}")

    with pytest.raises(Refusal, match=r"dir: .*forbidden by policy: .blocked\.riverside\.test. \(rejectedIdentifier\)"):
        renew(blocked, credentials, tmp_path, now())


def test_an_authority_that_does_not_find_the_record_is_told_with_its_own_words(order, credentials, tmp_path):
    """The record goes where the name is no alias to."""
    elsewhere = msgspec.structs.replace(order.dns, record=f"elsewhere.{servers.ZONE}")

    with pytest.raises(Refusal, match=r"dir: .*TXT.*_acme-challenge.*\(unauthorized\)"):
        renew(msgspec.structs.replace(order, dns=elsewhere), credentials, tmp_path, now())


def test_a_directory_that_does_not_answer_is_refused_and_the_certificate_stays(order, credentials, there):
    before = files.chain_file(there).read_bytes()
    away = msgspec.structs.replace(order, directory=f"https://127.0.0.1:{free_port()}/dir")

    with pytest.raises(Refusal, match=r"the directory https://127\.0\.0\.1:\d+/dir is not reachable"):
        renew(away, credentials, there, now() + timedelta(days=365 * 10))

    assert files.chain_file(there).read_bytes() == before


def test_a_directory_that_does_not_answer_is_no_matter_while_the_certificate_is_good(order, credentials, there):
    away = msgspec.structs.replace(order, directory=f"https://127.0.0.1:{free_port()}/dir")

    assert renew(away, credentials, there, now()).endswith("nothing to do")


def test_a_directory_of_an_unknown_authority_is_not_believed(order, credentials, tmp_path):
    with pytest.raises(Refusal, match=r"is not reachable: .*CERTIFICATE_VERIFY_FAILED"):
        renew(msgspec.structs.replace(order, authorities=None), credentials, tmp_path, now())


def test_a_name_server_that_does_not_answer_is_refused_by_its_address(order, credentials, tmp_path):
    away = msgspec.structs.replace(order.dns, port=free_port())

    with pytest.raises(Refusal, match=rf"the name server 127\.0\.0\.1, port {away.port}, does not answer"):
        renew(msgspec.structs.replace(order, dns=away), credentials, tmp_path, now())


def test_a_record_that_cannot_be_removed_is_told_and_costs_no_certificate(order, tmp_path, caplog):
    with contextlib.ExitStack() as ends:
        server = ends.enter_context(servers.running_name_server(tmp_path))
        zone = Zone(msgspec.structs.replace(order.dns, port=server.port), servers.SECRET)
        with zone.shown(order.record, "a-proof"):
            assert server.values(order.record) == {"a-proof"}
            ends.close()

    assert f"the record {order.record} stays in the zone: the name server 127.0.0.1" in caplog.text


def test_what_is_no_directory_is_refused(order, credentials, tmp_path):
    other = order.directory.replace("/dir", "/nonce-plz")

    with pytest.raises(Refusal, match=r"is not reachable|is no directory of ACME"):
        renew(msgspec.structs.replace(order, directory=other), credentials, tmp_path, now())
