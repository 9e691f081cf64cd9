"""What is planned for what was seen; that zfs(8) does it is for the machine tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zfs.scripted import scripted
from zfs.creation import Seen, Step, arrangement, carry_out, plan, read_permissions, read_properties
from zfs.disks import Disk
from zfs.layout import BOX, KEEPER, OURS, RECORDS, ROOT
from zfs.running import CommandFailed, Refusal

TB = 10**12
TWO = [Disk("/dev/disk/by-id/a", 4 * TB), Disk("/dev/disk/by-id/b", 4 * TB)]


class Pool:
    """What the planned commands leave behind, as far as plans look at it: names, properties, permissions."""

    def __init__(self, seen: Seen = Seen()) -> None:  # noqa: B008 (frozen)
        self.has_pool = seen.has_pool
        self.pool_properties = dict(seen.pool_properties)
        self.data_sets = {name: dict(found) for name, found in seen.data_sets.items()}
        self.permissions = {name: set(found) for name, found in seen.permissions.items()}

    @property
    def seen(self) -> Seen:
        allowed = {name: frozenset(found) for name, found in self.permissions.items()}
        return Seen(self.has_pool, self.pool_properties, self.data_sets, allowed)

    def carry_out(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step.command:
                case ("zpool", "create", *words):
                    assert not self.has_pool
                    self.has_pool = True
                    self.pool_properties = self._options(words, "-o")
                    self.data_sets[BOX.pool] = self._options(words, "-O")
                case ("zpool", "set", pair, BOX.pool):
                    name, _, value = pair.partition("=")
                    self.pool_properties[name] = self._told(value)
                case ("zfs", "create", "-u", *words, name):
                    assert name not in self.data_sets
                    assert name.rpartition("/")[0] in self.data_sets, "its parent is there first"
                    self.data_sets[name] = self._options(words, "-o")
                case ("zfs", "set", pair, name):
                    key, _, value = pair.partition("=")
                    self.data_sets[name][key] = self._told(value)
                case ("zfs", "allow", "-u", account, permissions, name):
                    assert account == KEEPER
                    self.permissions.setdefault(name, set()).update(permissions.split(","))
                case other:
                    raise AssertionError(f"unknown command {other}")

    def _options(self, words: Sequence[str], option: str) -> dict[str, str]:
        pairs = [after for word, after in pairwise(words) if word == option]
        return {name: self._told(value) for name, _, value in (pair.partition("=") for pair in pairs)}

    @staticmethod
    def _told(value: str) -> str:
        """``zfs get -p`` says sizes in bytes."""
        factors = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
        return str(int(value[:-1]) * factors[value[-1]]) if value[:-1].isdigit() and value[-1] in factors else value


def made() -> Pool:
    pool = Pool()
    pool.carry_out(plan(BOX, pool.seen, TWO))
    return pool


def test_from_nothing_comes_the_layout_and_a_second_run_finds_nothing_to_do() -> None:
    pool = made()

    assert plan(BOX, pool.seen) == []
    assert set(pool.data_sets) == {BOX.pool, *(data_set.name for data_set in BOX.data_sets)}


def test_only_the_encryption_root_is_given_the_key() -> None:
    steps = plan(BOX, Seen(), TWO)

    assert [step.command[-1] for step in steps if step.needs_key] == [ROOT]


def test_what_openzfs_calls_by_another_name_is_not_set_again() -> None:
    pool = made()
    for found in pool.data_sets.values():
        if found.get("xattr") == "sa":
            found["xattr"] = "on"  # as `zfs get` of 2.3 prints what was set as `sa`

    assert plan(BOX, pool.seen) == []


def test_attributes_in_a_folder_of_their_own_are_mended() -> None:
    pool = made()
    pool.data_sets[ROOT]["xattr"] = "dir"

    assert [step.command for step in plan(BOX, pool.seen)] == [("zfs", "set", "xattr=sa", ROOT)]


def test_a_key_is_kept_as_soon_as_it_is_in_force_whatever_fails_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = scripted(tmp_path, monkeypatch, "zpool", "zfs")
    commands.answer({f"zfs create -u -o canmount=off -o mountpoint=none {RECORDS}": "!out of space"})
    kept: list[str] = []

    with pytest.raises(CommandFailed, match="out of space"):
        carry_out(plan(BOX, Seen(), TWO), "0" * 64, keep=lambda: kept.append(commands.verbs[-1]))

    assert kept == [f"create {ROOT}"]


def test_no_key_is_ever_part_of_a_command() -> None:
    assert not any("keylocation=file" in word for step in plan(BOX, Seen(), TWO) for word in step.command)


@given(data=st.data())
def test_whatever_is_missing_or_was_changed_one_run_mends_it(data: st.DataObject) -> None:
    pool = made()
    fixed = {p.name for ds in BOX.data_sets for p in ds.properties if p.is_fixed} | {OURS}
    for name in data.draw(st.sets(st.sampled_from(sorted(pool.data_sets)))):
        found = pool.data_sets[name]
        for changed in data.draw(st.sets(st.sampled_from(sorted(found.keys() - fixed)))):
            found[changed] = "something else"
    for name in data.draw(st.sets(st.sampled_from(sorted(pool.permissions)))):
        pool.permissions[name].pop()
    leaves = [ds.name for ds in BOX.data_sets if ds.mountpoint]
    for name in data.draw(st.sets(st.sampled_from(leaves))):
        del pool.data_sets[name]

    pool.carry_out(plan(BOX, pool.seen))

    assert pool.seen == made().seen


def test_what_is_encrypted_otherwise_is_refused_and_not_changed() -> None:
    pool = made()
    pool.data_sets[ROOT]["keyformat"] = "passphrase"

    with pytest.raises(Refusal, match="keyformat is passphrase and should be hex"):
        plan(BOX, pool.seen)


def test_a_pool_that_somebody_made_without_encryption_is_refused() -> None:
    pool = made()
    pool.data_sets[ROOT]["encryption"] = "off"

    with pytest.raises(Refusal, match="encryption is off"):
        plan(BOX, pool.seen)


def test_a_pool_of_the_same_name_that_was_not_made_here_is_left_alone() -> None:
    stranger = Seen(True, {"ashift": "9"}, {BOX.pool: {OURS: "-", "canmount": "on", "mountpoint": "/tank"}})

    with pytest.raises(Refusal, match="that was not made here: nothing of it is changed"):
        plan(BOX, stranger)


def test_zpool_is_overruled_only_for_disks_that_may_be_erased() -> None:
    used = Disk("/dev/disk/by-id/c", 4 * TB, left_over=("ext4 on /dev/sdc",))

    assert "-f" not in plan(BOX, Seen(), TWO)[0].command
    first, second, third, *_ = (step.command for step in plan(BOX, Seen(), [*TWO, used]))
    assert (first, second) == (("wipefs", "--quiet", "--all", used.path), ("udevadm", "settle"))
    assert third[:3] == ("zpool", "create", "-f")


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (2, "mirror 0 1"),
        (3, "mirror 0 1 2"),
        (4, "mirror 0 1 mirror 2 3"),
        (5, "raidz2 0 1 2 3 4"),
        (10, "raidz2 0 1 2 3 4 5 6 7 8 9"),
    ],
)
def test_disks_are_put_together_so_that_any_one_may_fail(count: int, words: str) -> None:
    assert arrangement([Disk(str(n), TB) for n in range(count)]) == words.split()


@pytest.mark.parametrize("count", [0, 1, 11])
def test_too_few_and_too_many_disks_are_refused(count: int) -> None:
    with pytest.raises(Refusal, match=f"{count} disk"):
        arrangement([Disk(str(n), TB) for n in range(count)])


def test_disks_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(Refusal, match="between 1000 and 4000 GB"):
        arrangement([Disk("a", TB), Disk("b", 4 * TB)])


@given(sizes=st.lists(st.integers(TB, 3 * TB), min_size=0, max_size=12))
def test_every_disk_is_used_once_or_none_is(sizes: list[int]) -> None:
    disks = [Disk(f"/dev/{n}", size) for n, size in enumerate(sizes)]
    try:
        words = arrangement(disks)
    except Refusal:
        return
    assert sorted(word for word in words if word.startswith("/dev/")) == sorted(disk.path for disk in disks)
    groups = " ".join(words).replace("mirror", "|").replace("raidz2", "|").split("|")[1:]
    assert all(len(group.split()) >= 2 for group in groups)


def test_properties_are_read_as_zfs_get_prints_them() -> None:
    told = "tank\tatime\toff\ntank/appliance\tatime\toff\ntank/appliance\tquota\t137438953472\n"

    assert read_properties(told) == {
        "tank": {"atime": "off"},
        "tank/appliance": {"atime": "off", "quota": "137438953472"},
    }


ALLOWED = f"""\
---- Permissions on {RECORDS} ------------------------
Local+Descendent permissions:
\tuser {KEEPER} destroy,hold,mount,release,snapshot
\tuser somebody send
---- Permissions on {ROOT} ---------------------------
Local+Descendent permissions:
\tuser {KEEPER} load-key
"""


def test_permissions_are_those_on_the_data_set_itself() -> None:
    assert read_permissions(ALLOWED, RECORDS, KEEPER) == {"destroy", "hold", "mount", "release", "snapshot"}
    assert read_permissions(ALLOWED, ROOT, KEEPER) == {"load-key"}
    assert read_permissions("", ROOT, KEEPER) == set()
