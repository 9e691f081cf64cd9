"""Settings: the examples are right, and what is wrong is said in one line that names the place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from appliance.domain.errors import SettingsError
from appliance.settings import load

CONFIG = Path(__file__).resolve().parent.parent / "config"
ALL_IN_ONE = CONFIG / "all-in-one.yaml"


def changed(tmp_path: Path, change: object) -> Path:
    """The all-in-one example with one change made to its parsed values."""
    values = yaml.safe_load(ALL_IN_ONE.read_text())
    change(values)  # type: ignore[operator]
    file = tmp_path / "appliance.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def refusal(file: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert "\n" not in caught.value.message
    assert str(file) in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("name", ["all-in-one", "central", "clinic", "node"])
def test_each_example_is_right_once_the_files_that_it_names_are_there(name: str, tmp_path: Path) -> None:
    text = (CONFIG / f"{name}.yaml").read_text()
    for path in re.findall(r"(/(?:etc|var)/\S+\.(?:pem|key))", text):
        there = tmp_path / path.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.touch()
        text = text.replace(path, str(there))
    file = tmp_path / "example.yaml"
    file.write_text(text)

    assert load(file).roles


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(changed(tmp_path, lambda values: None))

    assert settings.node is not None
    assert settings.node.instances.directory == tmp_path / "instances"
    assert settings.node.database == f"sqlite:///{tmp_path}/node.sqlite"


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    message = refusal(changed(tmp_path, lambda values: values["node"].update(colour="blue")))

    assert "node" in message
    assert "colour" in message


def test_a_wrong_type_is_named_with_its_place(tmp_path: Path) -> None:
    message = refusal(changed(tmp_path, lambda values: values["listen"].update(port="eight")))

    assert "listen.port" in message


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "database" in refusal(changed(tmp_path, lambda values: values["toplevel"].pop("database")))


def test_a_port_beyond_65535_is_refused(tmp_path: Path) -> None:
    assert "listen.port" in refusal(changed(tmp_path, lambda values: values["listen"].update(port=70000)))


def test_a_role_without_its_block_is_refused(tmp_path: Path) -> None:
    assert "node" in refusal(changed(tmp_path, lambda values: values.pop("node")))


def test_a_block_without_its_role_is_refused(tmp_path: Path) -> None:
    assert "toplevel" in refusal(changed(tmp_path, lambda values: values.update(roles=["institution", "node"])))


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    assert "roles" in refusal(changed(tmp_path, lambda values: values.update(roles=["wizard"])))


def test_a_child_alone_needs_a_parent(tmp_path: Path) -> None:
    def alone(values: dict) -> None:  # type: ignore[type-arg]
        values["roles"] = ["institution", "node"]
        del values["toplevel"]

    assert "institution.parent" in refusal(changed(tmp_path, alone))


def test_a_store_without_key_must_be_said_to_be_plain(tmp_path: Path) -> None:
    assert "plain" in refusal(changed(tmp_path, lambda values: values["node"]["instances"].pop("key")))


def test_a_file_that_is_named_and_not_there_is_refused(tmp_path: Path) -> None:
    def supplied(values: dict) -> None:  # type: ignore[type-arg]
        del values["listen"]["self_made"]
        values["listen"]["certificate"] = {"file": "missing.pem", "key": "missing.key"}

    assert "missing.pem" in refusal(changed(tmp_path, supplied))


def test_a_settings_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("text", ["roles: [web", "\x00", "a: b: c"])
def test_what_is_not_yaml_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)

    refusal(file)


@pytest.mark.parametrize("text", ["", "[]", "just words"])
def test_yaml_that_is_no_block_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(text)

    refusal(file)


DIMSE = {"ae_title": "BOX", "peers": [{"ae_title": "CT1", "hosts": ["192.0.2.7"], "verbs": ["echo", "store"]}]}


def with_dimse(tmp_path: Path, **change: object) -> Path:
    """DIMSE with changes to its one peer."""
    dimse = {**DIMSE, "peers": [{**DIMSE["peers"][0], **change}]}  # type: ignore[dict-item]
    return changed(tmp_path, lambda values: values["node"].update(dimse=dimse))


def test_the_dicom_network_of_the_example_is_right_without_its_comment_marks(tmp_path: Path) -> None:
    text = (CONFIG / "clinic.yaml").read_text()
    commented = text[text.index("  # dimse:") :]
    block = yaml.safe_load(re.sub(r"^  # ?", "", commented, flags=re.MULTILINE))["dimse"]
    for name in ("certificate", "key", "authorities"):
        (tmp_path / name).touch()
        block["tls"][name] = str(tmp_path / name)

    settings = load(changed(tmp_path, lambda values: values["node"].update(dimse=block)))

    assert settings.node is not None
    assert settings.node.dimse is not None
    assert [peer.ae_title for peer in settings.node.dimse.peers] == ["CT1", "ARCHIVE"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hosts": []}, "hosts"),
        ({"hosts": ["ct1.example.org"]}, "hosts"),
        ({"hosts": ["192.0.2.0/24"], "port": 104}, "hosts"),
        ({"verbs": ["delete"]}, "verbs"),
        ({"ae_title": "SEVENTEEN LETTERS"}, "ae_title"),
        ({"ae_title": "BACK\\SLASH"}, "ae_title"),
        ({"tls": True}, "tls"),
        ({"port": 0}, "port"),
    ],
)
def test_a_dicom_peer_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, object], named: str) -> None:
    message = refusal(with_dimse(tmp_path, **change))

    assert "node.dimse.peers[" in message
    assert named in message


@pytest.mark.parametrize(
    ("base_url", "domain"),
    [
        ("https://localhost:8443", "ocalhost"),
        ("https://box.clinic.example", "other.example"),
        ("https://box.clinic.example", ""),
        ("https://box.clinic.example", "box.clinic.example.org"),
        ("https://192.0.2.9", "clinic.example"),
    ],
)
def test_passkeys_belong_to_the_host_name_or_a_domain_above_it(tmp_path: Path, base_url: str, domain: str) -> None:
    wrong = {"base_url": base_url, "passkey_domain": domain}

    assert "toplevel.passkey_domain: " in refusal(changed(tmp_path, lambda values: values["toplevel"].update(wrong)))


@pytest.mark.parametrize("domain", ["box.clinic.example", "clinic.example"])
def test_a_domain_of_passkeys_may_be_named(tmp_path: Path, domain: str) -> None:
    right = {"base_url": "https://box.clinic.example:8443", "passkey_domain": domain}

    settings = load(changed(tmp_path, lambda values: values["toplevel"].update(right)))

    assert settings.toplevel is not None
    assert settings.toplevel.passkey_domain == domain


def drawing(tmp_path: Path, **changes: object) -> Path:
    """A node that only draws, with some of its settings other than they should be."""
    (tmp_path / "master.key").touch()
    node = {
        "id": "10000000-0000-4000-8000-000000000002",
        "name": "Second",
        "institution_id": "10000000-0000-4000-8000-000000000009",
        "base_url": "https://second.test",
        "database": "sqlite:///node.sqlite",
        "instances": {"directory": "store", "key": "master.key"},
        "drawing": {"render_cache_directory": "cache"},
        "draws_for": {"id": "10000000-0000-4000-8000-000000000001", "database": "sqlite:///keeper.sqlite"},
        "parent": {"base_url": "https://clinic.test", "key": "node.pem"},
        **changes,
    }
    file = tmp_path / "appliance.yaml"
    file.write_text(yaml.safe_dump({"roles": ["node"], "listen": {"self_made": {"directory": "c"}}, "node": node}))
    return file


def test_a_node_that_only_draws_names_whose_store_and_index_it_reads(tmp_path: Path) -> None:
    node = load(drawing(tmp_path)).node

    assert node is not None
    assert node.draws_for is not None
    assert node.draws_for.database == f"sqlite:///{tmp_path}/keeper.sqlite"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"id": "10000000-0000-4000-8000-000000000001"}, "draws_for.id: is the node's own"),
        ({"database": "sqlite:///keeper.sqlite"}, "draws_for.database: is the node's own"),
        ({"drawing": {}}, "render_cache_directory: is missing"),
        ({"dimse": {"ae_title": "A", "peers": []}}, "node.dimse: is here"),
        ({"instances": {"directory": "store", "key": "absent.key"}}, "node.instances.key: there is no file"),
    ],
)
def test_a_node_that_only_draws_and_would_keep_something_is_refused(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    assert complaint in refusal(drawing(tmp_path, **changes))
