"""What kind of file system a path is on."""

from pathlib import Path

import pytest

from appliance.domain.errors import SettingsError
from appliance.storage import database, mounts
from appliance.storage.database import Database

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw - xfs /dev/sdb rw
31 30 0:41 / /srv/dicom ro - nfs4 nas:/dicom ro
32 30 0:42 / /srv/with\040blank ro - cifs //nas/share ro
33 22 0:43 / /over rw - ext4 /dev/sdc rw
34 33 0:44 / /over rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/hosts", "ext4"),
        ("/srv/other", "xfs"),
        ("/srv/dicom/instances/ab", "nfs4"),
        ("/srv/dicom-of-another", "xfs"),
        ("/srv/with blank/x", "cifs"),
        ("/over/x", "tmpfs"),
    ],
)
def test_the_nearest_mount_above_a_path_says_its_kind(path, kind):
    assert mounts.kind_of(Path(path), MOUNTS) == kind


def test_the_file_system_of_this_machine_is_shared_with_nobody(tmp_path):
    assert mounts.shared_kind(tmp_path) is None


def test_an_index_in_sqlite_is_not_read_over_the_network(tmp_path, monkeypatch):
    (tmp_path / "node.sqlite").touch()
    monkeypatch.setattr(database.mounts, "shared_kind", lambda path: "nfs4")

    with pytest.raises(SettingsError, match="nfs4"):
        Database(f"sqlite:///{tmp_path}/node.sqlite", is_read_only=True).read(lambda tx: None)
