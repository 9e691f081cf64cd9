"""The folder of a demonstration and what can be wrong before it starts."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
import yaml

from appliance.settings import load
from provisioning.data_folder import DataFolder, Place, make_password
from provisioning.demonstration import refuse_used_port
from provisioning.progress import Refusal

TEMPLATE = Path(__file__).resolve().parents[2] / "config" / "all-in-one.yaml"


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data", TEMPLATE)


def test_the_settings_of_a_new_folder_are_right_and_for_all_four_roles(data):
    place = data.prepare(None, None)
    settings = load(data.settings_file)

    assert place == Place("127.0.0.1", 8443)
    assert set(settings.roles) == {"web", "toplevel", "institution", "node"}
    assert settings.toplevel.base_url == settings.node.base_url == "https://localhost:8443"
    assert settings.node.instances.key.is_relative_to(data.settings_file.parent)


def test_two_folders_are_two_institutions(tmp_path):
    ids = set()
    for name in ("one", "two"):
        folder = DataFolder(tmp_path / name, TEMPLATE)
        folder.prepare(None, None)
        ids.add(load(folder.settings_file).institution.id)
    assert len(ids) == 2


def test_only_the_owner_can_read_the_folder_and_its_settings(data):
    data.prepare(None, None)

    assert stat.S_IMODE(data.settings_file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(data.settings_file.stat().st_mode) == 0o600


def test_a_second_run_leaves_the_settings_as_they_are(data):
    data.prepare(None, 9443)
    data.settings_file.write_text("# by hand\n" + data.settings_file.read_text())
    before = data.settings_file.read_text()

    assert data.prepare(None, None) == Place("127.0.0.1", 9443)
    assert data.settings_file.read_text() == before


def test_another_port_changes_only_the_place(data):
    data.prepare(None, None)
    before = yaml.safe_load(data.settings_file.read_text())
    data.prepare(None, 9443)
    after = yaml.safe_load(data.settings_file.read_text())

    assert after["listen"]["port"] == 9443
    assert after["node"]["base_url"] == "https://localhost:9443"
    assert after["node"]["id"] == before["node"]["id"]


def test_settings_that_were_spoilt_are_refused_with_a_mend(data):
    data.prepare(None, None)
    data.settings_file.write_text("listen: 3\n")
    with pytest.raises(Refusal) as caught:
        data.prepare(None, None)
    assert "remove it" in caught.value.mend


@pytest.mark.parametrize(
    ("address", "base_url"),
    [
        ("127.0.0.1", "https://localhost:8443"),
        ("::1", "https://localhost:8443"),
        ("0.0.0.0", f"https://{socket.gethostname()}:8443"),
        ("192.0.2.7", "https://192.0.2.7:8443"),
        ("2001:db8::7", "https://[2001:db8::7]:8443"),
        ("box.example.org", "https://box.example.org:8443"),
    ],
)
def test_browsers_are_told_a_name_that_they_can_reach(address, base_url):
    place = Place(address, 8443)

    assert place.base_url == base_url
    assert place.host in place.certificate_names


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_refused_with_another_one_named(kind):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]

        with pytest.raises(Refusal, match="in use") as caught:
            refuse_used_port(Place("127.0.0.1", port))

    assert f"--port {port + 1}" in caught.value.mend
    refuse_used_port(Place("127.0.0.1", port))


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(Refusal):
        refuse_used_port(Place("no-such-host.invalid", 8443))


def test_passwords_are_long_readable_and_never_the_same():
    passwords = {make_password() for _ in range(100)}

    assert len(passwords) == 100
    assert all(len(password) >= 20 and password.replace("-", "").isalpha() for password in passwords)


def test_a_new_folder_has_no_account_and_is_empty(data):
    data.prepare(None, None)
    assert data.first_account() is None
    assert not data.is_filled
    data.mark_filled()
    assert data.is_filled
