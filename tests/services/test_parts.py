"""A region of a large frame costs what the region costs, and is the same picture: work is counted, not time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, Overlay, PixelFormat, StoredImage, Window
from appliance.domain.views import Encoding, Region, SliceView, Viewport
from appliance.rendering.slices import drawn_plainly, is_plain, planned
from appliance.services import parts
from appliance.services.decode_process import Decoders
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.services.frames import Frames, Stopwatch
from appliance.services.parts import needed_part
from appliance.storage.decoding import decode_frame
from appliance.storage.instances import StoreSettings, open_store
from appliance.storage.parsing import parse
from appliance.storage.sealing import create_key
from appliance.storage.stream import InMemory
from appliance.storage.transfer_syntaxes import EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN
from tests.services.node_parts import ct_slice, encoded

WINDOW = Window(40, 400)
GREY = PixelFormat(5000, 4000, 1, 16, 16, 15, False, "MONOCHROME2")
LARGE = FrameDescription(((1000, 2 * 5000 * 4000),), windows=(WINDOW,))


def image_of(form: PixelFormat, frame: FrameDescription, syntax: str = EXPLICIT_LITTLE_ENDIAN) -> ImageDescription:
    return ImageDescription(InstanceUid("1.2"), "1.2", syntax, "DX", form, (frame,))


def view(region: Region, size: tuple[int, int] | None = None, **changes: object) -> SliceView:
    width, height = size or (round(region.width), round(region.height))
    asked = SliceView(InstanceUid("1.2"), 0, Encoding("image/png"), viewport=Viewport(width, height, region))
    return replace(asked, **changes)  # type: ignore[arg-type]


def bytes_read(image: ImageDescription, asked: SliceView) -> int:
    part = needed_part(StoredImage("k", image), 0, asked, planned(image, asked))
    return sum(length for _, length in part.image.description.frames[0].fragments)


MIDDLE = view(Region(1000, 2000, 512, 512))


def test_of_a_large_frame_only_the_rows_of_the_region_are_read() -> None:
    assert bytes_read(image_of(GREY, LARGE), MIDDLE) == 5 * 128 * 4000 * 2  # rows 1999 to 2513, from 1920 to 2560


@pytest.mark.parametrize(
    ("image", "asked"),
    [
        (image_of(GREY, LARGE, "1.2.840.10008.1.2.4.90"), MIDDLE),
        (image_of(GREY, LARGE), view(Region(0, 0, 4000, 5000), (400, 500))),
        (image_of(GREY, replace(LARGE, windows=())), MIDDLE),
        (image_of(GREY, replace(LARGE, overlays=(Overlay(5000, 4000),))), MIDDLE),
        (image_of(replace(GREY, rows=500), replace(LARGE, fragments=((0, 2 * 500 * 4000),))), view(Region(0, 0, 9, 9))),
    ],
    ids=["compressed", "all of it", "its window is to be found", "an overlay lies over it", "small"],
)
def test_the_whole_frame_is_read_where_it_is_needed_or_is_as_good(image: ImageDescription, asked: SliceView) -> None:
    assert bytes_read(image, asked) == sum(length for _, length in image.frames[0].fragments)


@pytest.mark.parametrize(
    ("form", "syntax", "type_"),
    [
        (PixelFormat(67, 40, 1, 16, 12, 11, True, "MONOCHROME2"), EXPLICIT_LITTLE_ENDIAN, "<u2"),
        (PixelFormat(67, 40, 1, 16, 16, 15, False, "MONOCHROME1"), EXPLICIT_BIG_ENDIAN, ">u2"),
        (PixelFormat(67, 40, 1, 32, 32, 31, False, "MONOCHROME2"), EXPLICIT_LITTLE_ENDIAN, "<u4"),
        (PixelFormat(67, 41, 1, 8, 8, 7, False, "MONOCHROME2", is_swapped=True), EXPLICIT_BIG_ENDIAN, "u1"),
        (PixelFormat(67, 40, 3, 8, 8, 7, False, "RGB"), EXPLICIT_LITTLE_ENDIAN, "u1"),
        (PixelFormat(67, 40, 3, 8, 8, 7, False, "YBR_FULL_422"), EXPLICIT_LITTLE_ENDIAN, "u1"),
    ],
    ids=["signed", "big endian", "32 bits", "bytes in big endian words", "RGB", "subsampled"],
)
@pytest.mark.parametrize(
    ("region", "size"),
    [
        (Region(3, 0, 20, 10), None),
        (Region(3, 30, 20, 7), None),
        (Region(0, 60, 40, 7), None),
        (Region(5, 60, 40, 20), None),
        (Region(2, 31.5, 20, 12), (7, 4)),
    ],
    ids=["top", "middle", "bottom", "beyond the frame", "made smaller"],
)
def test_a_picture_of_some_rows_is_that_of_the_frame(
    form: PixelFormat,
    syntax: str,
    type_: str,
    region: Region,
    size: tuple[int, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "_LARGE_BYTES", 0)
    monkeypatch.setattr(parts, "_BAND_ROWS", 4)
    length = form.rows * form.columns * (2 if "422" in form.photometric_interpretation else form.samples_per_pixel)
    data = np.random.default_rng(3).integers(0, 255, length * form.bits_allocated // 8 + 1, np.uint8).tobytes()
    frame = FrameDescription(((0, length * form.bits_allocated // 8),), windows=(Window(2000, 3000),))
    image, asked, reader = image_of(form, frame, syntax), view(region, size), InMemory(data)
    plan = planned(image, asked)

    part = needed_part(StoredImage("k", image), 0, asked, plan)

    some = part.image.description
    assert some.pixel_format.rows < form.rows
    assert is_plain(some, part.plan, None) and is_plain(image, plan, None)
    of_some = drawn_plainly(decode_frame(some, 0, reader), some, 0, asked, part.plan)
    assert np.array_equal(of_some, drawn_plainly(decode_frame(image, 0, reader), image, 0, asked, plan))


async def test_a_region_costs_its_rows_until_the_frame_is_in_memory_and_nothing_then(tmp_path: Path) -> None:
    create_key(tmp_path / "key")
    settings = StoreSettings(tmp_path / "instances", tmp_path / "key", floor_bytes=0)
    image = stored(settings, encoded(large_slice()))
    drawing = Drawing(DrawingSettings(settings, render_cache_bytes=0))
    await drawing.start()
    try:

        async def kept_after(asked: SliceView) -> int:
            await drawing.slice(image, asked, viewer="one")
            await drawing._look_at(drawing._processes[0])
            return drawing.state().frame_cache_bytes

        part = await kept_after(MIDDLE)
        moved = await kept_after(view(Region(1100, 2010, 512, 512)))
        whole = await kept_after(view(Region(0, 0, 4000, 5000), (40, 50)))
        again = await kept_after(view(Region(1000, 4000, 512, 512)))
        of_rows = await drawing.slice(image, MIDDLE, viewer="one")
        of_frame = await drawing.slice(image, replace(MIDDLE, encoding=Encoding("image/webp")), viewer="one")
    finally:
        await drawing.stop()

    assert part == moved == 5 * 128 * 4000 * 2
    assert whole == again == part + 5000 * 4000 * 2
    assert of_rows.size == (512, 512)
    assert np.array_equal(imagecodecs.png_decode(of_rows.body), imagecodecs.webp_decode(of_frame.body)[..., 0])


def large_slice() -> object:
    ds = ct_slice()
    ds.Rows, ds.Columns, ds.BitsStored, ds.HighBit = 5000, 4000, 16, 15
    ds.PixelSpacing = [0.1, 0.1]
    rows, columns = np.mgrid[:5000, :4000]
    ds.PixelData = (1000 + (rows ^ columns) % 400).astype("<u2").tobytes()
    return ds


def stored(settings: StoreSettings, data: bytes) -> StoredImage:
    image = parse(InMemory(data)).image
    assert image is not None
    spool = open_store(settings).begin()
    spool.write(data)
    return StoredImage(spool.commit(), image)


class _Counting(Decoders):
    """Workers, and how often they were asked."""

    decoded = overlays = 0

    def decode(self, *about: object) -> object:  # type: ignore[override]
        self.decoded += 1
        return super().decode(*about)  # type: ignore[arg-type]

    def decode_overlay(self, *about: object) -> object:  # type: ignore[override]
        self.overlays += 1
        return super().decode_overlay(*about)  # type: ignore[arg-type]


def test_a_compressed_frame_is_decoded_once_for_all_its_regions(tmp_path: Path, dicom_dir: Path) -> None:
    create_key(tmp_path / "key")
    settings = StoreSettings(tmp_path / "instances", tmp_path / "key", floor_bytes=0)
    image = stored(settings, (dicom_dir / "04-xray/RG3_J2KR.dcm").read_bytes())
    decoders = _Counting(1)
    frames = Frames(open_store(settings), 1 << 28, decoders)
    try:
        for y in (0, 400, 800):
            asked = view(Region(100, y, 512, 512))
            part = needed_part(image, 0, asked, planned(image.description, asked))
            frames.stored_values(part.image, part.frame_index, Stopwatch())
    finally:
        decoders.stop()

    assert decoders.decoded == 1


def test_what_lies_over_a_frame_is_decoded_once_until_the_instance_is_gone(tmp_path: Path, dicom_dir: Path) -> None:
    create_key(tmp_path / "key")
    settings = StoreSettings(tmp_path / "instances", tmp_path / "key", floor_bytes=0)
    image = stored(settings, (dicom_dir / "09-documents/overlay.dcm").read_bytes())
    one = replace(image.description.frames[0], overlays=image.description.frames[0].overlays[:1])
    with_one = replace(image, description=replace(image.description, frames=(one,)))
    decoders = _Counting(1)
    frames = Frames(open_store(settings), 1 << 28, decoders)
    counts = []
    try:
        for asked, forgets in ((image, False), (image, False), (with_one, False), (image, True)):
            if forgets:
                frames.forget(image.key)
            assert frames.mask(asked, 0, Stopwatch()) is not None
            counts.append(decoders.overlays)
    finally:
        decoders.stop()

    assert counts == [4, 4, 5, 9]
