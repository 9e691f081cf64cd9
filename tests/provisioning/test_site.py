"""The site file, and what follows from it: which server, which firewall."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provisioning import firewall, site
from provisioning.installation import ROOT
from provisioning.progress import Refusal

EXAMPLE = ROOT / "config" / "site.yaml"


def written(folder: Path, text: str) -> Path:
    file = folder / "site.yaml"
    file.write_text(text)
    return file


def test_the_example_is_a_clinics_box_whose_modalities_alone_come_in_by_dicom():
    read = site.read(EXAMPLE)

    assert read.server == "appliance-clinic"
    assert read.modalities == ["192.0.2.21", "192.0.2.40", "192.0.2.48/29"]
    assert [str(key) for key in read.parents] == ["/var/lib/appliance/keys/institution.pem"]


def test_the_settings_of_the_example_are_right(tmp_path):
    from appliance.settings import load

    settings = site.read(EXAMPLE).settings
    for name, path in settings["listen"]["certificate"].items():
        settings["listen"]["certificate"][name] = str(tmp_path / Path(path).name)
        (tmp_path / Path(path).name).touch()
    file = tmp_path / "appliance.yaml"
    file.write_text(yaml.safe_dump(settings))

    assert load(file).node is not None


def test_a_box_without_a_node_runs_the_other_server(tmp_path):
    read = site.read(written(tmp_path, "settings: {roles: [web, toplevel]}"))

    assert read.server == "appliance-central"
    assert read.dimse is None
    assert read.modalities == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "missing required field `settings`"),
        ("{settings: {}, pol: {}}", "unknown field `pol`"),
        ("{settings: {}, pool: {unlock: never}}", r"Invalid enum value 'never' - at `\$.pool.unlock`"),
        ("{settings: {}, certificate: {supplied: {chain: here.pem, key: /k}}}", "expected an absolute path"),
        ("{settings: {}, certificate: {}}", "expected either `supplied` or `acme`"),
        ("{settings: {}, certificate: {acme: {name: a.example.org}}}", "missing required field `directory`"),
        ("settings: [", "expected"),
    ],
)
def test_a_wrong_site_file_is_refused_by_what_is_wrong(tmp_path, text, complaint):
    with pytest.raises(Refusal, match=complaint):
        site.read(written(tmp_path, text))


def test_a_missing_site_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match="No such file"):
        site.read(tmp_path / "none.yaml")


def test_https_comes_in_over_tcp_and_udp_and_dicom_from_the_modalities_only():
    text = firewall.rules(443, 104, ["192.0.2.21", "2001:db8::/64"], ["10.0.0.0/8"])

    assert "policy drop" in text
    assert "    tcp dport 443 accept\n    udp dport 443 accept\n" in text
    assert (
        "    ip saddr { 192.0.2.21/32 } tcp dport 104 accept\n    ip6 saddr { 2001:db8::/64 } tcp dport 104 accept"
        in text
    )
    assert "ip saddr { 10.0.0.0/8 } tcp dport 22 accept" in text


def test_without_a_dicom_network_port_104_is_closed_to_everybody():
    assert "104" not in firewall.rules(443, None, [], ["0.0.0.0/0"])


def test_a_network_inside_of_another_is_named_once():
    text = firewall.rules(443, 104, ["192.0.2.0/24", "192.0.2.21", "192.0.2.0/24"], [])

    assert "ip saddr { 192.0.2.0/24 } tcp dport 104" in text


def test_what_is_no_network_is_refused():
    with pytest.raises(ValueError, match="modality-1"):
        firewall.rules(443, 104, ["modality-1"], [])
