"""The layout as data: rules that hold for every property and every data set."""

from __future__ import annotations

import pytest

from zfs import names
from zfs.layout import BOX, RECORDS, ROOT, DataSet

WITH_FILES = [data_set for data_set in BOX.data_sets if data_set.mountpoint]


@pytest.mark.parametrize("data_set", BOX.data_sets, ids=lambda data_set: data_set.name)
def test_every_data_set_and_property_has_a_reason(data_set: DataSet) -> None:
    assert len(data_set.reason) > 20
    for wanted in data_set.properties:
        assert len(wanted.reason) > 12, wanted.name


def test_each_data_set_comes_after_the_one_that_it_lies_in() -> None:
    seen = {BOX.pool}
    for data_set in BOX.data_sets:
        assert data_set.name.rpartition("/")[0] in seen
        seen.add(names.data_set(data_set.name))


def test_everything_lies_below_the_one_encryption_root() -> None:
    root = BOX.data_sets[0]

    assert root.name == ROOT
    assert root.wanted["encryption"] == "aes-256-gcm"
    assert root.wanted["keyformat"] == "hex"
    assert root.wanted["keylocation"] == "prompt", "never a file beside the data"
    for data_set in BOX.data_sets[1:]:
        assert data_set.name.startswith(f"{ROOT}/")
        assert not {"encryption", "keyformat", "keylocation"} & data_set.wanted.keys()


def test_nothing_is_ever_acknowledged_before_it_is_durable() -> None:
    assert [ds.wanted["sync"] for ds in BOX.data_sets if "sync" in ds.wanted] == ["standard"]


def test_nothing_is_mounted_before_its_key_is_there() -> None:
    for data_set in BOX.data_sets:
        assert data_set.wanted["canmount"] == ("noauto" if data_set.mountpoint else "off")


def test_one_snapshot_holds_databases_and_instances_and_not_what_was_made_of_them() -> None:
    inside = {data_set.name for data_set in WITH_FILES if data_set.name.startswith(f"{RECORDS}/")}

    assert inside == {f"{RECORDS}/database", f"{RECORDS}/instances"}
    assert {data_set.name for data_set in WITH_FILES} - inside == {f"{ROOT}/render-cache"}
