"""Writes the phantom: ``python -m provisioning.phantom FOLDER``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from provisioning.phantom import RECORDS, Phantom, Size, write_files, write_multiframe


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m provisioning.phantom", description="Writes a calculated CT as DICOM."
    )
    parser.add_argument("folder", type=Path, help="where to; made if it is not there")
    parser.add_argument("--record", choices=sorted(RECORDS), help="one of the sizes of the SIVR paper")
    parser.add_argument("--slices", type=int, help="how many, over the same length")
    parser.add_argument("--seed", type=int, default=1, help="another one: other vessels, other noise")
    parser.add_argument("--marked", action="store_true", help="each slice carries its number in its upper left corner")
    parser.add_argument("--multiframe", action="store_true", help="one file instead of one a slice")
    arguments = parser.parse_args()
    size = RECORDS.get(arguments.record, Size())
    if arguments.slices:
        length_mm = size.slices * size.slice_spacing_mm
        size = replace(size, slices=arguments.slices, slice_spacing_mm=length_mm / arguments.slices)
    phantom = Phantom(size, arguments.seed, arguments.marked)
    if arguments.multiframe:
        written: Iterator[object] = write_multiframe(phantom, arguments.folder / "phantom.dcm")
    else:
        written = write_files(phantom, arguments.folder)
    for _ in tqdm(written, total=size.slices, unit=" slices"):
        pass


if __name__ == "__main__":
    main()
