"""One page of truth about a machine, from what real programs wrote down or printed."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import generate_latest

from appliance.http import certificates
from appliance.services import doctor
from appliance.services.doctor import Examination, Finding, Folder, Subjects, Verdict
from appliance.services.metrics import Metrics
from updates.versions import Trial, Versions
from zfs import drill as practice
from zfs import replication, status
from zfs.layout import BOX
from zfs.manifests import Comparison
from zfs.names import Place, snapshot
from zfs.snapshots import Snapshot

NOW = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
RECORDED = Path(__file__).resolve().parents[1] / "zfs" / "recorded"
MOUNTED = {ds.name: {"used": "5", "available": "7", "mounted": "yes", "keystatus": "available"} for ds in BOX.data_sets}


def pool_told(told: str, *, looked: datetime = NOW, taken: timedelta = HOUR, keystatus: str = "available") -> str:
    """What `appliance-zfs status --write` writes of what OpenZFS printed."""
    data_sets = {name: found | {"keystatus": keystatus} for name, found in MOUNTED.items()}
    newest = [Snapshot(snapshot(looked - taken), looked - taken)]
    return status.read(told, BOX, data_sets, newest, looked).as_json()


def scrubbed(told: str) -> str:
    pools = json.loads(told)
    scan = {"function": "SCRUB", "state": "FINISHED", "end_time": int((NOW - 24 * HOUR).timestamp()), "errors": 0}
    pools["pools"]["tank"]["scan_stats"] = scan
    return json.dumps(pools)


@pytest.fixture(scope="module")
def mirror() -> str:
    return (RECORDED / "new-mirror.json").read_text()


def test_a_pool_that_is_well_says_how_full_it_is(mirror: str) -> None:
    found = doctor.pool(pool_told(scrubbed(mirror)), NOW, is_box=True)

    assert (found.verdict, found.text) == (Verdict.WELL, "ONLINE, 0 % used, 1 snapshots")
    assert found.figures["size_bytes"] == 2013265920


def test_a_pool_that_was_never_scrubbed_wants_attention_and_one_that_lost_a_disk_at_once(mirror: str) -> None:
    assert doctor.pool(pool_told(mirror), NOW, is_box=True).verdict == Verdict.ATTENTION

    degraded = scrubbed(mirror).replace('"state": "ONLINE"', '"state": "DEGRADED"', 1)
    found = doctor.pool(pool_told(degraded), NOW, is_box=True)
    assert (found.verdict, found.text) == (Verdict.DANGER, "the pool is DEGRADED")


def test_a_disk_with_checksum_errors_is_a_danger_though_the_pool_is_online(mirror: str) -> None:
    pools = json.loads(scrubbed(mirror))
    pools["pools"]["tank"]["vdevs"]["tank"]["vdevs"]["mirror-0"]["vdevs"]["virtio-disk1"]["checksum_errors"] = 3

    found = doctor.pool(pool_told(json.dumps(pools)), NOW, is_box=True)
    assert found.verdict == Verdict.DANGER
    assert "virtio-disk1 is ONLINE, 0 read, 0 write, 3 checksum errors" in found.text


def test_a_locked_pool_is_a_danger(mirror: str) -> None:
    found = doctor.pool(pool_told(scrubbed(mirror), keystatus="unavailable"), NOW, is_box=True)

    assert found.verdict == Verdict.DANGER
    assert "its key is not loaded" in found.text


def test_what_nobody_has_looked_at_lately_is_not_known(mirror: str) -> None:
    old = doctor.pool(pool_told(scrubbed(mirror), looked=NOW - HOUR), NOW, is_box=True)

    assert old.verdict == Verdict.UNKNOWN
    assert old.text == "nobody has looked since 2026-11-22 23:30 UTC"
    assert doctor.pool(None, NOW, is_box=True).verdict == Verdict.UNKNOWN
    assert doctor.pool('{"state": "ONL', NOW, is_box=True).verdict == Verdict.UNKNOWN
    assert doctor.pool(None, NOW, is_box=False).verdict == Verdict.NONE


def backup_told(age: timedelta, differences: int = 0) -> str:
    comparison = Comparison(files=12, files_read=3, bytes_read=100, differences=differences)
    outcome = replication.Outcome("tank/appliance/records/database", "appliance-1", None, comparison)
    return replication.summary([outcome], Place("safe/copies"), NOW - age)


def test_a_backup_of_last_night_is_well_an_old_one_is_not_and_none_is_a_danger() -> None:
    last_night = doctor.backup(backup_told(20 * HOUR), NOW, is_box=True)

    assert last_night.verdict == Verdict.WELL
    assert "safe/copies" in last_night.text
    assert "12 files" in last_night.text
    assert doctor.backup(backup_told(40 * HOUR), NOW, is_box=True).verdict == Verdict.ATTENTION
    assert doctor.backup(None, NOW, is_box=True).verdict == Verdict.DANGER


def test_a_backup_that_is_not_equal_is_a_danger_however_young() -> None:
    found = doctor.backup(backup_told(HOUR, differences=2), NOW, is_box=True)

    assert (found.verdict, found.text) == (Verdict.DANGER, "2 files are not the same in safe/copies")


def test_a_restore_that_was_practised_without_a_fault_is_well_and_one_with_is_a_danger() -> None:
    done = practice.Drill("safe/copies", "appliance-1", NOW - 2 * HOUR, NOW - HOUR, 5208, 10**9, 0, 0)

    well = doctor.drill(done.as_json(), NOW, is_box=True)
    assert well.verdict == Verdict.WELL
    assert "5208 instances, no fault" in well.text
    assert doctor.drill(replace(done, faults=1).as_json(), NOW, is_box=True).verdict == Verdict.DANGER
    assert doctor.drill(None, NOW, is_box=True).verdict == Verdict.ATTENTION


def test_a_version_that_was_being_tried_when_the_power_failed_wants_attention(tmp_path: Path) -> None:
    versions = Versions(tmp_path)
    versions.begin(Trial(7, 6, "", ""))

    found = doctor.version((tmp_path / "trial.json").read_text(), is_box=True)

    assert (found.verdict, found.figures) == (Verdict.ATTENTION, {"number": 7, "before": 6})
    assert "appliance-update settle" in found.text
    assert doctor.version("cut", is_box=True).verdict == Verdict.ATTENTION
    assert doctor.version(None, is_box=True).verdict == Verdict.WELL
    assert doctor.version(None, is_box=False).verdict == Verdict.NONE


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> certificates.CertificateFiles:
    return certificates.ensure_self_made(tmp_path_factory.mktemp("certificates"), ["localhost"], now=NOW)


def test_a_certificate_says_its_days_and_when_browsers_fall_back_to_http2(own: certificates.CertificateFiles) -> None:
    chain = own.certificate.read_bytes()

    found = doctor.certificate(chain, NOW, is_own_authority=True)
    assert (found.verdict, found.figures["days_left"]) == (Verdict.WELL, 396)
    assert "HTTP/2 instead of HTTP/3" in found.text
    assert "HTTP/2" not in doctor.certificate(chain, NOW, is_own_authority=False).text


@pytest.mark.parametrize(
    ("days", "verdict"),
    [(0, Verdict.WELL), (380, Verdict.ATTENTION), (398, Verdict.DANGER), (-2, Verdict.DANGER)],
)
def test_a_certificate_near_its_end_wants_attention_and_one_out_of_its_time_is_a_danger(
    own: certificates.CertificateFiles, days: int, verdict: Verdict
) -> None:
    found = doctor.certificate(own.certificate.read_bytes(), NOW + timedelta(days=days), is_own_authority=False)

    assert found.verdict == verdict, found.text


@pytest.mark.parametrize(("left", "verdict"), [(16, Verdict.WELL), (14, Verdict.WELL), (11, Verdict.ATTENTION)])
def test_a_certificate_of_45_days_is_well_until_its_renewal_has_failed_for_days(left: int, verdict: Verdict) -> None:
    """It is renewed when a third of its life is left: 15 days."""
    authority = certificates.make_authority(NOW)
    issued = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(authority.key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=45))
        .sign(authority.key, hashes.SHA256())
    )
    chain = issued.public_bytes(Encoding.PEM)

    found = doctor.certificate(chain, NOW + timedelta(days=45 - left), is_own_authority=False)

    assert found.verdict == verdict


def test_what_is_no_certificate_lets_nobody_in() -> None:
    assert doctor.certificate(None, NOW, is_own_authority=False).verdict == Verdict.DANGER
    assert doctor.certificate(b"hello", NOW, is_own_authority=False).verdict == Verdict.DANGER


def test_keys_that_are_missing_or_open_to_everybody_are_named() -> None:
    mine, open_to_all = stat.S_IFREG | 0o600, stat.S_IFREG | 0o644

    assert doctor.keys([(Path("/a"), mine)]).verdict == Verdict.WELL
    assert doctor.keys([(Path("/a"), mine), (Path("/b"), None)]).text == "not there: /b"
    assert "/b" in doctor.keys([(Path("/a"), mine), (Path("/b"), open_to_all)]).text


def served(fill: Callable[[Metrics], None], subjects: Subjects) -> dict[str, Finding]:
    metrics = Metrics()
    fill(metrics)
    return {f.subject: f for f in doctor.served(generate_latest(metrics.registry).decode(), subjects)}


SUBJECTS = Subjects(
    Path("/certificate"), is_own_authority=True, folders=(), keys=(), draws=True, uplinks=("institution",)
)


def test_the_renderer_is_told_by_what_the_server_draws_with() -> None:
    def draw(metrics: Metrics) -> None:
        metrics.renderer.labels("Mesa", "llvmpipe (LLVM 19.1.7, 256 bits)", "4.5", "True").set(1)

    found = served(draw, SUBJECTS)["renderer"]

    assert (found.verdict, found.text) == (Verdict.WELL, "llvmpipe (LLVM 19.1.7, 256 bits), OpenGL 4.5")


def test_software_in_place_of_a_card_that_failed_wants_attention() -> None:
    def draw(metrics: Metrics) -> None:
        metrics.renderer.labels("Mesa", "llvmpipe", "4.5", "True").set(1)
        metrics.renderer_fallback.set(1)

    assert served(draw, SUBJECTS)["renderer"].verdict == Verdict.ATTENTION
    assert served(lambda _: None, SUBJECTS)["renderer"].verdict == Verdict.UNKNOWN


@pytest.mark.parametrize(("lag_s", "fails", "verdict"), [(3, 0, "well"), (3000, 0, "attention"), (3, 1, "attention")])
def test_changes_that_wait_for_the_appliance_above_are_counted_and_timed(
    lag_s: float, fails: int, verdict: str
) -> None:
    def wait(metrics: Metrics) -> None:
        metrics.outbox_length.labels("institution").set(7)
        metrics.synchronisation_lag.labels("institution").set(lag_s)
        metrics.synchronisation_fails.labels("institution", "changes").set(fails)

    found = served(wait, SUBJECTS)["sync of the institution"]

    assert found.verdict == verdict
    assert (found.figures["waiting"], found.figures["lag_s"]) == (7, lag_s)
    assert found.figures["failing"] == ("changes" if fails else "")


def test_a_server_that_does_not_answer_is_a_danger_and_nothing_more_is_said_of_it() -> None:
    assert [(f.subject, f.verdict) for f in doctor.served(None, SUBJECTS)] == [("server", Verdict.DANGER)]


@pytest.mark.parametrize(("free", "verdict"), [(500, "well"), (90, "attention"), (20, "danger")])
def test_room_is_judged_by_its_part_and_by_the_floor_below_which_nothing_is_taken(free: int, verdict: str) -> None:
    found = doctor.room(Folder("instances", Path("/srv/dicom"), floor_bytes=20), 1000, free)

    assert (found.subject, found.verdict) == ("room for instances", verdict)


UNSYNCHRONISED = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,"
    "Not synchronised\n"
)
"""What chrony of Debian 13 printed on the machine of the machine tests, which reaches no time server."""


@pytest.mark.parametrize(
    ("tracking", "verdict", "text"),
    [
        ("C0000202,192.0.2.2,3,1795393800.123456789,-0.000021,0.000003,0.00004,-11.2,0.001,0.05,0.01,0.001,64.2,Normal\n",
         Verdict.WELL, "0.0 ms from 192.0.2.2"),
        ("C0000202,192.0.2.2,3,1795393800.123456789,61.5,0.000003,0.00004,-11.2,0.001,0.05,0.01,0.001,64.2,Normal\n",
         Verdict.DANGER, "61500.0 ms from 192.0.2.2"),
        (UNSYNCHRONISED,
         Verdict.ATTENTION, "no time server is followed: is one within reach?"),
        ("506 Cannot talk to daemon\n", Verdict.UNKNOWN, "chrony said 1 values where 14 are expected"),
        (None, Verdict.UNKNOWN, "chrony does not answer: who watches the clock?"),
    ],
)  # fmt: skip
def test_a_clock_is_well_where_it_is_near_a_time_server(tracking: str | None, verdict: Verdict, text: str) -> None:
    found = doctor.clock(tracking)

    assert (found.verdict, found.text) == (verdict, text)


def test_memory_is_what_the_system_says_could_be_had() -> None:
    here = doctor.memory(Path("/proc/meminfo").read_text())

    assert 0 < int(str(here.figures["available_bytes"])) < int(str(here.figures["total_bytes"]))
    short = doctor.memory("MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:     400000 kB\n")
    assert (short.verdict, short.text) == (Verdict.ATTENTION, "2 % of 24.6 GB are to be had")
    assert doctor.memory("").verdict == Verdict.UNKNOWN


def test_a_whole_examination_is_as_bad_as_its_worst_finding(tmp_path: Path, own: certificates.CertificateFiles) -> None:
    subjects = replace(
        SUBJECTS, certificate=own.certificate, keys=(own.key,), uplinks=(), draws=False, zfs_module=tmp_path / "none",
        folders=(Folder("instances", tmp_path),),
    )  # fmt: skip

    found = doctor.examine(subjects, "", NOW, lambda: None)

    by_subject = {finding.subject: finding.verdict for finding in found.findings}
    assert by_subject["pool"] == by_subject["backup"] == by_subject["drill"] == Verdict.NONE
    assert by_subject["certificate"] == by_subject["keys"] == by_subject["server"] == Verdict.WELL
    assert by_subject["clock"] == Verdict.UNKNOWN
    assert not found.is_well
    assert found.verdict == max(by_subject.values(), key=list(Verdict).index)
    assert all(finding.subject in found.in_words() for finding in found.findings)


def test_what_is_not_meant_to_be_here_spoils_nothing() -> None:
    none, well = Finding("pool", Verdict.NONE, ""), Finding("keys", Verdict.WELL, "")

    assert Examination(NOW, (none, well)).is_well
    assert not Examination(NOW, (none, well, Finding("clock", Verdict.ATTENTION, ""))).is_well
