"""Files that mean harm: the processes that meet them live or are replaced, stay under their memory, and name the fault.

The fuzz tests change real files at random, with a seed that a failure prints; ``--long`` gives them ten minutes each,
and ``APPLIANCE_TEST_SEED`` other changes.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagecodecs
import msgspec
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from appliance.domain.errors import NotDicom, TooLarge, Unavailable
from appliance.services.children import Child
from appliance.services.imports import Tally, import_folder
from appliance.services.parse_process import ParseLimits, Parsers
from appliance.storage.instances import SpoolReference
from tests.services.node_parts import ct_slice, encoded, node_parts

_SEED = int(os.environ.get("APPLIANCE_TEST_SEED", "20261122"))
_SHORT_MUTANTS = 3000
"""As many in every short run, on a slow machine as on a quick one: what passes once passes again."""
_LONG_S = 600
_LARGEST_SEED_BYTES = 40_000
_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
"""Numbers at which lengths and sizes go wrong."""
_MIB = 1 << 20
NAMED = {
    "not-dicom", "unreadable-dicom", "dicomdir", "too-large", "nested-too-deeply", "too-many-elements",
    "too-many-frames", "too-many-pixels",
}  # fmt: skip
NOT_DRAWN = {"not-drawable", "pixel-data-damaged", "pixel-attributes-wrong", "no-decoder", "no-pixels", "no-such-frame"}


@pytest.fixture
def seeds(dicom_dir: Path) -> list[bytes]:
    """Small real files of every kind."""
    folders = (
        "10-transfer-syntaxes",
        "11-pixel-encodings",
        "12-charsets",
        "08-seg-parametric",
        "09-documents",
        "14-malformed",
    )
    files = sorted(path for folder in folders for path in (dicom_dir / folder).rglob("*") if path.is_file())
    small = [path.read_bytes() for path in files if path.stat().st_size < _LARGEST_SEED_BYTES]
    assert len(small) > 30
    return small


def mutants(seeds: list[bytes], chance: random.Random) -> Iterator[bytes]:
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            if len(data) > 8:
                _change(data, seeds, chance)
        yield bytes(data)


def _change(data: bytearray, seeds: list[bytes], chance: random.Random) -> None:
    """One change: a bit, a number at an edge, a cut, a repetition, or a piece of another file. More often in the header."""
    at = chance.randrange(min(len(data), chance.choice((400, 2000, len(data)))) - 4)
    kind = chance.randrange(6)
    if kind == 0:
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        struct.pack_into("<H", data, at, chance.choice(_EDGES) & 0xFFFF)
    elif kind == 2:
        struct.pack_into(chance.choice(("<L", ">L")), data, at, chance.choice(_EDGES))
    elif kind == 3:
        del data[at : at + chance.choice((1, 2, 8, 100, len(data)))]
    elif kind == 4:
        piece = bytes(data[at : at + chance.choice((2, 8, 64, 512))])
        data[at:at] = piece * chance.choice((1, 2, 50))
    else:
        other = chance.choice(seeds)
        begin = chance.randrange(len(other))
        data[at : at + 64] = other[begin : begin + chance.choice((8, 64, 1024))]


def enough(request: pytest.FixtureRequest, count: int, started: float) -> bool:
    """Whether so many mutants since ``started`` are as many as a run takes."""
    if request.config.getoption("--long"):
        return time.monotonic() - started > _LONG_S
    return count >= _SHORT_MUTANTS


def most_memory_bytes(pid: int | None) -> int:
    """The most that a living process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.timeout(4 * _LONG_S)
async def test_the_parsers_survive_files_that_are_changed_at_random(
    request: pytest.FixtureRequest, tmp_path: Path, seeds: list[bytes]
) -> None:
    limits = ParseLimits(memory_bytes=1024 * _MIB, processor_s=5)
    parsers = Parsers(1, limits)
    await parsers.start()
    outcomes: Counter[str] = Counter()
    started = time.monotonic()
    file = tmp_path / "mutant"
    for data in mutants(seeds, random.Random(_SEED)):
        file.write_bytes(data)
        try:
            await parsers.parse(SpoolReference(str(file), len(data), None))
            outcomes["parsed"] += 1
        except (NotDicom, TooLarge) as refusal:
            assert refusal.key in NAMED
            assert "fails" not in refusal.message, f"mutant {outcomes.total()} of seed {_SEED}: {refusal.message}"
            outcomes[refusal.key] += 1
        if enough(request, outcomes.total(), started):
            break
    (child,) = parsers._children
    most_bytes = most_memory_bytes(child.pid)
    print(f"{outcomes.total()} mutants: {dict(outcomes)}; {child.restarts} deaths, {most_bytes // _MIB} MiB at most")
    await parsers.stop()
    assert child.restarts == 0
    assert most_bytes < 512 * _MIB
    assert outcomes["parsed"] > 100


@dataclass
class Decoder:
    child: Child

    async def outcome(self, data: bytes) -> tuple[str, str, int]:
        answer = await self.child.ask(data)
        word, reason, most_kib = msgspec.msgpack.decode(answer.header, type=tuple[str, str, int])
        return word, reason, most_kib * 1024


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    child = Child("tests.services.decode_child", b"", name="decoder", environment={"OPENBLAS_NUM_THREADS": "1"})
    await child.start()
    yield Decoder(child)
    await child.stop()


@pytest.mark.timeout(4 * _LONG_S)
async def test_decoding_survives_files_that_are_changed_at_random(
    request: pytest.FixtureRequest, decoder: Decoder, seeds: list[bytes]
) -> None:
    outcomes: Counter[str] = Counter()
    deaths = most_bytes = 0
    started = time.monotonic()
    for data in mutants(seeds, random.Random(_SEED + 1)):
        try:
            word, reason, most_bytes = await decoder.outcome(data)
        except Unavailable as gone:  # a native codec crashed, and the next file meets a new process
            assert gone.key == "helper-died"
            deaths += 1
            continue
        assert word in {"drawn"} | NAMED | NOT_DRAWN, f"mutant {outcomes.total()} of seed {_SEED + 1}: {word}, {reason}"
        outcomes[word] += 1
        if enough(request, outcomes.total(), started):
            break
    print(f"{outcomes.total()} mutants: {dict(outcomes)}; {deaths} deaths, {most_bytes // _MIB} MiB at most")
    assert outcomes["drawn"] > 50
    assert deaths <= outcomes.total() // 1000


def compressed(stream: bytes, syntax: str, rows: int = 64, columns: int = 64) -> bytes:
    """A slice whose one frame is a stream, and which says that it has so many rows and columns."""
    ds = ct_slice()
    ds.file_meta.TransferSyntaxUID = _HTJ2K  # pydicom writes no JPEG XL: a UID as long is written and replaced
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = rows, columns, 8, 8, 7
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    return encoded(ds).replace(_HTJ2K.encode(), syntax.encode().ljust(len(_HTJ2K), b"\0"))


_HTJ2K = "1.2.840.10008.1.2.4.201"
JPEG_2000, JPEG_XL = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.110"


def jpeg_2000_bomb(side: int) -> bytes:
    """A codestream of 64 pixels a side whose SIZ marker (ISO/IEC 15444-1 A.5.1) says more, for picture and tile."""
    stream = bytearray(imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint8), codecformat="J2K", level=0))
    at = stream.index(b"\xff\x51")
    for offset in (6, 10, 22, 26):  # Xsiz, Ysiz, XTsiz, YTsiz
        struct.pack_into(">L", stream, at + offset, side)
    return bytes(stream)


async def test_a_jpeg_2000_stream_of_60000_squared_costs_no_memory(decoder: Decoder) -> None:
    *_, before = await decoder.outcome(encoded(ct_slice()))

    word, reason, after = await decoder.outcome(compressed(jpeg_2000_bomb(60_000), JPEG_2000))

    assert word == "pixel-data-damaged"
    assert "60000x60000" in reason
    assert after - before < 64 * _MIB


async def test_a_jpeg_xl_stream_larger_than_its_picture_costs_no_memory(decoder: Decoder) -> None:
    stream = imagecodecs.jpegxl_encode(np.zeros((8192, 8192), np.uint8), lossless=True)
    assert len(stream) < 100_000
    *_, before = await decoder.outcome(encoded(ct_slice()))

    word, reason, after = await decoder.outcome(compressed(bytes(stream), JPEG_XL))

    assert word == "pixel-data-damaged"
    assert "8192x8192" in reason
    assert after - before < 32 * _MIB


async def test_a_header_and_a_stream_that_agree_on_60000_squared_are_refused(decoder: Decoder) -> None:
    word, *_ = await decoder.outcome(compressed(jpeg_2000_bomb(60_000), JPEG_2000, 60_000, 60_000))

    assert word == "too-many-pixels"


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFF0, 600_000_000])
async def test_a_length_that_lies_costs_no_memory(decoder: Decoder, length: int) -> None:
    whole = encoded(ct_slice())
    at = whole.index(struct.pack("<HH", 0x0010, 0x0010))
    lie = struct.pack("<HH2sHL", 0x0009, 0x1001, b"OB", 0, length)
    *_, before = await decoder.outcome(whole)

    word, _, after = await decoder.outcome(whole[:at] + lie + whole[at:])

    assert word == "unreadable-dicom"
    assert after - before < 32 * _MIB


@pytest.mark.parametrize("length", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
async def test_a_meta_header_whose_length_points_elsewhere_is_read_or_refused(decoder: Decoder, length: int) -> None:
    data = bytearray(encoded(ct_slice()))
    struct.pack_into("<L", data, 140, length)

    word, *_ = await decoder.outcome(bytes(data))

    assert word in {"drawn", "unreadable-dicom"}


async def test_a_palette_index_beyond_the_palette_is_a_value_like_any_other(decoder: Decoder) -> None:
    ds = ct_slice(value=4000)
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", bytes(8))

    word, reason, _ = await decoder.outcome(encoded(ds))

    assert word == "drawn", reason


async def test_paths_in_a_dicomdir_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.dcm").write_bytes(encoded(ct_slice(5)))
    (tmp_path / "cd").mkdir()
    (tmp_path / "cd" / "IM1").write_bytes(encoded(ct_slice(1)))
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.9"
    record = Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["..", "secret.dcm"]
    ds.DirectoryRecordSequence = Sequence([record])
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    (tmp_path / "cd" / "DICOMDIR").write_bytes(buffer.getvalue())

    async with node_parts(tmp_path) as node:
        tally = Tally()
        async for progress in import_folder(node.sender, tmp_path / "cd"):
            tally.add(progress.last)

        assert (tally.stored, tally.ignored, tally.refused) == (1, 1, [])


async def test_markup_in_a_name_stays_a_text(tmp_path: Path) -> None:
    ds = ct_slice()
    ds.PatientName = "<script>alert(1)</script>"
    async with node_parts(tmp_path) as node:
        await node.put(encoded(ds))

        detail = await node.catalogue.study("1.2.3")

    assert msgspec.json.decode(msgspec.json.encode(detail))["patient"]["name"] == "<script>alert(1)</script>"
