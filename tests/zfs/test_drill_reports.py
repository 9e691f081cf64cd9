"""Reports of practised restores: signed, in order, and each way in which somebody could mend them is found."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from zfs import drill_reports
from zfs.__main__ import main
from zfs.drill import Drill
from zfs.running import Refusal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FOUND = Drill(
    "safe/copies", "appliance-20260301T000000Z", datetime(2026, 3, 1, 2, tzinfo=UTC), datetime(2026, 3, 1, 3, tzinfo=UTC),
    instances=3, bytes_read=1_500_000_000, faults=0, unindexed=0,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three reports."""
    made = tmp_path / "drills"
    for _ in range(3):
        drill_reports.write(FOUND, "riverside", KEY, made)
    return made


def report(folder: Path, number: int) -> Path:
    return folder / f"drill-{number:06}.json"


def numbers(folder: Path) -> list[int]:
    return [found["number"] for found in drill_reports.verify_all(folder, KEY.public_key())]


def test_reports_say_what_came_of_each_drill_and_follow_each_other(folder: Path) -> None:
    found = list(drill_reports.verify_all(folder, KEY.public_key()))

    assert [one["number"] for one in found] == [1, 2, 3]
    assert (found[0]["box"], found[0]["instances"], found[0]["is_well"]) == ("riverside", 3, True)
    assert found[0]["previous"] is None
    assert found[1]["previous"] != found[2]["previous"]


def test_a_report_is_in_the_one_form_of_rfc_8785(folder: Path) -> None:
    text = report(folder, 1).read_text()

    whole = json.loads(text)
    assert list(whole) == sorted(whole)
    assert list(whole["report"]) == sorted(whole["report"])
    assert " " not in text


def test_a_bit_that_is_flipped_in_any_byte_is_found(folder: Path) -> None:
    file = report(folder, 2)
    content = file.read_bytes()

    for place in range(len(content)):
        flipped = content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        with pytest.raises(Refusal):
            drill_reports.verify_content(flipped, file, KEY.public_key())


def test_another_last_letter_of_the_signature_that_means_the_same_bytes_is_found(folder: Path) -> None:
    content = report(folder, 2).read_bytes()
    last = content.index(b"==") - 1
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    for letter in set(letters) - {content[last]}:
        with pytest.raises(Refusal):
            drill_reports.verify_content(
                content[:last] + bytes([letter]) + content[last + 1 :], report(folder, 2), KEY.public_key()
            )


def test_a_report_that_was_cut_anywhere_is_found(folder: Path) -> None:
    file = report(folder, 2)
    content = file.read_bytes()

    for length in range(len(content)):
        with pytest.raises(Refusal):
            drill_reports.verify_content(content[:length], file, KEY.public_key())


def test_a_fault_that_somebody_takes_out_is_found(folder: Path) -> None:
    whole = json.loads(report(folder, 2).read_text())
    whole["report"]["instances"] = 4
    report(folder, 2).write_text(json.dumps(whole, sort_keys=True, separators=(",", ":")) + "\n")

    with pytest.raises(Refusal, match=r"drill-000002\.json was changed, or signed by another key than SHA256:"):
        numbers(folder)


def test_what_was_added_beside_what_was_signed_is_found(folder: Path) -> None:
    whole = json.loads(report(folder, 2).read_text()) | {"remark": "all is well"}
    report(folder, 2).write_text(json.dumps(whole, sort_keys=True, separators=(",", ":")) + "\n")

    with pytest.raises(Refusal, match="has more in it than what was signed"):
        numbers(folder)


def test_another_report_under_its_name_is_found(folder: Path) -> None:
    report(folder, 2).write_bytes(report(folder, 1).read_bytes())

    with pytest.raises(Refusal, match=r"drill-000002\.json is the report number 1, under another name"):
        numbers(folder)


def test_a_report_of_another_box_with_the_same_number_and_key_is_found(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        drill_reports.write(FOUND, "elsewhere", KEY, tmp_path / "other")
    report(folder, 2).write_bytes(report(tmp_path / "other", 2).read_bytes())

    with pytest.raises(Refusal, match="does not follow the report before it"):
        numbers(folder)


def test_one_that_was_taken_out_is_found(folder: Path) -> None:
    report(folder, 2).unlink()

    with pytest.raises(Refusal, match="the report number 2 was taken out of"):
        numbers(folder)


def test_a_report_after_one_that_was_taken_out_goes_on_counting(folder: Path) -> None:
    report(folder, 2).unlink()

    assert drill_reports.write(FOUND, "riverside", KEY, folder).name == "drill-000004.json"


def test_reports_of_another_key_are_refused(folder: Path) -> None:
    with pytest.raises(Refusal, match="signed by another key"):
        drill_reports.verify(report(folder, 1), Ed25519PrivateKey.generate().public_key())


def test_a_key_of_another_kind_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())

    with pytest.raises(Refusal, match="no Ed25519 key"):
        drill_reports.read_key(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(Refusal, match="no key in PEM"):
        drill_reports.read_key(b"")


def test_the_command_says_each_report_and_by_which_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill-reports", str(folder)]) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[2].startswith(
        "3: 2026-03-01T03:00:00+00:00, appliance-20260301T000000Z from safe/copies: 3 instances, 1.5 GB"
    )
    assert said[3] == f"signed by {drill_reports.fingerprint(KEY.public_key())}: compare it with what was filed"


def test_the_command_believes_the_key_that_was_filed_and_not_the_one_beside(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filed = tmp_path / "filed.pem"
    filed.write_bytes(drill_reports.public_file(folder).read_bytes())
    forged = tmp_path / "forged"
    drill_reports.write(FOUND, "riverside", Ed25519PrivateKey.generate(), forged)

    assert main(["drill-reports", str(folder), "--public", str(filed)]) == 0
    assert main(["drill-reports", str(report(forged, 1)), "--public", str(filed)]) == 1
    assert "signed by another key" in capsys.readouterr().err
