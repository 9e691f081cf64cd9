"""The pool of a box: what it is made of, and the commands that look, say, change if needed and look again.

    layout.py        the pool and its data sets as data, each property with its reason
    disks.py         the machine's disks, and whether they hold anything
    creation.py      from empty disks to the layout; a second run finds nothing to do
    keys.py          the one key: made, written down, typed back, loaded, unloaded, changed
    snapshots.py     one moment of databases and instances, every hour; which go, and which stay
    scrubbing.py     every block read and compared
    replacement.py   another disk for one that fails
    replication.py   the newest snapshot to another pool or box
    manifests.py     what is in a snapshot, by hashes: a copy is believed when these agree
    drill.py         the restore, practised
    drill_reports.py what came of each drill, signed
    status.py        how the pool is, as JSON
    running.py       the one place that starts zfs(8) and zpool(8), here or on another box

Plans are made by functions of what was seen, without a pool; only ``running`` touches one.
"""
