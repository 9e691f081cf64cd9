"""The file that a version comes in: what was signed is unpacked, and nothing else."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from updates import bundle
from updates.__main__ import main
from zfs.running import Refusal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FILES = {"appliance/__init__.py": b"VERSION = 7\n", "provisioning/provision": b"#!/bin/sh\n", "empty": b""}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "provisioning/provision").chmod(0o755)
    to = tmp_path / "seven"
    bundle.make(root, FILES, number=7, name="Seven", made=datetime(2026, 3, 1, tzinfo=UTC), key=KEY, to=to)
    return to


def unpacked(file: Path) -> bundle.Manifest:
    return bundle.unpack(file, KEY.public_key(), file.with_name("unpacked"))


Change = Callable[[dict[str, bytes]], None]


def changed(file: Path, change: Change, *more: tarfile.TarInfo) -> Path:
    """The same with other members; ``more`` come behind."""
    with tarfile.open(file) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    change(members)
    with tarfile.open(file, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in more:
            tar.addfile(member)
    return file


def test_what_was_signed_is_there_and_programs_can_be_run(file: Path) -> None:
    manifest = unpacked(file)

    assert (manifest.number, manifest.name) == (7, "Seven")
    folder = file.with_name("unpacked")
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert (folder / "provisioning/provision").stat().st_mode & 0o777 == 0o755
    assert (folder / "empty").stat().st_mode & 0o777 == 0o644


def test_a_version_that_somebody_else_signed_is_refused_before_anything_is_unpacked(file: Path) -> None:
    with pytest.raises(Refusal, match="not signed by the key that this box believes"):
        bundle.unpack(file, Ed25519PrivateKey.generate().public_key(), file.with_name("unpacked"))

    assert not file.with_name("unpacked").exists()


def test_another_number_in_the_list_breaks_its_signature(file: Path) -> None:
    def later(members: dict[str, bytes]) -> None:
        members["manifest.json"] = members["manifest.json"].replace(b'"number": 7', b'"number": 8')

    with pytest.raises(Refusal, match="not signed by the key"):
        unpacked(changed(file, later))


def test_a_file_that_is_larger_than_it_was_signed_is_not_written_at_all(file: Path) -> None:
    with pytest.raises(Refusal, match=r"appliance/__init__\.py is not as it was signed"):
        unpacked(changed(file, lambda members: members.update({"source/appliance/__init__.py": bytes(10_000_000)})))

    assert not (file.with_name("unpacked") / "appliance").exists()


@pytest.mark.parametrize("content", [b"VERSION = 8\n", b"VERSION = 7\n\n", b""])
def test_a_file_that_is_not_as_it_was_signed_is_found(file: Path, content: bytes) -> None:
    with pytest.raises(Refusal, match=r"appliance/__init__\.py is not as it was signed"):
        unpacked(changed(file, lambda members: members.update({"source/appliance/__init__.py": content})))


def test_a_file_that_is_missing_is_named(file: Path) -> None:
    with pytest.raises(Refusal, match="1 files of its list are missing, empty among them"):
        unpacked(changed(file, lambda members: members.pop("source/empty")))


@pytest.mark.parametrize("name", ["source/more", "source/../../etc/passwd", "/etc/passwd", "empty"])
def test_a_file_that_the_list_does_not_have_is_refused(file: Path, name: str) -> None:
    with pytest.raises(Refusal, match="is not in the list that was signed"):
        unpacked(changed(file, lambda members: members.update({name: b"more"})))


def test_a_link_in_the_place_of_a_file_is_refused(file: Path) -> None:
    link = tarfile.TarInfo("source/empty")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"

    with pytest.raises(Refusal, match="'source/empty' is not in the list"):
        unpacked(changed(file, lambda members: members.pop("source/empty"), link))


def test_a_file_that_comes_twice_is_refused(file: Path) -> None:
    with pytest.raises(Refusal, match="'source/empty' is not in the list"):
        unpacked(changed(file, lambda _: None, tarfile.TarInfo("source/empty")))


def test_a_signed_list_whose_paths_lead_out_is_refused_all_the_same(file: Path) -> None:
    def lead_out(members: dict[str, bytes]) -> None:
        plain = json.loads(members["manifest.json"])
        plain["files"]["../out"] = plain["files"].pop("empty")
        members["manifest.json"] = json.dumps(plain).encode()
        members["manifest.sig"] = KEY.sign(b"appliance update 1\n" + members["manifest.json"])

    with pytest.raises(Refusal, match=r"'\.\./out' would be unpacked elsewhere"):
        unpacked(changed(file, lead_out))


def test_a_file_that_was_cut_is_refused_wherever_it_was_cut(file: Path) -> None:
    content = file.read_bytes()
    cut = file.with_name("cut")

    for length in range(0, len(content) - 8, 41):  # the last eight bytes are gzip's own checksum and length
        cut.write_bytes(content[:length])
        with pytest.raises(Refusal):
            bundle.unpack(cut, KEY.public_key(), file.with_name(f"unpacked-{length}"))


def test_what_is_no_update_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no update")

    with pytest.raises(Refusal, match="is no update, or was cut"):
        bundle.unpack(tmp_path / "text", KEY.public_key(), tmp_path / "unpacked")
    with pytest.raises(Refusal, match="No such file"):
        bundle.unpack(tmp_path / "none", KEY.public_key(), tmp_path / "unpacked")


def test_the_command_makes_a_file_of_a_checkout_that_its_key_opens(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    root = tmp_path / "checkout"
    for path in (
        "appliance/__main__.py",
        "appliance/__pycache__/x.pyc",
        "provisioning/provision",
        "tests/test_main.py",
        "LICENSE",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    (root / "provisioning/provision").chmod(0o755)

    made = main(["make", "--key", str(private), "--number", "3", "--name", "Three", str(root), str(tmp_path / "three")])

    assert made == 0
    manifest = bundle.unpack(tmp_path / "three", bundle.read_public(public), tmp_path / "unpacked")
    assert manifest.files.keys() == {"appliance/__main__.py", "provisioning/provision", "LICENSE"}
    assert manifest.files["provisioning/provision"].executable
