"""The parts of a box that its site file decides: pool, certificate, settings, firewall, clock, servers, and a picture at last."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from provisioning import acme_parts, box, credentials, firewall
from provisioning.box_page import BoxPage
from provisioning.installation import ROOT
from provisioning.parts import Copy, Found, Part, digest, files_part, run, status
from provisioning.progress import Refusal, say
from provisioning.site import Site, Supplied
from zfs import drill_reports

STATE = Path("/var/lib/appliance-provisioning")
PICTURE = STATE / "first-picture.png"
_SELF_TEST = STATE / "self-test.json"
_COMMANDS = box.ENVIRONMENT / "bin"
_CHAIN, _KEY = Path("/etc/appliance/certificate.pem"), Path("/etc/appliance/certificate.key")
_HTTPS, _DIMSE = 443, 104
"""What the socket units listen on."""
_MOUNTS = {
    "var-lib-appliance.mount": Path("/var/lib/appliance"),
    "srv-dicom.mount": Path("/srv/dicom"),
    r"srv-render\x2dcache.mount": Path("/srv/render-cache"),
}
_TIMERS = tuple(
    f"appliance-{name}.timer"
    for name in ("snapshot", "pool-status", "scrub", "verify", "backup", "drill", "certificate")
)
_DRILL_KEY = "drill.key"
_READY_TIMEOUT_S = 900
"""A box without a graphics card compiles its shaders first."""
_JOURNAL = "journalctl -b -p warning"
_UPDATES = """\
// Written by provisioning/provision: security updates of Debian come in by themselves. A new kernel starts with the next restart,
// which nobody but a person begins; OpenZFS and the kernel change together with the appliance.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
#clear Unattended-Upgrade::Origins-Pattern;
Unattended-Upgrade::Origins-Pattern { "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"; };
Unattended-Upgrade::Package-Blacklist { "^linux-"; "zfs"; };
Unattended-Upgrade::Automatic-Reboot "false";
"""


def parts(site: Site) -> list[Part]:
    """In the order in which they need each other."""
    return [
        Part("Site", lambda: _look_at_site(site)),
        Part("OpenZFS", _look_at_zfs, lambda: _done("modprobe", "zfs")),
        Part("Pool", lambda: _look_at_pool(site), lambda: _make_pool(site), waits_for_others=True),
        Part("Key", _look_at_key, _load_key, waits_for_others=True),
        Part("Data sets", _look_at_mounts, _mount, waits_for_others=True),
        Part("Key of drills", _look_at_drill_key, lambda: _make_drill_key(site)),
        _certificate_part(site),
        files_part("Settings", lambda: _settings(site)),
        files_part("Firewall", lambda: _firewall(site), _load_firewall),
        Part("Firewall in force", _look_at_firewall, _load_firewall, waits_for_others=True),
        files_part("Clock", lambda: _clock(site), lambda: _done("systemctl", "restart", "chrony")),
        files_part("Security updates", lambda: [Copy(_UPDATES.encode(), Path("/etc/apt/apt.conf.d/90appliance"))]),
        Part("Enrolment", lambda: _look_at_enrolment(site), lambda: _enrol(site), waits_for_others=True),
        Part("Server", lambda: _look_at_server(site), lambda: _start_server(site), waits_for_others=True),
        Part("Picture", _look_at_picture, _draw_picture, waits_for_others=True),
    ]


def _done(*command: str) -> None:
    run(*command, mend=_JOURNAL)


# The site file


def _look_at_site(site: Site) -> Found:
    complaints = []
    if site.settings.get("listen", {}).get("port", _HTTPS) != _HTTPS:
        complaints.append(f"listen.port is not {_HTTPS}, on which the socket unit listens")
    if site.dimse is not None and site.dimse.get("port") != _DIMSE:
        complaints.append(f"node.dimse.port is not {_DIMSE}, on which the socket unit listens")
    if (site.certificate is None) != ("self_made" in site.settings.get("listen", {})):
        complaints.append("either `certificate` is named, or `settings` say listen.self_made")
    if site.certificate is not None and site.certificate.acme is not None:
        complaints += acme_parts.unfit(site.settings)
    if _needs_page(site) and BoxPage().first_file is None:
        complaints.append(
            "it has the role `web`, and no page is installed: build it where there is a network (provisioning/setup),"
            f" and put webui/dist into {ROOT}"
        )
    complaints += _unfit_settings(site)
    if complaints:
        return Found(is_well=False, told="; ".join(complaints))
    return Found(is_well=True, told=f"{site.server} with the roles {', '.join(site.settings['roles'])}")


def _needs_page(site: Site) -> bool:
    return "web" in site.settings["roles"] and "directory" not in site.settings.get("web", {})


def _unfit_settings(site: Site) -> list[str]:
    """What the server itself has to say against its settings."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "appliance.yaml"
        file.write_text(yaml.safe_dump(_with_certificate_that_is_there(site, Path(scratch))))
        checked = subprocess.run(
            [str(_COMMANDS / "appliance"), "check-config", str(file)], capture_output=True, text=True, check=False
        )
        return [] if checked.returncode == 0 else [checked.stderr.strip().replace(f"{file}: ", "settings: ")]


def _with_certificate_that_is_there(site: Site, scratch: Path) -> dict[str, Any]:
    """The settings with the certificate where it lies now: where it is going to be, nothing may be yet."""
    if site.certificate is None:
        return site.settings
    supplied = site.certificate.supplied
    if supplied is None:  # it is had later; whether its files can be used is looked at there
        supplied = Supplied(chain=scratch / "chain", key=scratch / "key")
        supplied.chain.touch()
        supplied.key.touch()
    files = {"file": str(supplied.chain), "key": str(supplied.key)}
    return site.settings | {"listen": site.settings.get("listen", {}) | {"certificate": files}}


def _settings_text(site: Site) -> bytes:
    head = "# Written by provisioning/provision from the site file: change it there.\n"
    return (head + yaml.safe_dump(site.settings, sort_keys=False, allow_unicode=True)).encode()


def _settings(site: Site) -> list[Copy]:
    found = [Copy(_settings_text(site), box.SETTINGS, 0o640, "appliance")]
    if site.backup_to is not None:
        found.append(Copy(f"BACKUP_TO={site.backup_to}\n".encode(), Path("/etc/appliance/backup.conf"), 0o640))
    if site.updates is not None:
        found.append(Copy(_content(site.updates.key, "updates.key"), Path("/etc/appliance/updates.pem")))
    return found


# The pool


def _look_at_zfs() -> Found:
    version = Path("/sys/module/zfs/version")
    if version.is_file():
        return Found(is_well=True, told=f"version {version.read_text().strip()}")
    return Found(is_well=False, told="its module is not loaded")


def _look_at_pool(site: Site) -> Found:
    checked = subprocess.run(_create(site, "--check"), capture_output=True, text=True, check=False)
    if checked.returncode == 0:
        return Found(is_well=True, told=checked.stdout.strip())
    commands = [line.partition("  # ")[0] for line in checked.stdout.splitlines()]
    return Found(is_well=False, told="; ".join(commands) or checked.stderr.strip())


def _make_pool(site: Site) -> None:
    """On the technician's own terminal: the sheet is shown there and typed back."""
    key = ["--key-from", str(site.pool.key_from)] if site.pool.key_from else []
    made = subprocess.run(_create(site, "--seal", site.pool.unlock, *key), check=False)
    if made.returncode != 0:
        raise Refusal("the pool was not made", "look at what was said above")


def _create(site: Site, *more: str) -> list[str]:
    erase = [word for path in site.pool.erase for word in ("--erase", path)]
    return [str(_COMMANDS / "appliance-zfs"), "create", *site.pool.disks, *erase, *more]


def _look_at_key() -> Found:
    if status("zfs", "list", "tank/appliance") != 0:
        return Found(is_well=False, told="there is no pool to open")
    state = run("zfs", "get", "-H", "-o", "value", "keystatus", "tank/appliance", mend=_JOURNAL).strip()
    sealed = Path("/etc/credstore.encrypted/pool.key").is_file()
    told = "it is sealed to this machine" if sealed else "it is kept nowhere here: somebody types it at each start"
    return Found(is_well=state == "available", told=told if state == "available" else f"the pool is locked; {told}")


def _load_key() -> None:
    if Path("/etc/credstore.encrypted/pool.key").is_file():
        _done("systemctl", "start", "appliance-load-key.service")
        return
    say("      The pool is locked: its sheet, please")
    if subprocess.run([str(_COMMANDS / "appliance-zfs"), "load-key"], check=False).returncode != 0:
        raise Refusal("the pool was not opened", "look at what was said above")


def _sealed_to(site: Site) -> str:
    """Of other credentials than the pool's key, which are needed also where somebody types that one."""
    return "host" if site.pool.unlock == "none" else site.pool.unlock


def _look_at_drill_key() -> Found:
    key = credentials.unsealed(_DRILL_KEY)
    if key is None:
        return Found(is_well=False, told="there is none by which reports of practised restores are signed")
    told = drill_reports.fingerprint(drill_reports.read_key(key).public_key())
    return Found(is_well=True, told=f"reports of practised restores are signed by {told}")


def _make_drill_key(site: Site) -> None:
    credentials.seal(_DRILL_KEY, drill_reports.new_key(), _sealed_to(site))


def _look_at_mounts() -> Found:
    wrong = [str(folder) for folder in _MOUNTS.values() if not folder.is_mount() or folder.owner() != "appliance"]
    if wrong:
        return Found(is_well=False, told=f"not mounted, or not the server's: {', '.join(wrong)}")
    return Found(is_well=True, told=f"mounted: {', '.join(str(folder) for folder in _MOUNTS.values())}")


def _mount() -> None:
    _done("systemctl", "start", *_MOUNTS)
    _done("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/appliance.conf")


# The certificate


def _certificate_part(site: Site) -> Part:
    if site.certificate is None:
        return Part("Certificate", lambda: _look_at_own_authority(site))
    if site.certificate.acme is not None:
        return acme_parts.part(site.certificate.acme, sealed_to=_sealed_to(site))
    assert site.certificate.supplied is not None, "the site file was checked: it is one of the two"
    return _supplied_part(site.certificate.supplied)


def _supplied_part(certificate: Supplied) -> Part:
    def copies() -> list[Copy]:
        _refuse_unfit(certificate)
        return [
            Copy(_content(certificate.chain, "certificate.supplied.chain"), _CHAIN, 0o644),
            Copy(_content(certificate.key, "certificate.supplied.key"), _KEY, 0o640, "appliance"),
        ]

    files = files_part("Certificate", copies)

    def look() -> Found:
        found = files.look()
        shown = x509.load_pem_x509_certificate(_content(certificate.chain, "certificate.supplied.chain"))
        return Found(found.is_well, f"{_described(shown)}; {found.told}")

    return Part("Certificate", look, files.mend)


def _content(file: Path, named_by: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}", f"the site file names it: {named_by}") from error


def _refuse_unfit(certificate: Supplied) -> None:
    """Refusal for one that browsers would refuse, or that has another key."""
    mend = "have it made anew, or name the right files"
    try:
        first = x509.load_pem_x509_certificates(_content(certificate.chain, "certificate.supplied.chain"))[0]
        key = load_pem_private_key(_content(certificate.key, "certificate.supplied.key"), password=None)
    except (ValueError, TypeError) as error:
        raise Refusal(f"{certificate.chain} or {certificate.key} is no certificate or key in PEM", mend) from error
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if first.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise Refusal(f"{certificate.key} is not the key of {certificate.chain}", mend)
    if first.not_valid_after_utc < datetime.now(UTC):
        raise Refusal(f"{certificate.chain} ended on {first.not_valid_after_utc:%Y-%m-%d}", mend)


def _described(certificate: x509.Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    return f"for {', '.join(str(name.value) for name in names)}, {days} days left"


def _look_at_own_authority(site: Site) -> Found:
    made = site.settings["listen"]["self_made"]
    told = (
        f"the server's own, for {', '.join(map(str, made.get('names', ())))}: browsers have to be told to trust"
        f" {made['directory']}/authority.pem, and use HTTP/2 instead of HTTP/3"
    )
    return Found(is_well=True, told=told)


# What guards the box


def _firewall(site: Site) -> list[Copy]:
    try:
        text = firewall.rules(_HTTPS, _DIMSE if site.dimse else None, site.modalities, site.ssh_from)
    except ValueError as error:
        raise Refusal(f"the site file: {error}", "name addresses or networks") from error
    return [Copy(text.encode(), Path("/etc/nftables.conf"), 0o755)]


def _look_at_firewall() -> Found:
    is_on = status("systemctl", "is-enabled", "nftables") == 0
    if is_on and status("nft", "list", "chain", "inet", "box", "input") == 0:
        return Found(is_well=True, told="what is not let in is dropped, also after the next start")
    return Found(is_well=False, told="it is not loaded, or not at the next start")


def _load_firewall() -> None:
    _done("nft", "--check", "--file", "/etc/nftables.conf")
    _done("systemctl", "enable", "nftables")
    _done("systemctl", "restart", "nftables")


def _clock(site: Site) -> list[Copy]:
    lines = [f"server {name} iburst\n" for name in site.time_servers]
    return [Copy("".join(lines).encode(), Path("/etc/chrony/sources.d/appliance.sources"))]


# The server


def _look_at_enrolment(site: Site) -> Found:
    missing = [key for key in site.parents if not Path(f"{key}.parent").is_file()]
    if missing:
        return Found(is_well=False, told=f"not enrolled: there is no {missing[0]}.parent")
    return Found(is_well=True, told="enrolled" if site.parents else "all roles above are in this box")


def _enrol(site: Site) -> None:
    if site.enrolment is None:
        raise Refusal(
            "this box is not enrolled", "have a token made at the parent and name its file: enrolment.token_from"
        )
    parent = next(
        site.settings[role]["parent"]["base_url"]
        for role in ("institution", "node")
        if "parent" in site.settings.get(role, {})
    )
    run(
        *_as_server("appliance", "enrol", "--config", str(box.SETTINGS), "--toplevel", parent, "--token", "-"),
        given=_content(site.enrolment.token_from, "enrolment.token_from").decode(), mend="docs/enrolment.md",
    )  # fmt: skip


def _as_server(program: str, *arguments: str) -> list[str]:
    return ["runuser", "--user", "appliance", "--", str(_COMMANDS / program), *arguments]


def _units(site: Site) -> tuple[list[str], list[str]]:
    """Those that are to be on at every start and run now, and those that are not."""
    wanted = [f"{site.server}.service", *_TIMERS]
    unwanted = ["appliance-central.service" if site.is_clinic else "appliance-clinic.service"]
    (wanted if site.dimse else unwanted).append("appliance-dimse.socket")
    return wanted, unwanted


def _look_at_server(site: Site) -> Found:
    wanted, unwanted = _units(site)
    for unit in wanted:
        if status("systemctl", "is-enabled", "--quiet", unit) != 0:
            return Found(is_well=False, told=f"{unit} does not start by itself")
        if status("systemctl", "is-active", "--quiet", unit) != 0:
            return Found(is_well=False, told=f"{unit} does not run")
    for unit in unwanted:
        if status("systemctl", "is-enabled", "--quiet", unit) == 0:
            return Found(is_well=False, told=f"{unit} starts by itself and should not")
    began = _began(site)
    for file in (box.SETTINGS, box.ENVIRONMENT / "installed.json", _CHAIN, BoxPage().first_file):
        if file and file.is_file() and file.stat().st_mtime > began:
            return Found(is_well=False, told=f"{site.server} runs since before {file} was changed")
    answer = _readiness()
    return Found(answer == "", told=answer or f"{site.server} runs and is ready")


def _began(site: Site) -> float:
    told = run(
        "systemctl", "show", "--property=ExecMainStartTimestamp", "--value", "--timestamp=unix", f"{site.server}.service",
        mend=_JOURNAL,
    ).strip()  # fmt: skip
    return float(told.removeprefix("@") or 0)


def _start_server(site: Site) -> None:
    wanted, unwanted = _units(site)
    _done("systemctl", "disable", "--now", *unwanted)
    _done("systemctl", "enable", *wanted)
    _done("systemctl", "start", f"{site.server}.socket", *(["appliance-dimse.socket"] if site.dimse else []))
    _done("systemctl", "restart", f"{site.server}.service")
    _done("systemctl", "start", *_TIMERS)
    started = time.monotonic()
    while _readiness() and time.monotonic() - started < _READY_TIMEOUT_S:
        time.sleep(1)


def _readiness() -> str:
    """Empty when the server says that it is ready, else why not."""
    # what answers on this machine's own loopback need not prove who it is
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(f"https://127.0.0.1:{_HTTPS}/readyz", timeout=30):
            return ""
    except urllib.error.HTTPError as error:
        return f"it is not ready: {error.code} {error.read(500).decode(errors='replace')}"
    except (urllib.error.URLError, OSError) as error:
        return f"it does not answer: {error}"


# The picture


def _picture_key() -> str:
    return digest(box.ENVIRONMENT / "installed.json")


def _look_at_picture() -> Found:
    drawn: dict[str, Any] = json.loads(_SELF_TEST.read_text()) if _SELF_TEST.is_file() else {}
    if not drawn or not PICTURE.is_file() or drawn["key"] != _picture_key():
        return Found(is_well=False, told="nothing was drawn by what is installed now")
    told = (
        f"{drawn['rows']} x {drawn['columns']} as calculated, to {drawn['greatest_difference']} of 255,"
        f" {drawn['seconds']:.0f} s from nothing: {PICTURE}"
    )
    return Found(is_well=True, told=told)


def _draw_picture() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        shutil.chown(scratch, "appliance")
        picture = Path(scratch) / "picture.png"
        # where the server's compiled shaders are, so that those of the test are its as well
        shaders = ["env", f"PYTHONPATH={ROOT}", "MESA_SHADER_CACHE_DIR=/var/cache/appliance", f"TMPDIR={scratch}"]
        python = [str(_COMMANDS / "python"), "-m", "provisioning.self_test", "--picture", str(picture)]
        said = run(
            "runuser", "--user", "appliance", "--", *shaders, *python,
            mend=f"the account `appliance` must be able to read {ROOT}; docs/technician.md",
        )  # fmt: skip
        STATE.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(picture, PICTURE)
        drawn = json.loads(said.splitlines()[-1])
    _SELF_TEST.write_text(json.dumps(drawn | {"key": _picture_key()}))


def report(lines: Sequence[str], took_s: float) -> Path:
    """The file of this visit, for the technician's records; no patient and no key is in it."""
    STATE.mkdir(mode=0o700, exist_ok=True)
    now = datetime.now(UTC)
    file = STATE / f"report-{now:%Y%m%dT%H%M%SZ}.txt"
    disks = subprocess.run(
        [str(_COMMANDS / "appliance-zfs"), "disks"], capture_output=True, text=True, check=False
    ).stdout
    versions = subprocess.run(["uname", "-sr"], capture_output=True, text=True, check=False).stdout
    head = f"Box made or changed on {now:%Y-%m-%d at %H:%M} UTC, in {took_s / 60:.1f} minutes\n"
    file.write_text("\n".join((head, *lines, "", "Disks:", disks, "System:", versions)))
    file.chmod(0o600)
    return file
