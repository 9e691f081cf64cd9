"""Another version of the appliance on a box: signed, beside the present one, and taken back by itself if it does not answer.

    bundle.py     the file that a version comes in: every file by its SHA-256, the list signed
    versions.py   the versions on the box, and the link that says which one is used
    applying.py   the steps in order, and the way back from each
    machine.py    what the steps do on a real box: systemd, ZFS, provisioning, the picture

The appliance is not imported: what takes a version back must work where that version does not.
"""
