"""Frames are decoded apart: what crashes, or wants everything, costs itself."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import imagecodecs
import numpy as np
import pytest

from appliance.domain.errors import NotDrawable
from appliance.domain.identifiers import InstanceUid
from appliance.domain.image import FrameDescription, ImageDescription, Overlay, PixelFormat
from appliance.services.decode_process import DecodeLimits, Decoders, is_decoded_apart
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory

MIB = 1024**2
RLE, JPEG_2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"
DEFLATED = "1.2.840.10008.1.2.1.99"
FILES = (
    "nema-ct1/CT1_RLE.dcm",
    "nema-ct1/CT1_JPLL.dcm",
    "nema-ct1/CT1_JPH.dcm",
    "nema-ct1/CT1_J2KR.dcm",
    "nema-ct1/CT1_JLSL.dcm",
    "nema-ct1/CT1.jpegls-fragmented-no-bot.dcm",
    "nema-us1/US1_RLE.dcm",  # colour by planes
    "other/ct1_jxl.dcm",
    "other/image_dfl.dcm",  # the whole data set deflated
    "nema-us1/US1_JPH.dcm",
)

Frame = tuple[ImageDescription, InMemory]


class _File(InMemory):
    def read_all(self) -> bytes:
        return self.read_at(0, self.size_bytes)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    started = Decoders(2)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def slow() -> Frame:
    """A frame that takes a good part of a second: 2,048 x 2,048 of noise in JPEG 2000."""
    noise = np.random.default_rng(7).integers(0, 4096, (2048, 2048), np.uint16)
    data = imagecodecs.jpeg2k_encode(noise, level=0, codecformat="j2k", reversible=True)
    return image_of(data, JPEG_2000, 2048, 2048), InMemory(data)


def image_of(data: bytes, syntax: str, rows: int, columns: int) -> ImageDescription:
    form = PixelFormat(rows, columns, 1, 16, 16, 15, False, "MONOCHROME2")
    return ImageDescription(InstanceUid("1.2"), "1.2", syntax, "OT", form, (FrameDescription(((0, len(data)),)),))


def real(dicom_dir: Path, name: str) -> Frame:
    file = _File((dicom_dir / "10-transfer-syntaxes" / name).read_bytes())
    image = parse(file).image
    assert image is not None
    return image, file


def zeroes(side: int) -> Frame:
    """A square of so many zeroes a side, in RLE: runs of 128, the two bytes of a value apart (PS3.5 annex G)."""
    segment = b"\x81\x00" * (side * side // 128)
    data = struct.pack("<16L", 2, 64, 64 + len(segment), *(0,) * 13) + 2 * segment
    return image_of(data, RLE, side, side), InMemory(data)


def workers_of(decoders: Decoders) -> list[int]:
    assert decoders._nursery is not None
    nursery = decoders._nursery._process.pid
    return [int(pid) for pid in Path(f"/proc/{nursery}/task/{nursery}/children").read_text().split()]


def kill_workers(decoders: Decoders) -> None:
    for pid in workers_of(decoders):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", FILES)
def test_a_frame_is_what_it_is_when_it_is_decoded_here(decoders: Decoders, dicom_dir: Path, name: str) -> None:
    image, file = real(dicom_dir, name)

    values = decoders.decode(image, 0, file)

    here = decode_frame(image, 0, file)
    assert is_decoded_apart(image.transfer_syntax_uid)
    assert values.dtype == here.dtype
    assert np.array_equal(values, here)


BITS = np.array([[1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0]], np.bool_)


@pytest.mark.parametrize(
    ("overlay", "syntax"),
    [
        (Overlay(3, 5, embedded_bit=14), RLE),
        (Overlay(3, 5, embedded_bit=14), DEFLATED),
        (Overlay(3, 5, place=(144, 2)), DEFLATED),
    ],
    ids=["in compressed pixels", "in deflated pixels", "in a deflated data set"],
)
def test_an_overlay_that_must_be_decoded_is_a_matter_of_the_workers(
    decoders: Decoders, overlay: Overlay, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, file = overlaid(syntax)
    monkeypatch.setattr("appliance.services.decode_process.decode_overlay", here_is_wrong)

    bits = decoders.decode_overlay(image, 0, overlay, file)

    assert np.array_equal(bits, BITS)


def test_an_overlay_that_has_only_to_be_read_is_read_here(decoders: Decoders) -> None:
    image, file = overlaid(RLE)
    bits = np.packbits(BITS, bitorder="little").tobytes()

    assert np.array_equal(decoders.decode_overlay(image, 0, Overlay(3, 5, place=(0, 2)), InMemory(bits)), BITS)
    assert np.array_equal(decoders.decode_overlay(image, 0, Overlay(3, 5, bits=bits), file), BITS)


def test_what_is_no_overlay_is_refused_by_the_worker_too(decoders: Decoders) -> None:
    image, file = overlaid(DEFLATED)

    with pytest.raises(NotDrawable) as refused:
        decoders.decode_overlay(image, 0, Overlay(300, 500, place=(144, 2)), file)

    assert refused.value.key == "overlay-damaged"


def here_is_wrong(*_: object) -> NoReturn:
    raise AssertionError("decoded in the render process")


def overlaid(syntax: str) -> Frame:
    """Pixels of 15 values with the bits of an overlay in bit 14; deflated, with an overlay of its own before them."""
    words = np.arange(15, dtype="<u2") | BITS.ravel().astype("<u2") << 14
    form = PixelFormat(3, 5, 1, 16, 12, 11, False, "MONOCHROME2")
    if syntax == RLE:
        segments = [imagecodecs.packbits_encode(part) for part in words.view(np.uint8).reshape(-1, 2).T[::-1].copy()]
        head = np.array([2, 64, 64 + len(segments[0]), *[0] * 13], "<u4").tobytes()
        data, place = head + b"".join(segments), (0, 64 + sum(map(len, segments)))
    else:
        meta = bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00"
        content = np.packbits(BITS, bitorder="little").tobytes() + words.tobytes()
        data, place = meta + zlib.compress(content, wbits=-zlib.MAX_WBITS), (146, 30)
    frame = FrameDescription((place,))
    return ImageDescription(InstanceUid("1.2"), "1.2", syntax, "OT", form, (frame,)), InMemory(data)


def test_only_what_is_encoded_is_decoded_apart() -> None:
    assert not is_decoded_apart("1.2.840.10008.1.2.1")
    assert is_decoded_apart(RLE)


def test_a_frame_that_was_given_out_stays_when_the_next_is_decoded(decoders: Decoders, dicom_dir: Path) -> None:
    ct, ct_file = real(dicom_dir, "nema-ct1/CT1_RLE.dcm")
    first = decoders.decode(ct, 0, ct_file)

    decoders.decode(*zeroes(512)[:1], 0, zeroes(512)[1])

    assert np.array_equal(first, decode_frame(ct, 0, ct_file))


def test_many_threads_share_the_workers(decoders: Decoders, dicom_dir: Path) -> None:
    frames = [real(dicom_dir, name) for name in FILES[:4]] * 6

    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(lambda frame: decoders.decode(frame[0], 0, frame[1]), frames))

    assert all(np.array_equal(one, decoded[number % 4]) for number, one in enumerate(decoded))
    assert len(workers_of(decoders)) <= 2


def test_what_the_decoder_refuses_is_refused_with_its_reason(decoders: Decoders, dicom_dir: Path) -> None:
    image, file = real(dicom_dir, "nema-ct1/CT1_J2KR.dcm")
    other = replace(image, pixel_format=replace(image.pixel_format, rows=511))

    with pytest.raises(NotDrawable, match="512x512, expected 511x512"):
        decoders.decode(other, 0, file)


def test_a_worker_that_is_killed_over_a_frame_costs_nobody_the_frame(decoders: Decoders, slow: Frame) -> None:
    before, idle = decoders.deaths, set(decoders.pids)
    killed: set[int] = set()

    def kill_over_the_frame() -> None:
        # Only the one at work: another that is killed at the same time would be a second death over the frame.
        while not (at_work := idle - set(decoders.pids)):
            time.sleep(0.005)
        time.sleep(0.05)
        for pid in at_work:
            os.kill(pid, signal.SIGKILL)
        killed.update(at_work)

    killer = threading.Thread(target=kill_over_the_frame)
    killer.start()
    values = decoders.decode(slow[0], 0, slow[1])
    killer.join()

    assert np.array_equal(values, decode_frame(slow[0], 0, slow[1]))
    assert decoders.deaths == before + 1
    assert killed and not killed & set(decoders.pids)


def test_a_frame_that_kills_its_worker_twice_is_refused_and_the_next_is_decoded(
    decoders: Decoders, slow: Frame, dicom_dir: Path
) -> None:
    ended = threading.Event()

    def keep_killing() -> None:
        while not ended.wait(0.05):
            kill_workers(decoders)

    killer = threading.Thread(target=keep_killing)
    killer.start()
    try:
        with pytest.raises(NotDrawable) as refused:
            decoders.decode(slow[0], 0, slow[1])
    finally:
        ended.set()
        killer.join()

    assert refused.value.key == "decoder-died"
    image, file = real(dicom_dir, "nema-ct1/CT1_JPLL.dcm")
    assert np.array_equal(decoders.decode(image, 0, file), decode_frame(image, 0, file))


def test_a_frame_beyond_the_memory_limit_is_refused_and_the_next_is_decoded(dicom_dir: Path) -> None:
    small = Decoders(1, DecodeLimits(memory_bytes=320 * MIB))
    try:
        with pytest.raises(NotDrawable) as refused:
            large, data = zeroes(8192)  # 128 MiB, of which the decoder and the answer need several
            small.decode(large, 0, data)

        assert refused.value.key == "frame-too-costly"
        image, file = real(dicom_dir, "nema-ct1/CT1_RLE.dcm")
        assert small.decode(image, 0, file).shape == (512, 512)
    finally:
        small.stop()


def test_a_frame_that_takes_too_long_is_refused_and_its_worker_gone(slow: Frame) -> None:
    hasty = Decoders(1, DecodeLimits(wall_s=0.05))
    hasty.start()
    try:
        (pid,) = hasty.pids

        with pytest.raises(NotDrawable) as refused:
            hasty.decode(slow[0], 0, slow[1])

        assert refused.value.key == "frame-too-costly"
        _wait_until_gone(pid)
    finally:
        hasty.stop()


def test_the_nursery_too_may_die(dicom_dir: Path) -> None:
    decoders = Decoders(1)
    decoders.start()
    image, file = real(dicom_dir, "nema-ct1/CT1_RLE.dcm")
    try:
        assert decoders._nursery is not None
        os.kill(decoders.pids[0], signal.SIGKILL)
        os.kill(decoders._nursery._process.pid, signal.SIGKILL)
        decoders._nursery._process.wait()

        assert decoders.decode(image, 0, file).shape == (512, 512)
    finally:
        decoders.stop()


def test_a_worker_may_use_little(decoders: Decoders) -> None:
    limits = Path(f"/proc/{decoders.pids[0]}/limits").read_text()

    assert f"Max address space         {2048 * MIB}" in limits
    assert "Max file size             0" in limits
    assert "Max core file size        0" in limits
    assert "Max processes             0" in limits


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)
