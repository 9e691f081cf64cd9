"""Series of real files as volumes on the card, and as arrays to compare them with."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.domain.geometry import Arrangement, VolumeGeometry, arranged
from appliance.domain.grayscale import modality_values
from appliance.domain.image import ImageDescription
from appliance.rendering.texels import Texels, TexelScale, common_scale, texels_of
from appliance.rendering.volume_textures import Preparation, VolumeTextures, gradients, laid_out
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory


@dataclass(frozen=True)
class Series:
    """Parsed files."""

    images: tuple[ImageDescription, ...]
    files: tuple[InMemory, ...]

    @functools.cached_property
    def arrangement(self) -> Arrangement:
        return arranged(self.images)

    @property
    def geometry(self) -> VolumeGeometry:
        arrangement = self.arrangement
        assert arrangement.volume is not None, arrangement.reason
        return arrangement.volume

    def stored(self, number: int) -> NDArray[Any]:
        """The stored values of the slice ``number`` of the arrangement."""
        ref = self.arrangement.slices[number]
        return decode_frame(self.images[ref.image_index], ref.frame_index, self.files[ref.image_index])

    def values(self) -> NDArray[np.float64]:
        """(slices, rows, columns) after the modality LUT, in the order of the arrangement."""
        refs = self.arrangement.slices
        return np.stack(
            [
                modality_values(self.stored(k), self.images[ref.image_index], ref.frame_index)
                for k, ref in enumerate(refs)
            ]
        )

    def on_card(self) -> tuple[VolumeTextures, TexelScale]:
        """The volume of a series of one frame an image, without gaps."""
        refs, geometry = self.arrangement.slices, self.geometry
        scale = common_scale([(self.images[ref.image_index], ref.frame_index) for ref in refs])
        assert scale is not None

        def texels(number: int) -> NDArray[np.float64]:
            image = self.images[refs[number].image_index]
            return texels_of(self.stored(number), image, 0, scale).astype(float)

        mixed = [
            texels(part.lower) * (1 - part.weight) + texels(part.upper) * part.weight
            if part.weight
            else texels(part.lower)
            for part in geometry.lattice
        ]
        return on_card([np.rint(each).astype(np.uint16) for each in mixed], geometry), scale


def series_of(paths: Iterable[Path]) -> Series:
    files = [InMemory(path.read_bytes()) for path in sorted(paths)]
    images = [parse(file).image for file in files]
    assert all(image is not None for image in images)
    return Series(tuple(image for image in images if image is not None), tuple(files))


def on_card(texels: Sequence[Texels], geometry: VolumeGeometry) -> VolumeTextures:
    """Lattice slices loaded as the services load them."""
    layout = laid_out(geometry, largest_side=2048, largest_bytes=1 << 30)
    textures, preparation = VolumeTextures(layout), Preparation(layout)
    for number, each in enumerate(texels):
        textures.upload_fine(number, 1, each)
        preparation.add(number, 1, each)
    half = preparation.half()
    textures.upload_prepared(half, gradients(half, layout), preparation.blocks())
    return textures
