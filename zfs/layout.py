"""The pool and its data sets as data: what each property is, and why.

    tank                              the pool; nothing is kept in it itself
    └── appliance                     the encryption root: one key for all below
        ├── records                   what is snapshotted and copied, together, at one moment
        │   ├── database              /var/lib/appliance: databases, keys, heads of audit trails
        │   └── instances             /srv/dicom: DICOM as it came, and the spool
        └── render-cache              /srv/render-cache: what was made of it; no snapshots, so that deleted is deleted

The spool is a folder of ``instances`` and not a data set of its own: an instance is renamed from it into its place, which no file
system does across its border. Names, sizes and properties are not encrypted: nothing in them ever names a patient.

References: zpoolprops(7), zfsprops(7), zpool-features(7), zfs-allow(8), of OpenZFS 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

POOL = "tank"
ROOT = f"{POOL}/appliance"
RECORDS = f"{ROOT}/records"
KEEPER = "appliance-pool"
"""The account whose services look after the pool (systemd/sysusers.d)."""


@dataclass(frozen=True)
class Property:
    """A property, its value and the reason."""

    name: str
    value: str
    reason: str
    is_fixed: bool = False
    """Whether it can only be given at creation."""


@dataclass(frozen=True)
class DataSet:
    """A file system of the pool; what it does not say it inherits from the one above."""

    name: str
    reason: str
    properties: tuple[Property, ...] = ()
    permissions: tuple[str, ...] = ()
    """What ``KEEPER`` may do with it and all below, without being root (zfs-allow(8))."""
    mountpoint: str | None = None

    @property
    def wanted(self) -> Mapping[str, str]:
        """Name and value of each property."""
        return {p.name: p.value for p in self.properties}


@dataclass(frozen=True)
class Layout:
    """A pool and what is in it, from the root to the leaves."""

    pool: str
    pool_properties: tuple[Property, ...]
    data_sets: tuple[DataSet, ...]
    dataset_root: tuple[Property, ...] = field(default=())
    """Of the pool's own data set, which the others inherit from."""


POOL_PROPERTIES = (
    Property(
        "ashift", "12", "sectors of 4 KiB: disks that call theirs 512 bytes long are slow with less", is_fixed=True
    ),
    Property("autotrim", "on", "an SSD is told what is free, or it becomes slow"),
    Property(
        "compatibility", "openzfs-2.2-linux", "the version before still opens the pool when an update is rolled back"
    ),
)

OURS = "org.appliance:pool"
"""Property of the pool's own data set: whether the pool was made here."""

POOL_ROOT = (
    Property(OURS, "yes", "another pool of the same name is not taken for ours, and not changed", is_fixed=True),
    Property("canmount", "off", "nothing is kept outside of the encryption root"),
    Property("mountpoint", "none", "nothing below is mounted by accident"),
)

DATA_SETS = (
    DataSet(
        ROOT,
        "the encryption root: one key opens all of the appliance's data sets",
        (
            Property("encryption", "aes-256-gcm", "authenticated, and fast where the processor has AES", is_fixed=True),
            Property(
                "keyformat", "hex", "can be printed, typed back, and judged by zdb on another machine", is_fixed=True
            ),
            Property("keylocation", "prompt", "never a file: whoever has the disks would have it too"),
            Property("canmount", "off", "holds data sets, not files"),
            Property("mountpoint", "none", "each data set below says its own"),
            Property("checksum", "sha256", "what a scrub proves is worth more than with fletcher4"),
            Property("compression", "zstd", "halves what modalities send uncompressed, at the speed of disks"),
            Property("atime", "off", "reading a picture is not a write"),
            Property("xattr", "sa", "attributes lie with the file, not in a folder of their own"),
            Property("dnodesize", "auto", "room for those attributes in the file's own entry"),
            Property("acltype", "off", "one account owns everything"),
            Property(
                "dedup",
                "off",
                "equal instances are found by their hash before they are stored; a table would fill memory",
            ),
            Property("devices", "off", "data never is a device"),
            Property("setuid", "off", "data never runs as somebody else"),
            Property("exec", "off", "data never runs"),
            Property("sync", "standard", "what fsync acknowledged survives a power cut; `disabled` lost 211 of 212"),
            Property("snapdir", "hidden", "nobody walks into a snapshot by listing a folder"),
        ),
        permissions=("load-key",),
    ),
    DataSet(
        RECORDS,
        "one recursive snapshot is databases and instances at one moment",
        (
            Property("canmount", "off", "holds data sets, not files"),
            Property("mountpoint", "none", "each data set below says its own"),
        ),
        permissions=("snapshot", "destroy", "mount", "hold", "release"),
    ),
    DataSet(
        f"{RECORDS}/database",
        "databases, keys and the heads of audit trails",
        (
            Property("canmount", "noauto", "mounted by its own unit after the key, never by `zfs mount -a` before it"),
            Property(
                "recordsize", "16K", "databases write pages of 4 and 8 KiB: one of 1 MiB would be written anew for each"
            ),
            Property("logbias", "latency", "a commit is waited for"),
            Property("redundant_metadata", "all", "small, and the dearest to lose"),
            Property("reservation", "1G", "a store that is full can still delete, which writes to the index"),
        ),
        mountpoint="/var/lib/appliance",
    ),
    DataSet(
        f"{RECORDS}/instances",
        "DICOM as it came, one file each, and the spool",
        (
            Property("canmount", "noauto", "mounted by its own unit after the key, never by `zfs mount -a` before it"),
            Property(
                "recordsize",
                "1M",
                "written once and read from beginning to end: large records compress better and scrub faster",
            ),
        ),
        mountpoint="/srv/dicom",
    ),
    DataSet(
        f"{ROOT}/render-cache",
        "decoded frames and thumbnails: derived, bounded, disposable",
        (
            Property("canmount", "noauto", "mounted by its own unit after the key, never by `zfs mount -a` before it"),
            Property("recordsize", "1M", "written once and read whole"),
            Property("compression", "lz4", "decoded frames shrink little and are wanted at once"),
            Property("redundant_metadata", "some", "what is lost is made again"),
            Property("quota", "128G", "whatever the settings say, it never takes the room of instances"),
        ),
        mountpoint="/srv/render-cache",
    ),
)

BOX = Layout(POOL, POOL_PROPERTIES, DATA_SETS, POOL_ROOT)
