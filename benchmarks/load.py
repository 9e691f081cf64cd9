"""How soon the first slice of a record is there, and all of them, beside pydicom with NumPy and SimpleITK in the same run.

The records are those of the SIVR paper (SoftwareX 2022), which gives 0.09, 0.43, 3.63 and 11.27 s for all slices of A, B, C and
D. Each as many files and as one object of many frames, in a sealed and in a plain store, uncompressed and compressed.

    first   from the name of an instance to the encoded picture, by the road that a door takes: the index, the front, a
            render process, its decoders and encoder. What the file says of the window, JPEG; large slices in a viewport of
            1024 x 1024, and whole beside. Median over slices that nobody has looked at, each asked for by another viewer
    all     from the name of a series to all its frames decoded in the cache of a render process: the index, the store, as
            many threads and decoders as a render process has by default; all memory is new to the cache
    later   the same where the memory is that of frames which were forgotten, as it is when a cache is full
    warm    the same after a restart, with what the render cache kept; only what is dear to decode is in it
    pydicom ``dcmread(file).pixel_array`` of one file after the other; SimpleITK: its reader of series, GDCM

Files are in the page cache of the system for all of them. The machine is rarely alone: ratios are of one run, in turns, and of
uncompressed records the time of the processor, of all threads, stands beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK
from pydicom import dcmread

from appliance.domain.image import StoredImage
from appliance.domain.views import Encoding, SliceView, Viewport
from appliance.services.database_threads import DatabaseThreads
from appliance.services.decode_process import Decoders, is_decoded_apart
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.services.frames import Frames, Stopwatch
from appliance.storage.render_cache import RenderCache, is_dear
from benchmarks.records import SYNTAXES, Held, Record, held, record, written

Say = Callable[[str], None]

_PAPER_S = {"A": 0.09, "B": 0.43, "C": 3.63, "D": 11.27}
_JPEG = Encoding("image/jpeg", 90)
_SCREEN = Viewport(1024, 1024)
_LARGE = 1024 * 1024
"""Pixels; larger slices are looked at through a viewport."""
_FIRSTS = 9
"""Slices of which each is a first one."""
_HEADLINE = "sealed raw files"
_BUDGET_BYTES = 4 * 1024**3
_CACHE = "render-cache"


@dataclass(frozen=True)
class Variant:
    """How a record is kept."""

    is_sealed: bool
    coding: str
    as_one: bool

    @property
    def name(self) -> str:
        return f"{'sealed' if self.is_sealed else 'plain'} {self.coding} {'one object' if self.as_one else 'files'}"


_ALL = tuple(
    Variant(is_sealed, coding, as_one) for coding in SYNTAXES for as_one in (False, True) for is_sealed in (True, False)
)
_LONG = tuple(each for each in _ALL if each.coding == "raw" or (each.is_sealed and not each.as_one))
"""Of the records that the peers need minutes for, wherever they are compressed."""
_LONGEST = tuple(each for each in _LONG if each.coding != "rle")  # SimpleITK would take minutes
_ALL_BY_RECORD = {"A": _ALL, "B": _ALL, "C": _LONG, "D": _LONGEST}
_QUICK = (Variant(True, "raw", False), Variant(True, "jpeg-ls", False), Variant(True, "raw", True))
_QUICK_BY_RECORD = {"C": _QUICK[:1], "D": _QUICK[:1]}


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    return asyncio.run(_measured(quick=quick, say=say))


async def _measured(*, quick: bool, say: Say) -> dict[str, Any]:
    figures: dict[str, Any] = {"load": {}, "variants": {}}
    for name, paper_s in _PAPER_S.items():
        wanted = record(name)
        variants = _QUICK_BY_RECORD.get(name, _QUICK) if quick else _ALL_BY_RECORD[name]
        figures["variants"][name] = of_record = {}
        for variant in variants:
            with tempfile.TemporaryDirectory(prefix="load-") as folder:
                of_record[variant.name] = found = await _of_variant(
                    wanted, variant, Path(folder), _runs(name, variant, quick=quick)
                )
            say(f"{name} {variant.name}: " + ", ".join(f"{key} {value}" for key, value in found.items()))
        headline = of_record[_HEADLINE]
        figures["load"][name] = {
            "first_slice_ms": headline["first_ms"],
            "all_s": headline["all_s"],
            "megabytes_per_s": headline["megabytes_per_s"],
            "ratio_vs_pydicom": headline["ratio_vs_pydicom"],
            "ratio_vs_paper": round(paper_s / headline["all_s"], 1),
        }
    return figures


def _runs(name: str, variant: Variant, *, quick: bool) -> int:
    if name == "D":
        return 3 if variant.coding == "raw" else 1
    return 3 if quick or (name == "C" and variant.coding != "raw") else 5


def show(figures: dict[str, Any]) -> None:
    print(f"{'':2} {'':28}" + "".join(f"{title:>11}" for title, _ in _COLUMNS))
    for name, variants in figures["variants"].items():
        for variant, found in variants.items():
            cells = (found.get(key) for _, key in _COLUMNS)
            print(f"{name:2} {variant:28}" + "".join(f"{'' if cell is None else cell:>11}" for cell in cells))
    for name, found in figures["load"].items():
        print(f"{name}: the paper {_PAPER_S[name]} s, here {found['all_s']} s, {found['ratio_vs_paper']} times as fast")


_COLUMNS = (
    ("first ms", "first_ms"),
    ("whole ms", "first_whole_ms"),
    ("warm ms", "first_warm_ms"),
    ("all s", "all_s"),
    ("later s", "later_s"),
    ("MB/s", "megabytes_per_s"),
    ("warm s", "all_warm_s"),
    ("cpu s", "all_cpu_s"),
    ("pydicom s", "pydicom_s"),
    ("its cpu s", "pydicom_cpu_s"),
    ("x pydicom", "ratio_vs_pydicom"),
    ("ITK s", "simpleitk_s"),
    ("x ITK", "ratio_vs_simpleitk"),
)


async def _of_variant(wanted: Record, variant: Variant, folder: Path, runs: int) -> dict[str, float]:
    files = written(wanted, folder / "files", variant.coding, as_one=variant.as_one)
    kept = held(files, folder / "node", is_sealed=variant.is_sealed)
    threads = DatabaseThreads(kept.database)
    try:
        found = await _firsts(kept, threads, wanted)
        found |= await _alls(kept, threads, files, wanted, runs)
    finally:
        await threads.close()
        kept.close()
    return found


# The first slice


async def _firsts(kept: Held, threads: DatabaseThreads, wanted: Record) -> dict[str, float]:
    catalogue = kept.catalogue(threads)
    stored = await catalogue.stored_series(kept.study_uid, kept.series_uid)
    frames = [(image, index) for image in stored.images for index in range(len(image.description.frames))]
    is_large = wanted.size.rows * wanted.size.columns > _LARGE
    # From all parts, no two beside one another: what is made ahead of one must not be the next.
    step = max(1, len(frames) // (_FIRSTS + 1))
    some = frames[step // 2 :: step][: _FIRSTS + 1]
    cache = kept.folder / _CACHE

    async def median_ms(drawing: Drawing, viewport: Viewport | None) -> float:
        took_ms = []
        # As in a node: what is around a frame is looked up, and the neighbours may be made ready meanwhile.
        drawing.around = kept.catalogue(threads).place_of
        for number, (image, index) in enumerate(some):
            view = SliceView(image.description.instance_uid, index, _JPEG, viewport=viewport)
            began = time.perf_counter()
            asked = await catalogue.stored_image(kept.study_uid, kept.series_uid, image.description.instance_uid)
            await drawing.slice(asked, view, viewer=f"viewer {number} {viewport}")
            took_ms.append((time.perf_counter() - began) * 1000)
        return round(statistics.median(took_ms[1:]), 1)  # the first decoder is still being born at the first

    async with _drawing(kept, cache) as drawing:
        found = {"first_ms": await median_ms(drawing, _SCREEN if is_large else None)}
    if is_large:
        shutil.rmtree(cache)
        async with _drawing(kept, cache) as drawing:
            found["first_whole_ms"] = await median_ms(drawing, None)
    if is_dear(frames[0][0]):
        shutil.rmtree(cache)
        await asyncio.to_thread(_kept_decoded, kept, frames)
        async with _drawing(kept, cache) as drawing:
            found["first_warm_ms"] = await median_ms(drawing, _SCREEN if is_large else None)
    return found


@contextlib.asynccontextmanager
async def _drawing(kept: Held, cache: Path) -> AsyncIterator[Drawing]:
    drawing = Drawing(DrawingSettings(kept.settings, render_cache_directory=cache))
    await drawing.start()
    try:
        yield drawing
    finally:
        await drawing.stop()


def _kept_decoded(kept: Held, frames: Sequence[tuple[StoredImage, int]]) -> None:
    """All frames are in the render cache."""
    decoders = Decoders(1)
    cache, made = _opened_cache(kept), Frames(kept.store, 0, decoders)
    try:
        for image, index in frames:
            cache.keep_frame(image, index, made.stored_values(image, index, Stopwatch()))
    finally:
        decoders.stop()


def _opened_cache(kept: Held) -> RenderCache:
    return RenderCache(kept.folder / _CACHE, kept.store.keys, budget_bytes=8 * _BUDGET_BYTES)


# All slices


async def _alls(
    kept: Held, threads: DatabaseThreads, files: Sequence[Path], wanted: Record, runs: int
) -> dict[str, float]:
    count = DrawingSettings(kept.settings).decoder_threads
    decoders = Decoders(2 * count)
    stored = await kept.catalogue(threads).stored_series(kept.study_uid, kept.series_uid)
    took: dict[str, list[float]] = {"all_s": [], "later_s": [], "pydicom_s": [], "simpleitk_s": []}
    cpu: dict[str, list[float]] = {"all_cpu_s": [], "pydicom_cpu_s": []}

    def new_frames(cache: RenderCache | None = None) -> Frames:
        return Frames(kept.store, _BUDGET_BYTES, decoders, cache)

    async def all_ready(frames: Frames) -> float:
        began = time.perf_counter()
        stored = await kept.catalogue(threads).stored_series(kept.study_uid, kept.series_uid)
        await asyncio.to_thread(_all_decoded, frames, stored.images, count)
        return time.perf_counter() - began

    try:
        decoders.start()
        await all_ready(new_frames())  # the decoders are born, the files in the page cache
        for _ in range(runs):
            frames, cpu_began = new_frames(), time.process_time()
            took["all_s"].append(await all_ready(frames))
            cpu_between = time.process_time()
            del frames
            cpu_pydicom_began = time.process_time()
            took["pydicom_s"].append(_seconds(lambda: [dcmread(file).pixel_array for file in files]))
            cpu["all_cpu_s"].append(cpu_between - cpu_began)
            cpu["pydicom_cpu_s"].append(time.process_time() - cpu_pydicom_began)
            took["simpleitk_s"].append(_seconds(lambda: _with_simpleitk(files)))
        used = new_frames()
        await all_ready(used)
        for _ in range(runs):
            for image in stored.images:
                used.forget(image.key)
            took["later_s"].append(await all_ready(used))
        del used
        if is_dear(stored.images[0]):
            took["all_warm_s"] = [await all_ready(new_frames(_opened_cache(kept))) for _ in range(runs)]
    finally:
        decoders.stop()
    if not is_decoded_apart(stored.images[0].description.transfer_syntax_uid):
        took |= cpu  # the time of decoders' processes is not counted here
    found = {key: round(statistics.median(values), 3) for key, values in took.items()}
    return found | {
        "megabytes_per_s": round(wanted.value_bytes / 1e6 / found["all_s"], 1),
        "ratio_vs_pydicom": round(found["pydicom_s"] / found["all_s"], 2),
        "ratio_vs_simpleitk": round(found["simpleitk_s"] / found["all_s"], 2),
    }


def _all_decoded(frames: Frames, images: Sequence[StoredImage], threads: int) -> None:
    wanted = [(image, index) for image in images for index in range(len(image.description.frames))]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda one: frames.stored_values(one[0], one[1], Stopwatch()).shape, wanted))


def _with_simpleitk(files: Sequence[Path]) -> None:
    if len(files) == 1:
        SimpleITK.ReadImage(str(files[0]))
        return
    SimpleITK.ReadImage([str(file) for file in files])


def _seconds(work: Callable[[], object]) -> float:
    """Until the result is there; not until it is gone again."""
    began = time.perf_counter()
    result = work()
    took_s = time.perf_counter() - began
    del result
    return took_s
