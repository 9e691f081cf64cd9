"""A CT-like body that is made by calculation: sample studies, benchmarks and tests need no patient.

``shapes`` holds forms by their signed distance, ``skeleton``, ``vessels`` and ``organs`` put them together into a body,
``slices`` turns it into pixels, and ``instances`` writes those as DICOM. All lengths are millimetres in patient coordinates
(LPS: x to the left, y to the back, z to the head); z = 0 is at the height of the diaphragm. Arrays are (row, column).
"""

from provisioning.phantom.instances import write_files, write_multiframe
from provisioning.phantom.slices import RECORDS, Phantom, Size, draw_mark, read_mark

__all__ = ["RECORDS", "Phantom", "Size", "draw_mark", "read_mark", "write_files", "write_multiframe"]
