"""From a Debian to a box by the technician's one command (docs/technician.md); then used, started again, hung and cut off."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
import yaml

from provisioning.phantom import Phantom, Size, write_files
from tests.machine.conftest import CHECKOUT
from tests.machine.guest import Guest, holds

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

PROVISION = f"{CHECKOUT}/provisioning/provision --config /etc/appliance-site/site.yaml"
USERNAME, PASSWORD = "ana", "correct horse battery"
SLICES = Phantom(Size(12, 128, 128, 3.0, 5.0))
READY_TIMEOUT_S = 900
_ORIGINAL = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


def site() -> dict:  # type: ignore[type-arg]
    """A box that is everything, so that no other machine is needed; modalities come from where QEMU has us."""
    here = "https://localhost"
    return {
        "pool": {
            "disks": [f"/dev/disk/by-id/virtio-disk{n}" for n in range(2)],
            "key_from": "/etc/appliance-site/key",
        },
        "settings": {
            "roles": ["web", "toplevel", "institution", "node"],
            "listen": {
                "address": "::",
                "port": 443,
                "self_made": {"directory": "/var/lib/appliance/certificates", "names": ["localhost", "127.0.0.1"]},
            },
            "toplevel": {
                "base_url": here,
                "database": "sqlite:////var/lib/appliance/toplevel.sqlite",
                "signing_key": "/var/lib/appliance/keys/tokens.pem",
            },
            "institution": {
                "id": "0f7f4dc2-58a1-4c35-9a4e-7a6a3c9a1d01",
                "name": "Riverside Clinic",
                "base_url": here,
                "database": "sqlite:////var/lib/appliance/institution.sqlite",
                "new_patients": "create",
            },
            "node": {
                "id": "5f8a6a0e-7c07-4a3f-8b5e-0f6a3a2c9b02",
                "name": "First node",
                "base_url": here,
                "database": "sqlite:////var/lib/appliance/node.sqlite",
                "instances": {"directory": "/srv/dicom", "plain": True, "free_floor_bytes": 0},
                "drawing": {"render_cache_directory": "/srv/render-cache", "render_cache_bytes": 67108864},
                "dimse": {
                    "ae_title": "BOX", "address": "::", "port": 104,
                    "peers": [{"ae_title": "CT1", "hosts": ["10.0.2.2"], "verbs": ["echo", "store"]}],
                },
            },
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def box(make_guest: Callable[..., Guest], checkout: Path) -> Iterator[Guest]:
    guest = make_guest(disks=2, memory_mib=3072)
    guest.start()
    guest.push(checkout, CHECKOUT)
    guest.run("mkdir -m 700 /etc/appliance-site")
    guest.run("cat > /etc/appliance-site/site.yaml", given=yaml.safe_dump(site()).encode())
    guest.run("install -m 600 /dev/stdin /etc/appliance-site/key", given=f"{secrets.token_hex(32)}\n".encode())
    yield guest


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(write_files(SLICES, tmp_path_factory.mktemp("slices")))


def await_ready(box: Guest) -> None:
    started = time.monotonic()
    while box.run("curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1/readyz", check=False).out != "200":
        assert time.monotonic() - started < READY_TIMEOUT_S, box.run(
            "systemctl status appliance-clinic", check=False
        ).out
        time.sleep(1)


@pytest.fixture(scope="module")
def account(box: Guest) -> None:
    box.run(
        "runuser -u appliance -- /opt/appliance/bin/appliance create-account --config /etc/appliance/appliance.yaml"
        f" --username {USERNAME} --given-name Ana --family-name Anić --roles physician,administrator --password-stdin",
        given=f"{PASSWORD}\n".encode(),
    )


@pytest.fixture
def client(box: Guest, account: None, tmp_path: Path) -> Iterator[httpx.Client]:
    with contextlib.closing(client_of(box, tmp_path)) as opened:
        yield opened


def client_of(box: Guest, folder: Path) -> httpx.Client:
    """Logged in at the box, whose authority it trusts."""
    await_ready(box)
    authority = folder / "authority.pem"
    authority.write_bytes(box.pull("/var/lib/appliance/certificates/authority.pem"))
    trust = ssl.create_default_context(cafile=str(authority))
    opened = httpx.Client(base_url=f"https://localhost:{box.https_port}", verify=trust, timeout=600, trust_env=False)
    answer = opened.post(
        "/api/session", json={"username": USERNAME, "password": PASSWORD}, headers={"Origin": "https://localhost"}
    )
    assert answer.status_code == 200, answer.text
    opened.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return opened


def store(client: httpx.Client, file: Path) -> httpx.Response:
    head = b"--part\r\nContent-Type: application/dicom\r\n\r\n"
    return client.post(
        "/dicom-web/studies",
        content=head + file.read_bytes() + b"\r\n--part--\r\n",
        headers={
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=part',
            "Accept": "application/dicom+json",
        },
    )


def path_of(file: Path) -> str:
    ds = pydicom.dcmread(file, stop_before_pixels=True)
    return f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


def await_length(done: list[Path], least: int, worker: threading.Thread) -> None:
    while len(done) < least:
        assert worker.is_alive()
        time.sleep(0.1)


def changed(said: str) -> str:
    return re.sub(r"\(\d+ s\)", "", said.strip().splitlines()[-1])


def test_a_check_on_a_bare_machine_names_what_is_missing_and_changes_nothing(box):
    before = box.run("find /etc /opt -newer /etc/appliance-site/key -type f").out

    said = box.run(f"{PROVISION} --check", check=False)

    assert said.status == 1
    assert "Nothing was changed." in said.out
    assert box.run("find /etc /opt -newer /etc/appliance-site/key -type f").out == before


def test_the_one_command_makes_a_box_and_ends_with_a_picture(box, record_property):
    said = box.run(PROVISION, timeout_s=3600)
    print(said.out)

    took = re.search(r"From the start to the first picture: ([\d.]+) minutes", said.out)
    assert took is not None
    record_property("minutes_to_first_picture", took[1])
    picture = box.pull("/var/lib/appliance-provisioning/first-picture.png")
    assert picture.startswith(b"\x89PNG")
    assert "The report of this visit" in said.out


def test_the_second_run_changes_nothing(box):
    again = box.run(PROVISION)

    assert changed(again.out) == "Everything is as it should be; nothing was changed."
    assert box.run(f"{PROVISION} --check").out.strip().endswith("nothing was changed.")


def test_what_somebody_changed_by_hand_is_found_and_put_back(box):
    box.run("echo '# by hand' >> /etc/nftables.conf && systemctl disable --now appliance-scrub.timer")

    found = box.run(f"{PROVISION} --check", check=False)
    assert found.status == 1
    assert "/etc/nftables.conf" in found.out
    assert "appliance-scrub.timer does not start by itself" in found.out
    box.run(PROVISION)
    assert "by hand" not in box.run("cat /etc/nftables.conf").out


def test_the_page_of_the_checkout_comes_from_the_box(box, client, checkout):
    page = client.get("/", headers={"Accept-Encoding": "identity"})

    assert page.content == (checkout / "webui" / "dist" / "index.html").read_bytes()


def test_stored_slices_are_drawn_and_come_back_as_they_were(client, slices):
    for file in slices[:4]:
        assert store(client, file).status_code == 200
    picture = client.get(f"{path_of(slices[0])}/rendered", headers={"Accept": "image/png"})
    back = client.get(path_of(slices[0]), headers=_ORIGINAL)

    assert picture.status_code == 200
    assert picture.content.startswith(b"\x89PNG")
    assert slices[0].read_bytes() in back.content


def test_a_modality_that_is_listed_stores_by_dicom(box, client, slices):
    storescu = shutil.which("storescu", path="/usr/bin")
    assert storescu is not None, "apt-get install dcmtk"
    sent = subprocess.run(
        [storescu, "-v", "-aet", "CT1", "-aec", "BOX", "127.0.0.1", str(box.dimse_port), *map(str, slices[4:6])],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip

    assert sent.returncode == 0, sent.stderr
    assert slices[4].read_bytes()[-1000:] in client.get(path_of(slices[4]), headers=_ORIGINAL).content


@pytest.mark.parametrize("name", ["snapshot", "pool-status", "scrub", "verify"])
def test_each_timers_service_ends_well_as_its_account(box, client, name):
    box.run(f"systemctl start appliance-{name}.service")

    assert box.run(f"systemctl show -p Result --value appliance-{name}.service").out == "success\n"


def test_the_restore_is_practised_without_a_fault_while_instances_come_in(box, client, tmp_path):
    sent: list[Path] = []
    is_over = threading.Event()

    def send() -> None:
        for file in write_files(Phantom(Size(400, 128, 128, 3.0, 5.0), seed=3), tmp_path):
            if is_over.is_set():
                return
            if store(client, file).status_code == 200:
                sent.append(file)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        await_length(sent, 3, sender)
        box.run("systemctl start appliance-snapshot.service")
        before = len(sent)
        box.run("systemctl start appliance-drill.service")
        await_length(sent, before + 1, sender)
    finally:
        is_over.set()
        sender.join()

    found = json.loads(box.pull("/var/lib/appliance-pool/drill.json"))
    assert (found["faults"], found["is_well"]) == (0, True)
    assert found["instances"] >= 3
    assert box.run("zfs list -H -o name").out.count("drill") == 0


def test_nobody_is_refused_while_the_server_is_started_again(box, client):
    said: list[str] = []
    loop = (
        "rm -f /run/over; n=0; while [ ! -e /run/over ]; do n=$((n+1));"
        " timeout 600 bash -c '</dev/tcp/127.0.0.1/443' || echo refused; done; echo $n"
    )
    caller = threading.Thread(target=lambda: said.append(box.run(loop).out))
    caller.start()
    box.run("systemctl restart appliance-clinic.service")
    await_ready(box)
    box.run("touch /run/over")
    caller.join()

    assert "refused" not in said[0]
    assert int(said[0].split()[-1]) > 3


def test_a_server_that_hangs_is_started_again_by_its_watchdog(box, client):
    before = box.run("systemctl show -p MainPID --value appliance-clinic").out.strip()
    box.run(f"kill -STOP {before}")

    started = time.monotonic()
    while box.run("systemctl show -p MainPID --value appliance-clinic").out.strip() in (before, "0"):
        assert time.monotonic() - started < READY_TIMEOUT_S
        time.sleep(1)
    await_ready(box)
    assert "Watchdog timeout" in box.run("journalctl -b -u appliance-clinic --output cat --no-pager").out


def test_what_was_acknowledged_is_there_bit_for_bit_after_the_power_was_cut(box, account, tmp_path):
    acknowledged: list[Path] = []
    with contextlib.closing(client_of(box, tmp_path)) as opened:
        many = list(write_files(Phantom(Size(200, 128, 128, 3.0, 5.0), seed=2), tmp_path / "many"))

        def send() -> None:
            with contextlib.suppress(httpx.HTTPError):
                for file in many:
                    if store(opened, file).status_code == 200:
                        acknowledged.append(file)

        sender = threading.Thread(target=send)
        sender.start()
        await_length(acknowledged, 5, sender)
        box.cut_power()
        sender.join()
    box.start()
    await_ready(box)

    assert 5 <= len(acknowledged) < len(many)
    with contextlib.closing(client_of(box, tmp_path)) as opened:
        for file in acknowledged:
            assert file.read_bytes() in opened.get(path_of(file), headers=_ORIGINAL).content
    assert box.run("systemctl start appliance-verify.service", check=False).status == 0


def test_no_disk_of_a_box_that_is_off_holds_a_patients_name(box, client, slices, tmp_path):
    name, control = f"Sought^{secrets.token_hex(8)}", f"CONTROL {secrets.token_hex(8)}"
    ds = pydicom.dcmread(slices[0])
    ds.PatientName, ds.SOPInstanceUID = name, pydicom.uid.generate_uid()
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(tmp_path / "sought.dcm")
    assert store(client, tmp_path / "sought.dcm").status_code == 200
    assert (
        client.get(f"{path_of(tmp_path / 'sought.dcm')}/rendered", headers={"Accept": "image/png"}).status_code == 200
    )
    box.run("zfs create -o mountpoint=/mnt/plain -o compression=off tank/plain")
    box.run("tee /mnt/plain/control > /var/tmp/control && sync && zpool sync tank", given=control.encode())
    box.power_off()

    assert any(holds(disk, control.encode()) for disk in box.disks)
    assert holds(box.system_disk, control.encode())
    assert not any(holds(disk, name.encode()) for disk in (*box.disks, box.system_disk))
