"""The units as systemd of this machine judges them, and as the rest of the project means them.

That they run on a box is for the machine tests: `security` knows what a unit asks for, not whether it can do its work so.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.__main__ import _parser
from certificates.__main__ import parser as certificate_parser
from zfs.__main__ import parser as zfs_parser
from zfs.layout import BOX

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ROOT / "systemd" / "system"
UNITS = sorted(path for path in SYSTEM.iterdir() if path.is_file())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
HARDENING = SYSTEM / "appliance-.service.d" / "10-hardening.conf"

EXPOSURE = {
    "appliance-backup.service": 2.6,  # root with two capabilities: it mounts snapshots and reads what is another account's
    "appliance-drill.service": 2.9,  # the same, and what it restored is read by the server's account
}
"""At most so exposed, of 10; all others 1.5."""
_PROGRAMS = (
    "/opt/appliance/bin/appliance",
    "/opt/appliance/bin/appliance-zfs",
    "/opt/appliance/bin/appliance-certificate",
)
_OF_ZFS = ("zfs-import.target",)
"""Units of Debian's zfsutils-linux that ours build upon."""

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


class Unit(configparser.ConfigParser):
    """A unit file; of a key that comes several times all values, in order."""

    def __init__(self, file: Path) -> None:
        super().__init__(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str  # type: ignore[assignment, method-assign]
        self.lines = file.read_text().splitlines()
        self.read_string("\n".join(self.lines))

    def all_of(self, key: str) -> list[str]:
        return [line.partition("=")[2] for line in self.lines if line.startswith(f"{key}=")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units beside programs that are there: systemd looks whether what they start can be started."""
    folder = tmp_path_factory.mktemp("systemd")
    units = Path(shutil.copytree(SYSTEM, folder / "system"))
    for program in _PROGRAMS:
        stand_in = folder / program[1:]
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text("#!/bin/sh\n")
        stand_in.chmod(0o755)
    for unit in units.glob("*.service"):
        text = unit.read_text()
        for program in sorted(_PROGRAMS, key=len, reverse=True):
            text = re.sub(rf"={re.escape(program)} ", f"={folder}{program} ", text)
        unit.write_text(text)
    for name in _OF_ZFS:
        (units / name).write_text("[Unit]\nDescription=As Debian's zfsutils-linux has it\n")
    return units


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@needs_systemd
def test_systemd_finds_nothing_wrong_with_any_unit(installed: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", *(str(installed / unit.name) for unit in UNITS))

    assert (done.stdout + done.stderr).strip() == ""
    assert done.returncode == 0


@needs_systemd
def test_systemd_would_have_found_a_key_that_it_does_not_know(installed: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "appliance-wrong.service"
    wrong.write_text((installed / "appliance-central.service").read_text().replace("WatchdogSec", "WatchdogSecs"))

    assert "WatchdogSecs" in analyze("verify", "--man=no", "--recursive-errors=no", str(wrong)).stderr


@needs_systemd
@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_service_is_exposed_no_more_than_it_must_be(installed: Path, service: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=100", str(installed / service.name))
    exposure = re.search(r"Overall exposure level for \S+ ([\d.]+)", done.stdout)

    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) <= EXPOSURE.get(service.name, 1.5), done.stdout


@needs_systemd
def test_the_common_hardening_is_counted(installed: Path, tmp_path: Path) -> None:
    """Else the test before would say nothing about the file that has most of it."""
    alone = tmp_path / "appliance-central.service"
    shutil.copy(installed / "appliance-central.service", alone)

    def exposure(unit: Path) -> float:
        said = analyze("security", "--offline=true", "--threshold=100", str(unit)).stdout
        return float(re.search(r"Overall exposure level for \S+ ([\d.]+)", said)[1])  # type: ignore[index]

    assert exposure(alone) > exposure(installed / "appliance-central.service") + 1


_OPENS = re.compile(
    r"(Ambient\w+|CapabilityBoundingSet|DeviceAllow)=.+|ProcSubset=all|(Private|Protect|Restrict|MemoryDeny)\w+=no"
)


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_each_relaxation_has_its_reason_above_it(service: Path) -> None:
    reason = False
    for line in Unit(service).lines:
        if line.startswith("#"):
            reason = True
        elif _OPENS.fullmatch(line):
            assert reason, line
        else:
            reason = False


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_each_service_says_itself_what_the_common_hardening_leaves_open(service: Path) -> None:
    unit = Unit(service)["Service"]
    common = Unit(HARDENING)["Service"]

    for key in ("CapabilityBoundingSet", "PrivateUsers", "ProcSubset", "MemoryDenyWriteExecute", "SystemCallFilter"):
        assert key in unit, key
    assert not set(unit) & set(common), "what both say, the common file decides"


def test_nobody_is_root_but_the_backup_and_its_drill() -> None:
    assert [service.name for service in SERVICES if "User" not in Unit(service)["Service"]] == [
        "appliance-backup.service",
        "appliance-drill.service",
    ]


def test_servers_are_watched_reloaded_and_given_their_sockets() -> None:
    for name in ("central", "clinic"):
        unit = Unit(SYSTEM / f"appliance-{name}.service")
        service = unit["Service"]
        assert service["Type"] == "notify"
        assert service["WatchdogSec"] == "30"
        assert service["KillMode"] == "mixed", "helpers are ended by their parent"
        assert unit["Unit"]["Requires"] == f"appliance-{name}.socket"
        socket = Unit(SYSTEM / f"appliance-{name}.socket")["Socket"]
        assert (socket["ListenStream"], socket["ListenDatagram"]) == ("[::]:443", "[::]:443")
        assert socket["FileDescriptorName"] == "https"
    assert Unit(SYSTEM / "appliance-dimse.socket")["Socket"]["FileDescriptorName"] == "dimse"


def test_servers_never_start_on_the_root_which_is_not_encrypted() -> None:
    wanted = {
        "central": ["/var/lib/appliance"],
        "clinic": ["/var/lib/appliance", "/srv/dicom", "/srv/render-cache"],
    }
    for name, folders in wanted.items():
        unit = Unit(SYSTEM / f"appliance-{name}.service")
        assert unit.all_of("AssertPathIsMountPoint") == folders
        assert unit["Unit"]["RequiresMountsFor"].split() == folders
        assert unit["Service"]["ReadWritePaths"].split() == folders
        assert Unit(SYSTEM / f"appliance-{name}.socket")["Unit"]["RequiresMountsFor"].split() == folders


def test_each_data_set_with_files_has_its_mount_unit() -> None:
    mounts = {Unit(path)["Mount"]["What"]: (path.name, Unit(path)) for path in UNITS if path.suffix == ".mount"}

    assert mounts.keys() == {ds.name for ds in BOX.data_sets if ds.mountpoint}
    for data_set in BOX.data_sets:
        if data_set.mountpoint:
            name, unit = mounts[data_set.name]
            escaped = data_set.mountpoint[1:].replace("-", "\\x2d").replace("/", "-")
            assert name == f"{escaped}.mount"
            assert unit["Mount"]["Where"] == data_set.mountpoint
            assert unit["Unit"]["Requires"] == unit["Unit"]["After"] == "appliance-load-key.service"


def test_each_timer_has_its_service_and_is_enabled() -> None:
    timers = {path.stem for path in UNITS if path.suffix == ".timer"}
    preset = (ROOT / "systemd/system-preset/80-appliance.preset").read_text()

    assert timers == {
        f"appliance-{name}" for name in ("snapshot", "pool-status", "scrub", "verify", "backup", "drill", "certificate")
    }
    assert timers <= {path.stem for path in SERVICES}
    assert set(re.findall(r"^enable (\S+)\.timer$", preset, re.MULTILINE)) == timers
    for name in re.findall(r"^(?:enable|disable) (\S+)$", preset, re.MULTILINE):
        assert (SYSTEM / name).is_file(), name


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_each_command_is_one_that_the_programs_know(service: Path) -> None:
    unit = Unit(service)
    for line in unit.all_of("ExecStartPre") + unit.all_of("ExecStart") + unit.all_of("ExecStop"):
        program, *words = shlex.split(line.replace("${BACKUP_TO}", "spare/box").replace("%", "/percent/"))
        if program.endswith("/appliance-zfs"):
            zfs_parser().parse_args(words)
        elif program.endswith("/appliance-certificate"):
            certificate_parser().parse_args(words)
        else:
            assert program.endswith("/appliance")
            _parser().parse_args(words)


@pytest.mark.parametrize("timer", [path for path in UNITS if path.suffix == ".timer"], ids=lambda path: path.name)
@needs_systemd
def test_each_time_is_one_that_comes(timer: Path) -> None:
    for moment in Unit(timer).all_of("OnCalendar"):
        done = analyze("calendar", moment)
        assert done.returncode == 0, done.stderr
        assert "Next elapse: never" not in done.stdout


def in_root(root: Path, *command: str) -> None:
    """A program of systemd does its work on the system below ``root``."""
    (root / "etc").mkdir(exist_ok=True)
    program, *words = command
    done = subprocess.run([program, f"--root={root}", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


needs_installer = pytest.mark.skipif(
    not (shutil.which("systemd-sysusers") and shutil.which("systemd-tmpfiles")) or os.geteuid() != 0,
    reason="systemd-sysusers and systemd-tmpfiles make accounts and folders for root only, where they are installed",
)
SYSUSERS = ROOT / "systemd/sysusers.d/appliance.conf"


@needs_installer
def test_accounts_are_made_with_the_groups_of_the_graphics_card(tmp_path: Path) -> None:
    in_root(tmp_path, "systemd-sysusers", str(SYSUSERS))

    homes = dict(line.split(":")[0::5] for line in (tmp_path / "etc/passwd").read_text().splitlines())
    groups = {line.split(":")[0]: line.split(":")[3] for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert homes["appliance"] == "/var/lib/appliance"
    assert homes.keys() == {"appliance", "appliance-pool", "appliance-certificate"}
    assert (groups["render"], groups["video"]) == ("appliance", "appliance")


@needs_installer
def test_folders_are_made_that_only_the_server_reads(tmp_path: Path) -> None:
    in_root(tmp_path, "systemd-sysusers", str(SYSUSERS))
    in_root(tmp_path, "systemd-tmpfiles", "--create", str(ROOT / "systemd/tmpfiles.d/appliance.conf"))

    accounts = {
        (fields := line.split(":"))[0]: int(fields[2]) for line in (tmp_path / "etc/passwd").read_text().splitlines()
    }
    for folder in ("srv/dicom", "srv/render-cache", "var/lib/appliance"):
        made = (tmp_path / folder).stat()
        assert (made.st_uid, made.st_mode & 0o777) == (accounts["appliance"], 0o700), folder
    assert (tmp_path / "etc/appliance").stat().st_mode & 0o777 == 0o750


def test_every_account_that_a_unit_names_is_made() -> None:
    made = set(re.findall(r"^u (\S+)", SYSUSERS.read_text(), re.MULTILINE))

    assert {user for service in SERVICES for user in Unit(service).all_of("User")} == made
