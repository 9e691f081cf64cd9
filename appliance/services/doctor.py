"""One page of truth about a machine: what is well, what somebody should look at, and what is not known.

What is looked at is what others have written down, or what the system tells anybody: nothing is changed, nothing is asked that
only root may, and nobody is named. Each finding is a function of what was read; ``examine`` reads.

    pool         /run/appliance-pool/status.json, which ``appliance-zfs status --write`` writes every minute
    backup       /var/lib/appliance-pool/backup.json, of ``appliance-zfs replicate --write``
    drill        /var/lib/appliance-pool/drill.json, of ``appliance-zfs drill --write``
    version      /opt/appliance-versions/trial.json, which ``appliance-update`` writes while one is tried
    certificate  the file that browsers are shown
    keys         the files of keys that the settings name: there, and nobody else's to read
    renderer     the running server's own figures, as are
    sync         what waits for the appliance above, and for how long
    room         of each folder that things are kept in
    memory       /proc/meminfo
    clock        chronyc(1): signatures between boxes hold for a minute

References: chronyc(1) ``-c tracking``; proc_meminfo(5); the Prometheus text format, version 0.0.4.
"""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

_POOL_AGE = timedelta(minutes=5)
"""It is written every minute: an older one says nothing about now."""
_NIGHTLY = timedelta(hours=36)
"""A night, and the morning after one that the box spent switched off."""
_CERTIFICATE_SOON = timedelta(days=21)
"""A month before its end it is renewed, by itself or by ACME: what is nearer has been tried in vain for a week."""
_CERTIFICATE_LAST_PART = 1 / 4
"""Of its life: one of weeks is renewed when a third is left, and what is nearer to its end has been tried in vain for days."""
_ROOM_PART = 0.1
"""Free of the whole; less is a matter of weeks in a clinic that is growing."""
_MEMORY_PART = 0.05
_CLOCK_S = 1.0
"""Signatures between boxes hold for a minute; a clock that is watched is off by milliseconds."""
_LAG_S = 900.0
_CHRONYC_TIMEOUT_S = 10
_METRICS_TIMEOUT_S = 30


Figures = Mapping[str, float | int | str | None]
"""By name, for whoever watches many boxes."""


class Verdict(StrEnum):
    """Worst last; ``NONE`` is neither good nor bad."""

    NONE = "none"
    """It is not meant to be here."""
    WELL = "well"
    UNKNOWN = "unknown"
    """Nobody can say, and somebody should be able to."""
    ATTENTION = "attention"
    """Somebody should look at it these days."""
    DANGER = "danger"
    """Somebody should look at it now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is said of one subject."""

    subject: str
    verdict: Verdict
    text: str
    """In words, for whoever looks after the box; of no patient and of no person."""
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Folder:
    """Where something is kept."""

    subject: str
    path: Path
    floor_bytes: int = 0
    """With less free than this nothing more is taken."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """What there is to look at."""

    certificate: Path
    is_own_authority: bool
    folders: tuple[Folder, ...]
    keys: tuple[Path, ...]
    draws: bool
    uplinks: tuple[str, ...]
    """Roles with something to tell the appliance above, be it in the same process."""
    pool_status: Path = Path("/run/appliance-pool/status.json")
    records: Path = Path("/var/lib/appliance-pool")
    """Where the last backup and the last drill are written down."""
    versions: Path = Path("/opt/appliance-versions")
    """Of this appliance, on a box."""
    zfs_module: Path = Path("/sys/module/zfs")
    memory: Path = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings, in the order of the module's table."""

    at: datetime
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of them."""
        return max((finding.verdict for finding in self.findings), key=list(Verdict).index)

    @property
    def is_well(self) -> bool:
        return self.verdict in (Verdict.NONE, Verdict.WELL)

    def in_words(self) -> str:
        """A line a finding."""
        width = max(len(finding.subject) for finding in self.findings)
        lines = [f"{f.verdict.upper():9}  {f.subject:{width}}  {f.text}" for f in self.findings]
        return "\n".join(lines)


def examine(subjects: Subjects, metrics: str | None, now: datetime, tracking: Callable[[], str | None]) -> Examination:
    """All that there is to say at ``now``; ``metrics`` is what the running server prints, None where it does not answer.

    Blocking. ``tracking`` is what ``chronyc -c tracking`` printed, None where there is no chrony.
    """
    is_box = subjects.zfs_module.exists()
    findings = [
        pool(_read(subjects.pool_status), now, is_box=is_box),
        backup(_read(subjects.records / "backup.json"), now, is_box=is_box),
        drill(_read(subjects.records / "drill.json"), now, is_box=is_box),
        version(_read(subjects.versions / "trial.json"), is_box=subjects.versions.is_dir()),
        certificate(_bytes(subjects.certificate), now, is_own_authority=subjects.is_own_authority),
        keys([(path, _mode(path)) for path in subjects.keys]),
        *served(metrics, subjects),
        *(_room_of(folder) for folder in subjects.folders),
        memory(_read(subjects.memory)),
        clock(tracking()),
    ]
    return Examination(now, tuple(findings))


def chrony_tracking() -> str | None:
    """What ``chronyc -c tracking`` prints; None where there is no chrony that answers. Blocking."""
    try:
        done = subprocess.run(
            ["/usr/bin/chronyc", "-c", "tracking"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_CHRONYC_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def printed_metrics(base_url: str) -> str | None:
    """What the server of this machine prints at ``/metrics``; None where nobody answers. Blocking.

    A server that listens on no loopback answers strangers only, and shows them no figures: then the text is empty.
    """
    try:
        # what answers on this machine need not prove who it is
        answer = httpx.get(f"{base_url}/metrics", verify=False, timeout=_METRICS_TIMEOUT_S, trust_env=False)  # noqa: S501
    except httpx.HTTPError:
        return None
    return answer.text if answer.status_code == httpx.codes.OK else ""


# The pool and what is copied of it


def pool(told: str | None, now: datetime, *, is_box: bool) -> Finding:
    """Of what ``appliance-zfs status`` wrote down."""
    subject = "pool"
    if not is_box:
        return Finding(subject, Verdict.NONE, "this machine has no OpenZFS")
    found = _parsed(told)
    if found is None:
        return Finding(subject, Verdict.UNKNOWN, "appliance-pool-status.service has written nothing down")
    looked = datetime.fromisoformat(found["looked"])
    figures: dict[str, float | int | str | None] = {
        "state": found["state"],
        "size_bytes": found["size_bytes"],
        "allocated_bytes": found["allocated_bytes"],
        "snapshots": found["snapshots"],
    }
    if now - looked > _POOL_AGE:
        return Finding(subject, Verdict.UNKNOWN, f"nobody has looked since {_moment(looked)}", figures)
    if problems := found["problems"]:
        broken = found["state"] != "ONLINE" or found["damaged_files"] or found["is_locked"]
        verdict = Verdict.DANGER if broken or _has_bad_disk(found) else Verdict.ATTENTION
        return Finding(subject, verdict, "; ".join(problems), figures)
    used = _part(found["allocated_bytes"], found["size_bytes"])
    return Finding(subject, Verdict.WELL, f"{found['state']}, {used} used, {found['snapshots']} snapshots", figures)


def _has_bad_disk(found: Mapping[str, Any]) -> bool:
    counts = ("read_errors", "write_errors", "checksum_errors")
    return any(disk["state"] not in ("ONLINE", "AVAIL") or any(disk[c] for c in counts) for disk in found["disks"])


def backup(told: str | None, now: datetime, *, is_box: bool) -> Finding:
    """Of what ``appliance-zfs replicate`` wrote down."""
    subject = "backup"
    if not is_box:
        return Finding(subject, Verdict.NONE, "this machine has no OpenZFS")
    found = _parsed(told)
    if found is None:
        return Finding(subject, Verdict.DANGER, "there has never been one: a fire or a thief would take everything")
    ended = datetime.fromisoformat(found["ended"])
    figures = {"ended": found["ended"], "differences": found["differences"], "snapshot": found["snapshot"]}
    if found["differences"]:
        return Finding(
            subject, Verdict.DANGER, f"{found['differences']} files are not the same in {found['to']}", figures
        )
    text = f"{found['snapshot']} in {found['to']}, {_moment(ended)}: {found['files']} files, none of them different"
    return Finding(subject, _by_age(now - ended), text, figures)


def drill(told: str | None, now: datetime, *, is_box: bool) -> Finding:
    """Of what ``appliance-zfs drill`` wrote down."""
    subject = "drill"
    if not is_box:
        return Finding(subject, Verdict.NONE, "this machine has no OpenZFS")
    found = _parsed(told)
    if found is None:
        return Finding(
            subject, Verdict.ATTENTION, "no restore was ever practised: nobody knows whether one would succeed"
        )
    ended = datetime.fromisoformat(found["ended"])
    figures = {name: found[name] for name in ("ended", "snapshot", "instances", "bytes_read", "faults")}
    if found["faults"]:
        return Finding(
            subject, Verdict.DANGER, f"{found['faults']} faults in what was restored from {found['came_from']}", figures
        )
    text = f"{found['snapshot']} restored from {found['came_from']}, {_moment(ended)}: {found['instances']} instances, no fault"
    return Finding(subject, _by_age(now - ended), text, figures)


def version(trial: str | None, *, is_box: bool) -> Finding:
    """Of what ``appliance-update`` wrote down: a version that is tried, or was when the power failed."""
    subject = "version"
    if not is_box:
        return Finding(subject, Verdict.NONE, "no other version is put on this machine by appliance-update")
    if trial is None:
        return Finding(subject, Verdict.WELL, "none is being tried")
    found = _parsed(trial)
    if found is None:
        return Finding(
            subject, Verdict.ATTENTION, "one is being tried, and nobody can read which: appliance-update settle"
        )
    figures = {name: found[name] for name in ("number", "before")}
    text = f"version {found['number']} is being tried; if nobody is doing that now: appliance-update settle"
    return Finding(subject, Verdict.ATTENTION, text, figures)


def _by_age(age: timedelta) -> Verdict:
    return Verdict.WELL if age < _NIGHTLY else Verdict.ATTENTION


# Certificate and keys


def certificate(chain: bytes | None, now: datetime, *, is_own_authority: bool) -> Finding:
    """Of the PEM that browsers are shown, the server's own first."""
    subject = "certificate"
    if chain is None:
        return Finding(subject, Verdict.DANGER, "its file cannot be read: nobody can come in")
    try:
        first = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        return Finding(subject, Verdict.DANGER, "its file is no certificate in PEM: nobody can come in")
    left = first.not_valid_after_utc - now
    figures: Figures = {"days_left": left.days, "ends": first.not_valid_after_utc.isoformat()}
    if left <= timedelta(0):
        return Finding(subject, Verdict.DANGER, f"it ended {_moment(first.not_valid_after_utc)}", figures)
    if now < first.not_valid_before_utc:
        begins = _moment(first.not_valid_before_utc)
        return Finding(subject, Verdict.DANGER, f"it begins only {begins}: is the clock right?", figures)
    text = f"{left.days} days left"
    if is_own_authority:
        text += "; of this box's own authority: browsers have to be told to trust it, and use HTTP/2 instead of HTTP/3"
    soon = min(_CERTIFICATE_SOON, _CERTIFICATE_LAST_PART * (first.not_valid_after_utc - first.not_valid_before_utc))
    return Finding(subject, Verdict.WELL if left > soon else Verdict.ATTENTION, text, figures)


def keys(found: Sequence[tuple[Path, int | None]]) -> Finding:
    """Of the files of keys with their modes; None for one that is not there."""
    subject = "keys"
    missing = [str(path) for path, mode in found if mode is None]
    if missing:
        return Finding(subject, Verdict.DANGER, f"not there: {', '.join(missing)}")
    open_to_all = [str(path) for path, mode in found if mode is not None and mode & (stat.S_IROTH | stat.S_IWOTH)]
    if open_to_all:
        return Finding(subject, Verdict.DANGER, f"everybody on this machine may read or write {', '.join(open_to_all)}")
    return Finding(subject, Verdict.WELL, f"{len(found)} files are there, and nobody else's", {"files": len(found)})


# The running server


def served(metrics: str | None, subjects: Subjects) -> Iterator[Finding]:
    """Of the server's own figures: whether it answers, what it draws with, and what waits for the appliance above."""
    if metrics is None:
        yield Finding("server", Verdict.DANGER, "it does not answer: journalctl -u appliance-clinic -p warning")
        return
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    yield Finding("server", Verdict.WELL, "it answers")
    if subjects.draws:
        yield _renderer([s.labels for s in samples if s.name == "appliance_renderer_info" and s.value],
                        fell_back=any(s.name == "appliance_renderer_fallback" and s.value for s in samples))  # fmt: skip
    for role in subjects.uplinks:
        by_name = {s.name: s.value for s in samples if s.labels.get("role") == role and "what" not in s.labels}
        failing = sorted(
            s.labels["what"]
            for s in samples
            if s.name == "appliance_synchronisation_fails" and s.labels.get("role") == role and s.value
        )
        yield _sync(role, by_name, failing)


def _renderer(drawing: Sequence[Mapping[str, str]], *, fell_back: bool) -> Finding:
    if not drawing:
        return Finding("renderer", Verdict.UNKNOWN, "nothing has been drawn since the server was started")
    one = drawing[0]
    figures = {name: one.get(name) for name in ("vendor", "renderer", "version", "software")}
    text = f"{one['renderer']}, OpenGL {one['version']}"
    if fell_back:
        return Finding("renderer", Verdict.ATTENTION, f"{text}: software, because the graphics card failed", figures)
    return Finding("renderer", Verdict.WELL, text, figures)


def _sync(role: str, figures: Mapping[str, float], failing: Sequence[str]) -> Finding:
    subject = f"sync of the {role}"
    waiting, lag_s = figures.get("appliance_outbox_length"), figures.get("appliance_synchronisation_lag_seconds")
    if waiting is None or lag_s is None:
        return Finding(subject, Verdict.UNKNOWN, "the server has no figures of it yet")
    counts: Figures = {"waiting": int(waiting), "lag_s": lag_s, "failing": ", ".join(failing)}
    text = f"{int(waiting)} changes wait, the oldest for {lag_s:.0f} s"
    if failing:
        return Finding(subject, Verdict.ATTENTION, f"{text}; what fails: {', '.join(failing)}", counts)
    return Finding(subject, Verdict.WELL if lag_s < _LAG_S else Verdict.ATTENTION, text, counts)


# The machine


def _room_of(folder: Folder) -> Finding:
    try:
        usage = shutil.disk_usage(folder.path)
    except OSError as error:
        return Finding(f"room for {folder.subject}", Verdict.DANGER, f"{folder.path}: {error.strerror}")
    return room(folder, usage.total, usage.free)


def room(folder: Folder, total_bytes: int, free_bytes: int) -> Finding:
    """Of the file system that the folder is on."""
    subject = f"room for {folder.subject}"
    figures = {"total_bytes": total_bytes, "free_bytes": free_bytes, "floor_bytes": folder.floor_bytes}
    text = f"{_part(free_bytes, total_bytes)} of {total_bytes / 1e9:.0f} GB are free"
    if free_bytes <= folder.floor_bytes:
        return Finding(subject, Verdict.DANGER, f"{text}: nothing more is taken", figures)
    is_much = free_bytes >= _ROOM_PART * total_bytes
    return Finding(subject, Verdict.WELL if is_much else Verdict.ATTENTION, text, figures)


def memory(told: str | None) -> Finding:
    """Of /proc/meminfo."""
    subject = "memory"
    sizes = {
        name: int(rest.split()[0]) * 1024
        for name, _, rest in (line.partition(":") for line in (told or "").splitlines())
    }
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    if total is None or available is None:
        return Finding(subject, Verdict.UNKNOWN, "the system does not tell")
    figures = {"total_bytes": total, "available_bytes": available}
    text = f"{_part(available, total)} of {total / 1e9:.1f} GB are to be had"
    return Finding(subject, Verdict.WELL if available >= _MEMORY_PART * total else Verdict.ATTENTION, text, figures)


def clock(tracking: str | None) -> Finding:
    """Of a line of ``chronyc -c tracking``: …, stratum, reference time, offset in seconds, …, leap status."""
    subject = "clock"
    if tracking is None:
        return Finding(subject, Verdict.UNKNOWN, "chrony does not answer: who watches the clock?")
    values = tracking.strip().split(",")
    if len(values) != _TRACKING_VALUES:
        return Finding(
            subject, Verdict.UNKNOWN, f"chrony said {len(values)} values where {_TRACKING_VALUES} are expected"
        )
    offset_s, leap = abs(float(values[4])), values[-1]
    figures: Figures = {"offset_s": offset_s, "stratum": int(values[2]), "leap": leap}
    if leap == "Not synchronised":
        return Finding(subject, Verdict.ATTENTION, "no time server is followed: is one within reach?", figures)
    text = f"{offset_s * 1000:.1f} ms from {values[1]}"
    return Finding(subject, Verdict.WELL if offset_s < _CLOCK_S else Verdict.DANGER, text, figures)


_TRACKING_VALUES = 14


def _part(of: float, whole: float) -> str:
    return f"{100 * of / whole:.0f} %" if whole else "nothing"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M UTC}"


def _parsed(told: str | None) -> dict[str, Any] | None:  # Any: what JSON holds
    """The object; None where there is none, or a half of one."""
    try:
        found = json.loads(told) if told is not None else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _read(file: Path) -> str | None:
    told = _bytes(file)
    return None if told is None else told.decode(errors="replace")


def _bytes(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _mode(file: Path) -> int | None:
    try:
        return file.stat().st_mode
    except OSError:
        return None
