"""Pictures of videos that are made here: each frame has a grey of its own and a bar that says which it is."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite

from appliance.domain.errors import NotDrawable
from appliance.storage.decoding import decode_frame
from appliance.storage.parsing import parse
from appliance.storage.stream import InMemory

ROWS, COLUMNS, COUNT, KEY_EVERY = 96, 128, 30, 10
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 255, 255)], np.uint8)

# name: encoder, container, transfer syntax
STREAMS = {
    "MPEG-2 bare": ("mpeg2video", "mpeg2video", "1.2.840.10008.1.2.4.100"),
    "MPEG-2 in a transport stream": ("mpeg2video", "mpegts", "1.2.840.10008.1.2.4.101"),
    "AVC bare": ("libx264", "h264", "1.2.840.10008.1.2.4.102"),
    "AVC in a transport stream": ("libx264", "mpegts", "1.2.840.10008.1.2.4.103"),
    "AVC in MP4": ("libx264", "mp4", "1.2.840.10008.1.2.4.102"),
    "AVC fragmentable": ("libx264", "mp4", "1.2.840.10008.1.2.4.102.1"),
    "HEVC in a transport stream": ("libx265", "mpegts", "1.2.840.10008.1.2.4.107"),
}


def picture(number: int) -> np.ndarray:
    """Grey that grows with ``number``, over it a coloured bar as long as ``number`` tells."""
    pixels = np.full((ROWS, COLUMNS, 3), 40 + 5 * number, np.uint8)
    pixels[32:64, : 4 * number + 4] = COLOURS[number % len(COLOURS)]
    return pixels


def stream(encoder: str, container: str, count: int = COUNT) -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format=container) as output:
        track: Any = output.add_stream(encoder, rate=25)
        track.width, track.height, track.pix_fmt, track.gop_size = COLUMNS, ROWS, "yuv420p", KEY_EVERY
        track.thread_count = 1
        track.bit_rate = 4_000_000
        if encoder == "libx265":
            track.options = {"x265-params": f"keyint={KEY_EVERY}:log-level=none:pools=none:frame-threads=1"}
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            output.mux(track.encode(frame))
        output.mux(track.encode())
    return data.getvalue()


def video(data: bytes, syntax: str, *, rows: int = ROWS, fragments: int = 1, count: int = COUNT) -> bytes:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.3", "1.2.3.1", "ES"
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SamplesPerPixel = rows, COLUMNS, count, 3
    ds.PhotometricInterpretation, ds.PlanarConfiguration = "YBR_PARTIAL_420", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.FrameTime = 8, 8, 7, 0, "40"
    ds.PixelData = encapsulate([data], fragments_per_frame=fragments, has_bot=False)
    ds["PixelData"].is_undefined_length = True
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    out = DicomBytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


def frames(data: bytes, numbers: list[int]) -> list[np.ndarray]:
    reader = InMemory(data)
    image = parse(reader).image
    assert image is not None
    return [decode_frame(image, number, reader) for number in numbers]


@pytest.mark.parametrize("name", STREAMS)
def test_every_frame_of_a_video_is_the_one_that_was_asked_for(name: str) -> None:
    encoder, container, syntax = STREAMS[name]
    numbers = [0, 1, KEY_EVERY - 1, KEY_EVERY, 17, COUNT - 1]
    data = video(stream(encoder, container), syntax, fragments=5 if syntax.endswith(".1") else 1)

    for number, pixels in zip(numbers, frames(data, numbers), strict=True):
        assert pixels.shape == (ROWS, COLUMNS, 3)
        # Away from edges, where lossy coding is near: the grey, and the colour at both ends of the bar.
        assert np.abs(pixels[8:24].astype(int) - picture(number)[8:24]).mean() < 4
        assert np.abs(pixels[40:56, :3].astype(int) - picture(number)[40:56, :3]).mean() < 24
        assert np.abs(pixels[40:56, 4 * number + 8 :].astype(int) - picture(number)[40:56, 4 * number + 8 :]).mean() < 8


def test_a_frame_after_a_key_frame_needs_nothing_before_it() -> None:
    data = stream("libx264", "mpegts")
    with av.open(io.BytesIO(data)) as container:
        keys = [
            packet.pos for packet in container.demux(container.streams.video[0]) if packet.size and packet.is_keyframe
        ]
    damaged = bytearray(data)
    for packet in range(0, keys[1] // 188 - 4):  # what is in the packets of the transport stream, not their heads
        if damaged[188 * packet + 1 : 188 * packet + 3] == b"\x01\x00":
            damaged[188 * packet + 40 : 188 * packet + 188] = bytes(148)

    (whole,) = frames(video(data, STREAMS["AVC in a transport stream"][2]), [25])
    (after,) = frames(video(bytes(damaged), STREAMS["AVC in a transport stream"][2]), [25])

    assert np.array_equal(whole, after)


def test_a_video_of_another_size_than_its_header_is_refused() -> None:
    data = video(stream("libx264", "mp4", count=2), STREAMS["AVC in MP4"][2], rows=480, count=2)

    with pytest.raises(NotDrawable, match="96x128, expected 480x128"):
        frames(data, [0])


def test_a_video_that_ends_too_soon_is_refused_for_what_is_not_there() -> None:
    data = video(stream("libx264", "mp4", count=3), STREAMS["AVC in MP4"][2], count=5)

    assert len(frames(data, [2])) == 1
    with pytest.raises(NotDrawable, match="ends before picture 5"):
        frames(data, [4])


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 40,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        stream("mpeg4", "avi", 2),
    ],
    ids=["noise", "a playlist", "a list of files", "another codec"],
)
def test_bytes_that_are_no_video_of_dicom_are_refused(data: bytes) -> None:
    with pytest.raises(NotDrawable) as refusal:
        frames(video(data + b"\0" * (len(data) % 2), STREAMS["AVC in MP4"][2]), [0])

    assert refusal.value.key == "pixel-data-damaged"
