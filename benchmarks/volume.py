"""Planes and volumes beside VTK: the same values, camera, transfer function and length of step, one after the other in one run.

Record C of the phantom (512 x 512 x 555; made once, kept in the folder of temporary files) and the real chest of the test
files; a quick run has a fifth of the slices of record C, over the same length, and fewer ways. For each way of drawing: the
median time of one picture in memory, ours and of each of VTK's ways that can draw it, by the clock and by the processor (of all
threads: what a machine shared with others cannot spoil; ratios are of these); and how far each is from the truth. For grey
pictures that is the mean difference from rays cast in NumPy with a quarter of the step; for lit ones, whose light no two
programs reckon alike, the structural similarity with the same program's picture at a third of the step, and with VTK's at
that step.

Then the road of a viewer: a store with the record in it and a real render process that has never seen it, its files in the
memory of the system. While it loads, pictures of a moving camera are asked for, one after the other: when each came, how
much the processes had worked by then, how much of the volume was in it, and how like it is to the same view drawn of the whole
volume at rest. The same again by another process, which finds in the render cache what the first one kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from appliance.domain.cameras import whole_view
from appliance.domain.geometry import LatticeSlice, VolumeGeometry, arranged
from appliance.domain.grayscale import windowed
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import StoredImage, StoredSeries, Window
from appliance.domain.views import Camera, Encoding, Picture, PlaneView, RenderingMethod, VolumeView
from appliance.rendering.composites import SETTLED_STEP
from appliance.rendering.rays import camera_axes
from appliance.rendering.renderer import Renderer
from appliance.rendering.texels import TexelScale
from appliance.rendering.transfer_functions import TransferFunction, transfer_function
from appliance.rendering.volume_textures import VolumeTextures
from appliance.services.drawing import Drawing, DrawingSettings
from appliance.services.pace import Pace
from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from appliance.storage.parsing import parse
from provisioning.phantom import RECORDS, Phantom, write_files
from tests.rendering.series import on_card, series_of
from tests.rendering.similarity import ssim
from tests.rendering.vtk_pictures import VtkPlanes, VtkVolumes, image_of

Say = Callable[[str], None]
Draw = Callable[[], NDArray[np.uint8]]

_UID, _PNG = SeriesUid("1.2"), Encoding("image/png")
_GREY = Window(300, 1400, "linear-exact")
_SOFT = Window(40, 400, "linear-exact")
_SLAB_MM = 20.0
_FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "dicom" / "01-volumes" / "ct-chest-lidc-0314"
_LONGEST_S = 2.0
"""Of one way of drawing: slower ones are drawn fewer times, at least once after the first."""
_FEW = 2
"""Pictures of each kind in a quick run."""
_MOVING = 6
"""Pictures of a camera that has just begun to move: by the fourth their size has been found."""
_FEW_SLICES = 111
"""Of record C in a quick run."""
_PAUSE_S = 0.1
"""From a picture of the moving camera to the next question: hands are not quicker, and loading needs its share."""
_MOST_TOLD = 12
"""Of the pictures that come while a volume loads."""
_SPARSE = 32
"""Pixels from one ray of the truth to the next."""


@dataclass(frozen=True)
class Took:
    """The median of one picture, by the clock and by the processor."""

    ms: float
    cpu_ms: float


@dataclass
class Subject:
    """A volume, as each program holds it."""

    name: str
    values: NDArray[np.int16]
    geometry: VolumeGeometry
    textures: VolumeTextures
    scale: TexelScale
    image: Any

    @property
    def step_mm(self) -> float:
        return self.textures.layout.finest_mm

    def camera(self) -> Camera:
        """From the front, 35 degrees to the left and 15 up: no ray runs along an axis."""
        return _oblique(self.geometry)


def _oblique(geometry: VolumeGeometry) -> Camera:
    whole = whole_view(geometry.center_mm, geometry.size_mm, "a", aspect=1)
    towards = np.array([np.sin(np.deg2rad(35)), -np.cos(np.deg2rad(35)), np.tan(np.deg2rad(15))])
    eye = np.array(whole.look_at) + 1200 * towards / np.linalg.norm(towards)
    return replace(whole, position=tuple(eye.tolist()))


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    runs = _FEW if quick else 15
    renderer = Renderer()
    say(f"{renderer.info.renderer}, {renderer.info.version}")
    figures: dict[str, Any] = {"renderer": renderer.info.renderer, "version": renderer.info.version, "rows": []}
    record = _record_c(say, _FEW_SLICES if quick else RECORDS["C"].slices)
    for subject in _subjects(record, quick=quick):
        for side in (512,) if quick else (512, 256):
            figures["rows"] += list(_rows(renderer, subject, side, runs, say, quick=quick))
        if subject.name == "record C":
            figures["interactive"] = _interactive(renderer, subject, quick=quick)
        subject.textures.free()
    renderer.close()
    figures["slices"] = len(record)
    figures["cold"] = asyncio.run(_cold(record, say))
    figures["volume"] = _summary(figures)
    return figures


def show(figures: dict[str, Any]) -> None:
    head = f"{'volume':<9} {'size':>4} {'what':<16} {'by':<10} {'ms':>8} {'cpu ms':>8} {'VTK/ours':>8}"
    print(f"{head} {'error':>7} {'ssim':>6} {'~VTK':>6}")
    for row in figures["rows"]:
        ratio = f"{row['ratio']:8.2f}" if row["by"] != "ours" else " " * 8
        told = "".join(f" {row[name]:{width}}" if name in row else " " * 7 for name, width in _COLUMNS)
        print(f"{row['of']:<9} {row['side']:>4} {row['what']:<16} {row['by']:<10}", end="")
        print(f" {row['ms']:8.1f} {row['cpu_ms']:8.1f} {ratio}{told}")
    for name, moving in figures["interactive"].items():
        print(f"record C  {moving['side']:>4} {name + ', moving':<16} {'ours':<10} {moving['ms']:8.1f}")
    for name, told in {"cold": "never opened before", "again": "opened before"}.items():
        print(f"{figures['slices']} slices, {told}: pictures of the moving camera in the order in which they came")
        for picture in figures["cold"][name]["growing"]:
            size, one_of = "x".join(map(str, picture["size"])), "x".join(map(str, picture["reduction"]))
            print(f"{picture['ms']:8.0f} ms {picture['cpu_ms']:6.0f} cpu  {picture['completeness']:5.2f} of it", end="")
            print(f", one voxel of {one_of}, {size}, ssim {picture['ssim']:.3f}")
        print(f"{figures['cold'][name]['settled_ms']:8.0f} ms  whole, at rest, 512x512")


_COLUMNS = (("error", "7.3f"), ("own_ssim", "6.4f"), ("vtk_ssim", "6.4f"))


def _summary(figures: dict[str, Any]) -> dict[str, Any]:
    def of(what: str) -> dict[str, float]:
        rows = [row for row in figures["rows"] if (row["of"], row["side"], row["what"]) == ("record C", 512, what)]
        ms = next(row["ms"] for row in rows if row["by"] == "ours")
        return {
            "ms": round(ms, 2),
            "ratio_vs_vtk_best_cpu": round(min(row["ratio"] for row in rows if row["by"] != "ours"), 2),
        }

    return {
        "composited_512": of("lit bone"),
        **{
            f"{preset}_512": of(f"lit {preset}")
            for preset in ("lung", "skin")
            if any(row["what"] == f"lit {preset}" for row in figures["rows"])
        },
        "mip_512": of("maximum_ip"),
        "plane": of("plane"),
        "interactive_ms": round(max(moving["ms"] for moving in figures["interactive"].values()), 1),
        "cold_first_picture_ms": figures["cold"]["cold"]["growing"][0]["ms"],
        "cold_first_picture_cpu_ms": figures["cold"]["cold"]["growing"][0]["cpu_ms"],
        "again_first_picture_ms": figures["cold"]["again"]["growing"][0]["ms"],
    }


def _subjects(record: Sequence[Path], *, quick: bool) -> Iterator[Subject]:
    for name, paths in {"record C": record, "chest": tuple(_FOLDER.iterdir())}.items():
        series = series_of(paths)
        yield _subject(name, series.values().astype(np.int16), series.geometry.spacing_mm)
        if quick:
            break


def _subject(name: str, values: NDArray[np.int16], spacing: tuple[float, float, float]) -> Subject:
    shape: Any = values.shape
    first = tuple((-(np.array(shape[::-1]) - 1) / 2 * spacing[::-1]).tolist())
    matrix = np.zeros((4, 4))
    matrix[2, 0], matrix[1, 1], matrix[0, 2], matrix[3, 3] = *spacing, 1
    matrix[:3, 3] = first
    size = (shape[2] * spacing[2], shape[1] * spacing[1], shape[0] * spacing[0])
    lattice = tuple(LatticeSlice(i, i) for i in range(shape[0]))
    geometry = VolumeGeometry(shape, spacing, tuple(map(tuple, matrix.tolist())), (0, 0, 0), size, lattice)
    textures = on_card((values.astype(np.int32) + 32768).astype(np.uint16), geometry)
    return Subject(name, values, geometry, textures, TexelScale(-32768, 1, True), image_of(values, spacing, first))


def _record_c(say: Say, slices: int) -> tuple[Path, ...]:
    """The files of record C, or of as long a one of fewer slices."""
    size = RECORDS["C"]
    phantom = Phantom(replace(size, slices=slices, slice_spacing_mm=size.slices * size.slice_spacing_mm / slices))
    kept = Path(tempfile.gettempdir()) / "appliance-benchmarks" / f"record-c-{slices}"
    if not kept.is_dir():
        say(f"making record C of {slices} slices, once; up to a minute or two")
        with tempfile.TemporaryDirectory(dir=_made(kept.parent)) as begun:
            made = Path(begun) / "made"
            for _ in write_files(phantom, made):
                pass
            made.replace(kept)
    return tuple(sorted(kept.iterdir()))


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


async def _cold(record: Sequence[Path], say: Say) -> dict[str, Any]:
    """What comes when of ``record``, by a process that is up and has not seen it; and by one that finds it kept."""
    with tempfile.TemporaryDirectory() as folder:
        settings = StoreSettings(Path(folder), None, floor_bytes=0)
        series = StoredSeries(_UID, "1", tuple(_kept(open_store(settings), record)))
        geometry = arranged([image.description for image in series.images]).chosen(None)
        moving = VolumeView(_UID, _oblique(geometry), (256, 256), _PNG, preset="bone", interactive=True)
        found = {}
        for name in ("cold", "again"):
            drawing = Drawing(DrawingSettings(settings, settled_wait_s=600))
            await drawing.start()
            try:
                found[name] = await _growing(drawing, series, moving, lambda line, name=name: say(f"{name}: {line}"))  # type: ignore[misc]
            finally:
                await drawing.stop()
        return found


def _kept(store: InstanceStore, paths: Sequence[Path]) -> Iterator[StoredImage]:
    for path in paths:
        spool = store.begin()
        spool.write(path.read_bytes())
        key = spool.commit()
        with store.open(key) as reader:
            image = parse(reader).image
        assert image is not None
        yield StoredImage(key, image)


async def _growing(drawing: Drawing, series: StoredSeries, moving: VolumeView, say: Say) -> dict[str, Any]:
    began, cpu_began = time.perf_counter(), _worked_ms()
    pictures: list[tuple[float, float, Picture]] = []
    while not pictures or pictures[-1][2].completeness < 1:
        # Each a little aside of the one before, as a camera moves: the same view would be one question.
        nudged = replace(
            moving,
            camera=replace(moving.camera, field_of_view_mm=moving.camera.field_of_view_mm + 1e-6 * len(pictures)),
        )
        picture = await drawing.volume(series, nudged, viewer="benchmark")
        pictures.append(((time.perf_counter() - began) * 1000, _worked_ms() - cpu_began, picture))
        await asyncio.sleep(_PAUSE_S)
    began = time.perf_counter()
    await drawing.volume(series, replace(moving, size=(512, 512), interactive=False), viewer="benchmark")
    settled_ms = (time.perf_counter() - began) * 1000
    found = []
    for ms, cpu_ms, picture in _told(pictures):
        whole = await drawing.volume(series, replace(moving, size=picture.size, interactive=False), viewer="benchmark")
        alike = ssim(_pixels(picture), _pixels(whole))
        size, part = picture.size, round(picture.completeness, 3)
        say(f"{ms:.0f} ms, {cpu_ms:.0f} of the processor, {part} of the volume, {size[0]}x{size[1]}, ssim {alike:.3f}")
        found.append(
            {
                "ms": round(ms),
                "cpu_ms": round(cpu_ms),
                "completeness": part,
                "reduction": picture.reduction,
                "size": size,
                "ssim": round(alike, 4),
            }
        )
    return {"growing": found, "settled_ms": round(settled_ms)}


def _worked_ms() -> float:
    """Of the processor, by all processes that were started here and are still there."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, told = path.read_text().rpartition(") ")
            parts = told.split()
            if int(parts[2]) == os.getpgrp() and path.parent.name != str(os.getpid()):
                ticks += int(parts[11]) + int(parts[12])  # in user and in kernel mode
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _told(pictures: list[tuple[float, float, Picture]]) -> list[tuple[float, float, Picture]]:
    """The first and the last, and at most so many between them, evenly by time."""
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), _MOST_TOLD)).round().astype(int)
    return [pictures[i] for i in chosen]


def _pixels(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(imagecodecs.png_decode(picture.body))


def _rows(
    renderer: Renderer, subject: Subject, side: int, runs: int, say: Say, *, quick: bool
) -> Iterator[dict[str, Any]]:
    size = (side, side)
    camera = subject.camera()
    fast, gl = VtkVolumes(subject.image, is_gpu=False), VtkVolumes(subject.image, is_gpu=True)
    reslice = VtkPlanes(subject.image)

    def row(what: str, by: str, took: Took, ours: Took, **found: float) -> dict[str, Any]:
        say(f"{subject.name} {side} {what} {by}: {took.ms:.1f} ms, {took.cpu_ms:.1f} of the processor")
        name = {"of": subject.name, "side": side, "what": what, "by": by}
        return {**name, "ms": took.ms, "cpu_ms": took.cpu_ms, "ratio": took.cpu_ms / ours.cpu_ms, **found}

    for what, slab_mm, method in (
        ("plane", 0.0, RenderingMethod.AVERAGE_IP),
        ("slab, mean", _SLAB_MM, RenderingMethod.AVERAGE_IP),
        ("slab, largest", _SLAB_MM, RenderingMethod.MAXIMUM_IP),
    ):
        if quick and what == "slab, mean":
            continue
        view = PlaneView(_UID, camera, size, _PNG, slab_mm=slab_mm, method=method)
        beside = int(np.ceil(slab_mm / 2 / subject.step_mm))
        spans = np.linspace(-slab_mm / 2, slab_mm / 2, 8 * beside + 1)
        truth = _Truth(subject, camera, side, spans, method, window=_SOFT)
        draw = _plane(renderer, subject, view)
        took, pixels = _median(draw, 4 * runs)
        yield row(what, "ours", took, took, error=truth.error(pixels))
        peer_took, pixels = _median(_resliced(reslice, view, 2 * beside + 1), 4 * runs)
        yield row(what, "reslice", peer_took, took, error=truth.error(pixels))
    for method in (RenderingMethod.MAXIMUM_IP, RenderingMethod.MINIMUM_IP, RenderingMethod.AVERAGE_IP):
        if quick and method is not RenderingMethod.MAXIMUM_IP:
            continue
        half = float(np.linalg.norm(subject.geometry.size_mm)) / 2
        truth = _Truth(subject, camera, side, np.arange(-half, half, subject.step_mm / 4), method, window=_GREY)
        took, pixels = _median(_projection(renderer, subject, VolumeView(_UID, camera, size, _PNG, method)), runs)
        yield row(method.value, "ours", took, took, error=truth.error(pixels))
        for by, peer in (("fixed", fast), ("gpu on cpu", gl)):
            if by == "fixed" and method is RenderingMethod.AVERAGE_IP:
                continue  # it has none
            peer.look(method, _GREY, subject.step_mm)
            peer_took, pixels = _median(_volume(peer, camera, size), runs)
            yield row(method.value, by, peer_took, took, error=truth.error(pixels[:, :, 0]))
    for preset in ("bone", "lung", "skin"):
        # Half a minute a picture with Mesa 22: its other presets would tell nothing new.
        peers = {"fixed": fast, "gpu on cpu": gl} if preset == "bone" and not quick else {"fixed": fast}
        yield from _lit(renderer, subject, VolumeView(_UID, camera, size, _PNG), preset, peers, runs=runs, row=row)
        if quick:
            break
    fast.close()
    gl.close()


def _lit(
    renderer: Renderer,
    subject: Subject,
    view: VolumeView,
    preset: str,
    peers: dict[str, VtkVolumes],
    *,
    runs: int,
    row: Callable[..., dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    transfer, what = transfer_function(preset, "CT", None, _GREY), f"lit {preset}"
    camera, size = view.camera, view.size
    peers["fixed"].look(RenderingMethod.VOLUME_RENDERED, transfer, subject.step_mm / 3)
    finest = peers["fixed"].draw(camera, size)
    took, pixels = _median(_composite(renderer, subject, view, transfer), runs)
    own = _composite(renderer, subject, view, transfer, step_texels=0.25)()
    yield row(what, "ours", took, took, own_ssim=ssim(pixels, own), vtk_ssim=ssim(pixels, finest))
    for by, peer in peers.items():
        peer.look(RenderingMethod.VOLUME_RENDERED, transfer, subject.step_mm * SETTLED_STEP)
        peer_took, pixels = _median(_volume(peer, camera, size), runs)
        found = {"own_ssim": ssim(pixels, finest)} if by == "fixed" else {"vtk_ssim": ssim(pixels, finest)}
        yield row(what, by, peer_took, took, **found)


def _interactive(renderer: Renderer, subject: Subject, *, quick: bool) -> dict[str, dict[str, float]]:
    """Of the pictures while the camera moves, by what they show: the slowest, and how large they become in that time.

    Sizes are those that the service would choose for a viewer who asks for 256 x 256 and has seen nothing yet.
    """
    view = VolumeView(_UID, subject.camera(), (256, 256), _PNG, interactive=True)
    found = {}
    for preset in ("bone", "lung") if quick else ("bone", "vessels", "lung", "soft-tissue", "skin"):
        transfer = transfer_function(preset, "CT", None, _GREY)
        found[preset] = _moving(
            replace(view, preset=preset), lambda sized, seen=transfer: _composite(renderer, subject, sized, seen)
        )
    mip = replace(view, method=RenderingMethod.MAXIMUM_IP)
    return {**found, "maximum_ip": _moving(mip, lambda sized: _projection(renderer, subject, sized))}


def _moving(view: VolumeView, draw: Callable[[VolumeView], Draw]) -> dict[str, float]:
    pace, walls = Pace(), []
    for _ in range(_MOVING):
        sized = replace(view, size=pace.size(view))
        began = time.perf_counter()
        draw(sized)()
        walls.append((time.perf_counter() - began) * 1000)
        pace.learn(view, sized.size[0] * sized.size[1], walls[-1])
    return {"ms": max(walls), "side": sized.size[0]}


def _plane(renderer: Renderer, subject: Subject, view: PlaneView) -> Draw:
    return lambda: renderer.projections.draw_plane(subject.textures, subject.scale, view, _SOFT)


def _resliced(reslice: VtkPlanes, view: PlaneView, samples: int) -> Draw:
    return lambda: reslice.draw(view, _SOFT, slab_samples=samples)


def _volume(peer: VtkVolumes, camera: Camera, size: tuple[int, int]) -> Draw:
    return lambda: peer.draw(camera, size)


def _projection(renderer: Renderer, subject: Subject, view: VolumeView) -> Draw:
    def draw() -> NDArray[np.uint8]:
        pixels = renderer.projections.draw_projection(subject.textures, subject.scale, view, view.size, _GREY)
        assert pixels is not None
        return pixels

    return draw


def _composite(
    renderer: Renderer, subject: Subject, view: VolumeView, transfer: TransferFunction, **changes: float
) -> Draw:
    def draw() -> NDArray[np.uint8]:
        pixels = renderer.composites.draw(subject.textures, subject.scale, view, view.size, transfer, **changes)
        assert pixels is not None
        return pixels

    return draw


def _median(draw: Draw, runs: int) -> tuple[Took, NDArray[np.uint8]]:
    """What one picture takes, and the picture; what the first one prepares is not counted."""
    pixels = draw()
    walls: list[float] = []
    cpus: list[float] = []
    while len(walls) < runs and (not walls or sum(walls) < _LONGEST_S):
        began, cpu_began = time.perf_counter(), time.process_time()
        draw()
        walls.append(time.perf_counter() - began)
        cpus.append(time.process_time() - cpu_began)
    return Took(statistics.median(walls) * 1000, statistics.median(cpus) * 1000), pixels


class _Truth:
    """Rays of every 32nd pixel along and down, cast in NumPy between the eight voxels about each place."""

    def __init__(
        self,
        subject: Subject,
        camera: Camera,
        side: int,
        along_mm: NDArray[np.float64],
        method: RenderingMethod,
        *,
        window: Window,
    ) -> None:
        axes, pixel_mm = camera_axes(camera), camera.field_of_view_mm / side
        self._at = np.arange(_SPARSE // 2, side, _SPARSE)
        offsets = (self._at + 0.5 - side / 2) * pixel_mm
        over = {RenderingMethod.MAXIMUM_IP: np.nanmax, RenderingMethod.MINIMUM_IP: np.nanmin}.get(method, np.nanmean)
        to_index = np.linalg.inv(np.array(subject.geometry.index_to_patient))
        rows = []
        for down in offsets:
            start = np.array(camera.look_at) + offsets[:, None] * axes.right - down * axes.up
            places = start[:, None] + along_mm[None, :, None] * axes.ahead
            values = _between(subject.values, places @ to_index[:3, :3].T + to_index[:3, 3])
            is_hit = np.isfinite(values).any(axis=1)
            found = np.full(len(offsets), np.nan)
            found[is_hit] = over(values[is_hit], axis=1)
            rows.append(found)
        self._grey = windowed(np.array(rows), window) * 255

    def error(self, pixels: NDArray[np.uint8]) -> float:
        """Mean difference in grey levels, where rays meet the volume."""
        found = pixels[np.ix_(self._at, self._at)].astype(float)
        return float(np.nanmean(np.abs(found - self._grey)))


def _between(values: NDArray[np.int16], index: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolated at (…, 3) of (slice, row, column); not a number outside."""
    last = np.array(values.shape) - 1
    is_inside = ((index >= 0) & (index <= last)).all(axis=-1)
    low = np.clip(np.floor(index).astype(int), 0, np.maximum(last - 1, 0))
    weight = index - low
    found = np.zeros(index.shape[:-1])
    for corner in np.ndindex(2, 2, 2):
        part = np.prod(np.where(corner, weight, 1 - weight), axis=-1)
        z, y, x = np.moveaxis(low + corner, -1, 0)
        found += part * values[z, y, x]
    return np.where(is_inside, found, np.nan)
