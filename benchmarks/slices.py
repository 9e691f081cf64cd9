"""What a picture of a slice costs, stage by stage, and how long viewers wait who scroll at the same time.

    stages     one render thread's work on a slice of 512 x 512 and of 5 megapixels (whole, and in a viewport of 1024 x 1024):
               read and unsealed, decoded (JPEG-LS too, here and by a worker), drawn by NumPy, by the shader with what is sent
               to it and read back, encoded by each encoder at several qualities, and the bytes
    scrolling  1, 8 and 50 viewers ask for one slice after the other of a sealed record of 512 x 512, each from another place, as
               soon as the one before is there: through the front and its render processes with the catalogue, and over HTTPS
               (HTTP/1.1) from a running appliance. Percentiles of the time from question to picture, pictures a second, the
               slowest viewer's share of an even one, and the memory of all processes

Reading back and sending are what the shader's way takes beyond drawing; on software OpenGL all three are the processor's. The
clients of HTTPS are in one process of Python, which takes its part of the processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from appliance.domain.image import StoredImage, Window
from appliance.domain.views import Encoding, SliceView, Viewport
from appliance.rendering.encoders import encode, media_types
from appliance.rendering.gloo import Texture, gl
from appliance.rendering.renderer import Renderer
from appliance.rendering.slices import drawn_plainly, is_plain, planned
from appliance.services.database_threads import DatabaseThreads
from appliance.services.decode_process import Decoders
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.storage.decoding import decode_frame
from benchmarks.records import Held, Record, five_megapixels, held, record, written
from tests.end_to_end.running import PASSWORD, USERNAME, all_in_one

Say = Callable[[str], None]
Ask = Callable[[int, int], Awaitable[object]]
"""Asks for a slice, by the number of the viewer and its place in the series."""

_JPEG = Encoding("image/jpeg", 90)
_ENCODINGS = (
    *(Encoding("image/jpeg", quality) for quality in (50, 75, 90, 100)),
    *(Encoding("image/webp", quality) for quality in (50, 75, 90, None)),
    *(Encoding("image/avif", quality) for quality in (50, 75, 90)),
    *(Encoding("image/jxl", quality) for quality in (75, 90, None)),
    Encoding("image/png"),
)
_WINDOW = Window(40, 400)
_VIEWERS = (1, 8, 50)


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    runs = 5 if quick else 15
    renderer = Renderer()
    say(f"{renderer.info.renderer}, {renderer.info.version}")
    figures: dict[str, Any] = {"renderer": renderer.info.renderer, "stages": {}, "encoders": {}, "scrolling": {}}
    for name, wanted, viewport in (
        ("512", replace(record("B"), size=replace(record("B").size, slices=1)), None),
        ("5 megapixels", five_megapixels(1), None),
        ("5 megapixels in 1024", five_megapixels(1), Viewport(1024, 1024)),
    ):
        with tempfile.TemporaryDirectory(prefix="slices-") as folder:
            stages, pixels = _stages(renderer, wanted, viewport, Path(folder), runs)
        figures["stages"][name] = stages
        say(f"{name}: " + ", ".join(f"{stage} {ms} ms" for stage, ms in stages.items()))
        if viewport is None:
            figures["encoders"][name] = _encoders(pixels, runs if pixels.size < 1 << 20 else 3)
    figures["scrolling"] = asyncio.run(_scrolling(quick=quick, say=say))
    return figures


def show(figures: dict[str, Any]) -> None:
    for name, stages in figures["stages"].items():
        print(f"{name:22}" + ", ".join(f"{stage} {ms}" for stage, ms in stages.items()) + "  (ms)")
    for name, rows in figures["encoders"].items():
        for row in rows:
            print(f"{name:14} {row['encoding']:22} {row['ms']:8.1f} ms {row['bytes']:>10,} bytes")
    for name, found in figures["scrolling"].items():
        print(f"{name:28}" + ", ".join(f"{key} {value}" for key, value in found.items()))


# Stages


def _stages(
    renderer: Renderer, wanted: Record, viewport: Viewport | None, folder: Path, runs: int
) -> tuple[dict[str, float], NDArray[np.uint8]]:
    kept = held(written(wanted, folder / "raw", "raw", as_one=False), folder / "node", is_sealed=True)
    packed = held(written(wanted, folder / "ls", "jpeg-ls", as_one=False), folder / "other", is_sealed=True)
    decoders = Decoders(1)
    try:
        image, values = _first_of(kept)
        in_jpeg_ls, _ = _first_of(packed)
        view = SliceView(image.description.instance_uid, 0, _JPEG, _WINDOW, viewport)
        plan = planned(image.description, view)
        assert is_plain(image.description, plan, None)

        def read(of: Held, one: StoredImage) -> None:
            with of.store.open(one.key) as reader:
                reader.read_at(*one.description.frames[0].fragments[0])

        def decoded_apart() -> None:
            with packed.store.open(in_jpeg_ls.key) as reader:
                decoders.decode(in_jpeg_ls.description, 0, reader)

        def decoded_here() -> None:
            with packed.store.open(in_jpeg_ls.key) as reader:
                decode_frame(in_jpeg_ls.description, 0, reader)

        def by_shader() -> NDArray[np.uint8]:
            return renderer.slices.draw(values, image.description, 0, view, plan)

        def by_numpy() -> NDArray[np.uint8]:
            return drawn_plainly(values, image.description, 0, view, plan)

        pixels = by_numpy()
        found = {
            "read": _median_ms(lambda: read(kept, image), runs),
            "read and decoded, raw": _median_ms(lambda: _first_of(kept), runs),
            "read and decoded, JPEG-LS": _median_ms(decoded_here, runs),
            "the same by a worker": _median_ms(decoded_apart, runs),
            "drawn by NumPy": _median_ms(by_numpy, runs),
            "by the shader, all": _median_ms(by_shader, runs),
            "of it sending": _median_ms(lambda: _sent(values), runs),
            "of it reading back": _read_back_ms(renderer, by_shader, runs),
            "encoded, JPEG 90": _median_ms(lambda: encode(pixels, _JPEG), runs),
        }
    finally:
        decoders.stop()
        kept.close()
        packed.close()
    return found, pixels


def _first_of(kept: Held) -> tuple[StoredImage, NDArray[Any]]:
    image = kept.images()[0]
    with kept.store.open(image.key) as reader:
        return image, decode_frame(image.description, 0, reader)


def _sent(values: NDArray[Any]) -> None:
    texture = Texture.of_shape((*values.shape, 1), np.uint16, gl.GL_R16)
    texture.upload(values)
    gl.glFinish()
    texture.free()


def _read_back_ms(renderer: Renderer, draw: Callable[[], NDArray[np.uint8]], runs: int) -> float:
    """Of the last picture, which is still in its canvas: all is drawn, and only copied."""
    pixels = draw()
    height, width = pixels.shape
    canvas = renderer.slices._canvases._frame_buffer(width, height, gl.GL_R8)
    canvas.activate()
    gl.glFinish()
    took_ms = _median_ms(
        lambda: gl.glReadPixels(0, 0, width, height, gl.GL_RED, gl.GL_UNSIGNED_BYTE, array=pixels), runs
    )
    canvas.deactivate()
    return took_ms


def _encoders(pixels: NDArray[np.uint8], runs: int) -> list[dict[str, Any]]:
    rows = []
    for encoding in _ENCODINGS:
        if encoding.media_type in media_types():
            name = f"{encoding.media_type.removeprefix('image/')} {encoding.quality or 'lossless'}"
            ms = _median_ms(lambda encoding=encoding: encode(pixels, encoding), runs)  # type: ignore[misc]
            rows.append({"encoding": name, "ms": ms, "bytes": len(encode(pixels, encoding))})
    return rows


def _median_ms(work: Callable[[], object], runs: int) -> float:
    work()
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 2)


# Scrolling


async def _scrolling(*, quick: bool, say: Say) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    seconds = 4.0 if quick else 15.0
    with tempfile.TemporaryDirectory(prefix="scrolling-") as name:
        folder = Path(name)
        for coding in ("raw", "jpeg-ls"):
            files = written(record("B"), folder / coding, coding, as_one=False)
            kept = held(files, folder / f"node-{coding}", is_sealed=True)
            try:
                for viewers in _VIEWERS:
                    key = f"{coding}, {viewers} viewers"
                    figures[key] = await _through_drawing(kept, folder / f"{coding}-{viewers}", viewers, seconds)
                    say(f"{key}: {figures[key]}")
            finally:
                kept.close()
        figures |= await _over_http(folder, files, seconds, say)
    return figures


async def _through_drawing(kept: Held, cache: Path, viewers: int, seconds: float) -> dict[str, float]:
    threads = DatabaseThreads(kept.database)
    drawing = Drawing(DrawingSettings(kept.settings, render_cache_directory=cache))
    await drawing.start()
    try:
        catalogue = kept.catalogue(threads)
        drawing.around = catalogue.place_of
        images = (await catalogue.stored_series(kept.study_uid, kept.series_uid)).images

        async def ask(viewer: int, place: int) -> None:
            uid = images[place % len(images)].description.instance_uid
            image = await catalogue.stored_image(kept.study_uid, kept.series_uid, uid)
            # A window for each viewer: otherwise they would get one another's pictures.
            view = SliceView(uid, 0, _JPEG, Window(40 + viewer, 400 + place // len(images)))
            await drawing.slice(image, view, viewer=f"viewer {viewer}")

        found = await _scrolled(ask, viewers, len(images), seconds)
        pids = [process.child.pid for process in drawing._processes if process.child.pid]
        return found | {"mebibytes": round(sum(_mebibytes(pid) for pid in pids))}
    finally:
        await drawing.stop()
        await threads.close()


async def _over_http(folder: Path, files: Sequence[Path], seconds: float, say: Say) -> dict[str, Any]:
    (folder / "appliance").mkdir()
    running = all_in_one(folder / "appliance")
    running.create_account()
    figures = {}
    try:
        running.start()
        running.take_in(files[0].parent)
        with running.client() as client:
            session = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status()
        authorised = {"Authorization": f"Bearer {session.json()['access_token']}", "Accept": "image/jpeg"}
        tls = ssl.create_default_context(cafile=str(running.authority))
        paths = _paths(files)
        for viewers in _VIEWERS:
            key = f"HTTPS, jpeg-ls, {viewers} viewers"
            async with contextlib.AsyncExitStack() as browsers:
                clients = [
                    await browsers.enter_async_context(
                        httpx.AsyncClient(base_url=running.base_url, verify=tls, headers=authorised, timeout=60)
                    )
                    for _ in range(viewers)
                ]

                async def ask(viewer: int, place: int, clients: Sequence[httpx.AsyncClient] = clients) -> None:
                    window = f"{40 + viewer},{400 + place // len(paths)},linear"
                    answer = await clients[viewer].get(paths[place % len(paths)], params={"window": window})
                    answer.raise_for_status()

                found = await _scrolled(ask, viewers, len(paths), seconds)
            assert running.process is not None
            figures[key] = found | {"mebibytes": round(sum(map(_mebibytes, _with_children(running.process.pid))))}
            say(f"{key}: {figures[key]}")
        running.stop()
    finally:
        running.kill()
    return figures


def _paths(files: Sequence[Path]) -> list[str]:
    heads = [dcmread(file, stop_before_pixels=True) for file in files]
    return [
        f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}/rendered"
        for ds in heads
    ]


async def _scrolled(ask: Ask, viewers: int, slices: int, seconds: float) -> dict[str, float]:
    """Everybody scrolls for so long, after a first picture each and a moment, which are not counted."""
    took_ms: list[float] = []
    pictures = [0] * viewers
    await asyncio.gather(*(ask(viewer, viewer * slices // viewers) for viewer in range(viewers)))
    begins = time.perf_counter() + seconds / 4
    ends = begins + seconds

    async def scroll(viewer: int) -> None:
        place = viewer * slices // viewers + 1
        while (began := time.perf_counter()) < ends:
            await ask(viewer, place)
            place += 1
            if began >= begins:
                took_ms.append((time.perf_counter() - began) * 1000)
                pictures[viewer] += 1

    await asyncio.gather(*(scroll(viewer) for viewer in range(viewers)))
    p50, p95, p99 = map(float, np.percentile(took_ms, (50, 95, 99)))
    return {
        "p50_ms": round(p50, 1),
        "p95_ms": round(p95, 1),
        "p99_ms": round(p99, 1),
        "pictures_per_s": round(len(took_ms) / seconds, 1),
        "slowest_viewers_share": round(min(pictures) * viewers / max(1, sum(pictures)), 2),
    }


def _mebibytes(pid: int) -> float:
    """What a process has for itself, and its part of what it shares."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


def _with_children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid, *(each for child in children for each in _with_children(child))]
