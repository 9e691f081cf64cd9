"""The life of one pool, on real OpenZFS: made, looked after by its timers' services, damaged, mended, copied, locked, stolen.

The tests are its days: they come one after the other, on one machine.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machine.conftest import installed
from tests.machine.guest import MEBIBYTE, Guest, digest, holds
from zfs import keys
from zfs.layout import BOX, RECORDS, ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]

KEY = secrets.token_hex(32)
ROTATED = secrets.token_hex(32)
DISKS = [f"/dev/disk/by-id/virtio-disk{n}" for n in range(4)]
MARK = b"PLAIN TEXT THAT NOBODY ELSE WRITES " + secrets.token_hex(8).encode()
MOUNTS = ("var-lib-appliance.mount", "srv-dicom.mount", r"srv-render\x2dcache.mount")
COPY_POOL = "safe"


@pytest.fixture(scope="module")
def box(make_guest: Callable[..., Guest], checkout: Path) -> Iterator[Guest]:
    guest = installed(make_guest(), checkout)
    guest.run("install -m 600 /dev/stdin /run/key", given=f"{KEY}\n".encode())
    yield guest


def zfs(box: Guest, command: str, *, given: bytes = b"", check: bool = True) -> str:
    answer = box.run(f"/opt/appliance/bin/appliance-zfs {command}", given=given, check=check)
    return answer.out + answer.err


def status(box: Guest) -> dict:  # type: ignore[type-arg]
    return json.loads(box.run("/opt/appliance/bin/appliance-zfs status --json", check=False).out)  # type: ignore[no-any-return]


def service(box: Guest, name: str) -> str:
    """What the service said, which its timer would have started; fails unless it ended well."""
    box.run(f"systemctl start {name}")
    return box.run(f"journalctl --unit {name} --boot --output cat --no-pager").out


def test_installing_again_changes_nothing(box):
    again = box.run("/usr/src/appliance/provisioning/provision --install-only --check")

    assert "nothing was changed" in again.out


def test_a_check_says_what_would_be_created_and_touches_no_disk(box):
    before = [digest(disk) for disk in box.disks]

    said = box.run(f"/opt/appliance/bin/appliance-zfs create --check {' '.join(DISKS[:3])}", check=False)

    assert said.status == 1
    assert "would run: zpool create" in said.out
    assert [digest(disk) for disk in box.disks] == before


def test_a_disk_that_holds_something_is_refused_until_it_is_said_to_be_erased(box):
    box.run(f"mkswap -q {DISKS[2]} 2>&1")

    said = box.run(f"/opt/appliance/bin/appliance-zfs create --check {' '.join(DISKS[:3])}", check=False)

    assert said.status == 1
    assert f"{DISKS[2]} holds something: swap" in said.err


def test_the_pool_is_created_once_and_found_complete_the_second_time(box):
    first = zfs(box, f"create {DISKS[0]} {DISKS[1]} --erase {DISKS[2]} --key-from /run/key")
    second = zfs(box, "create")

    assert "is as it should be now" in first
    assert second == f"{BOX.pool} is as it should be\n"
    assert "/etc/credstore.encrypted/pool.key" in first


def test_every_property_is_as_the_layout_says(box):
    for data_set in BOX.data_sets:
        names = ",".join(data_set.wanted)
        told = box.run(f"zfs get -H -o property,value {names} {data_set.name}").out
        found = dict(line.split("\t") for line in told.splitlines())
        assert found | {"xattr": "sa"} == dict(data_set.wanted) | {"xattr": "sa"}, data_set.name
        assert found.get("xattr", "on") == "on", "as OpenZFS 2.3 calls `sa`"


def test_the_units_mount_all_three_and_give_them_to_the_server(box):
    box.run(["systemctl", "start", *MOUNTS])
    box.run("systemd-tmpfiles --create /etc/tmpfiles.d/appliance.conf")

    for folder in ("/var/lib/appliance", "/srv/dicom", "/srv/render-cache"):
        assert box.run(f"stat -c '%U %a' {folder}").out == "appliance 700\n"
        assert box.run(f"findmnt -n -o FSTYPE,OPTIONS {folder}").out.startswith("zfs ")


def test_a_snapshot_is_taken_by_the_account_that_is_not_root(box):
    box.run(["tee", "/srv/dicom/mark"], given=MARK)
    said = service(box, "appliance-snapshot")

    taken = box.run(f"zfs list -H -t snapshot -r -o name {RECORDS}").out.split()
    assert len(taken) == 3
    assert taken[0] in said
    assert len({name.partition("@")[2] for name in taken}) == 1
    assert box.run("systemctl show -p User --value appliance-snapshot").out == "appliance-pool\n"


def test_the_state_of_the_pool_is_written_for_the_server_and_nothing_is_amiss_but_the_first_scrub(box):
    service(box, "appliance-pool-status")

    told = json.loads(box.run("runuser -u appliance -- cat /run/appliance-pool/status.json").out)
    assert told["state"] == "ONLINE"
    assert {disk["name"] for disk in told["disks"]} == {Path(disk).name for disk in DISKS[:3]}
    assert [name["name"] for name in told["data_sets"] if not name["is_mounted"]] == []
    assert told["problems"] == ["no scrub has ended for 45 days"]


def test_a_scrub_by_its_service_is_waited_for_and_is_then_known(box):
    service(box, "appliance-scrub")

    assert status(box)["problems"] == []
    assert status(box)["scan"]["function"] == "SCRUB"


def test_what_another_program_wrote_over_a_disk_is_healed_by_a_scrub_and_reported(box):
    content = secrets.token_bytes(64 * MEBIBYTE)
    box.run("cat > /srv/dicom/large && sync", given=content)
    before = box.run("sha256sum < /srv/dicom/large").out

    # nearly all of it, since nobody says where ZFS has put the file; the labels at both ends stay, and the disk in the pool
    box.run(f"dd if=/dev/zero of={DISKS[1]} bs=1M seek=16 count=1984 conv=notrunc oflag=direct")
    box.run("echo 3 > /proc/sys/vm/drop_caches")
    said = box.run("/opt/appliance/bin/appliance-zfs scrub", check=False)

    assert said.status == 1
    assert "disk virtio-disk1 is" in said.out
    assert "checksum errors" in said.out
    assert box.run("sha256sum < /srv/dicom/large").out == before
    box.run("zpool clear tank")
    assert box.run("/opt/appliance/bin/appliance-zfs scrub", check=False).status == 0


def test_another_disk_takes_the_place_of_a_broken_one(box):
    box.run(f"zpool offline tank {DISKS[1]}")
    said = zfs(box, f"replace virtio-disk1 {DISKS[3]}")

    assert "tank is ONLINE" in said
    assert "virtio-disk3" in {disk["name"] for disk in status(box)["disks"]}
    assert "virtio-disk1" not in {disk["name"] for disk in status(box)["disks"]}


def test_a_copy_on_another_pool_is_compared_file_by_file_and_the_next_builds_upon_it(box):
    box.run(f"wipefs --quiet --all {DISKS[1]} && udevadm settle")
    box.run(f"zpool create -f -O canmount=off -O mountpoint=none {COPY_POOL} {DISKS[1]}")
    box.run(f"zfs create -o encryption=on -o keyformat=hex -o keylocation=file:///run/key {COPY_POOL}/copies")

    first = json.loads(zfs(box, f"replicate --to {COPY_POOL}/copies --write /run/backup.json"))
    box.run("echo later > /srv/dicom/later")
    service(box, "appliance-snapshot")
    second = json.loads(zfs(box, f"replicate --to {COPY_POOL}/copies"))

    assert [data_set["base"] for data_set in first["data_sets"]] == [None, None]
    assert first["is_well"]
    assert sum(data_set["comparison"]["files_read"] for data_set in first["data_sets"]) > 0
    assert second["is_well"]
    assert all(data_set["base"] for data_set in second["data_sets"])
    assert json.loads(box.pull("/run/backup.json"))["differences"] == 0


def test_a_copy_that_is_not_encrypted_is_refused(box):
    said = box.run("/opt/appliance/bin/appliance-zfs replicate --to safe", check=False)

    assert said.status == 1
    assert "safe is not encrypted" in said.err


def test_a_rotated_key_opens_and_the_old_one_does_not(box):
    box.run("install -m 600 /dev/stdin /run/rotated", given=f"{ROTATED}\n".encode())
    said = zfs(box, "rotate-key --key-from /run/rotated")

    assert "opens with the new key only" in said
    assert zfs(box, "check-key", given=keys.sheet(ROTATED).encode()) == f"this sheet opens {ROOT}\n"
    assert (
        box.run("/opt/appliance/bin/appliance-zfs check-key", given=keys.sheet(KEY).encode(), check=False).out
        == f"this sheet does not open {ROOT}\n"
    )


def test_the_box_opens_its_pool_by_itself_at_the_next_start(box):
    box.restart()

    box.run(["systemctl", "start", *MOUNTS])
    assert box.pull("/srv/dicom/mark") == MARK
    assert box.run("zfs get -H -o value keystatus tank/appliance").out == "available\n"


def test_a_box_with_another_board_starts_and_stays_locked_and_a_sheet_opens_it(box):
    box.power_off()
    box.exchange_tpm()
    box.start()

    assert box.run(["systemctl", "start", *MOUNTS], check=False).status != 0
    assert box.run("zfs get -H -o value keystatus tank/appliance").out == "unavailable\n"
    assert box.run("ls /srv/dicom").out == ""
    service(box, "appliance-pool-status")
    assert (
        "the pool is locked: its key is not loaded"
        in json.loads(box.pull("/run/appliance-pool/status.json"))["problems"]
    )

    zfs(box, "load-key", given=keys.sheet(ROTATED).encode())
    zfs(box, "seal-key", given=keys.sheet(ROTATED).encode())
    box.run(["systemctl", "start", *MOUNTS])
    assert box.pull("/srv/dicom/mark") == MARK


def test_nothing_of_a_locked_pool_can_be_read_on_its_disks(box):
    box.run("zfs create -o mountpoint=/mnt/plain -o compression=off tank/plain")
    control = MARK.replace(b"PLAIN", b"OTHER")
    box.run("cat > /mnt/plain/mark && sync && zpool sync tank", given=control)
    box.run(["systemctl", "stop", *MOUNTS])
    zfs(box, "unload-key")
    box.run("sync")

    assert any(holds(disk, control) for disk in box.disks), (
        "the control is not found either: the search is worth nothing"
    )
    assert not any(holds(disk, MARK) for disk in box.disks)
