"""Of what kind the file system is that a file lies on (proc(5), ``/proc/self/mountinfo``)."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = frozenset(
    [
        "9p",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    ]
)


def shared_kind(path: Path) -> str | None:
    """The kind of a file system that other machines use as well, where ``path`` lies on one; None of one of this machine."""
    kind = kind_of(path, _MOUNTS.read_text()) if _MOUNTS.exists() else ""
    return kind if kind in _SHARED else None


def kind_of(path: Path, mounts: str) -> str:
    """As ``mounts``, the text of such a file, has it; empty where nothing is mounted there."""
    found, length = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4]))
        # of two mounts at one place the later one is seen
        if path.resolve().is_relative_to(point) and len(point.parts) >= length:
            found, length = after.split()[0], len(point.parts)
    return found
