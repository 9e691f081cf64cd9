"""Planes and volumes beside VTK: the same values, camera, transfer function and length of step, one after the other in one run.

Record C of the phantom (512 x 512 x 555; made once, kept in the folder of temporary files) and the real chest of the test
files. For each way of drawing: the median time of one picture in memory, ours and of each of VTK's ways that can draw it, by
the clock and by the processor (of all threads: what a machine shared with others cannot spoil; ratios are of these); and how
far each is from the truth. For grey pictures that is the mean difference from rays cast in NumPy with a quarter of
the step; for lit ones, whose light no two programs reckon alike, the structural similarity with the same program's picture at
a third of the step, and with VTK's at that step.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.domain.cameras import whole_view
from appliance.domain.geometry import LatticeSlice, VolumeGeometry
from appliance.domain.grayscale import windowed
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import Window
from appliance.domain.views import Camera, Encoding, PlaneView, RenderingMethod, VolumeView
from appliance.rendering.composites import SETTLED_STEP
from appliance.rendering.rays import camera_axes
from appliance.rendering.renderer import Renderer
from appliance.rendering.texels import TexelScale
from appliance.rendering.transfer_functions import TransferFunction, transfer_function
from appliance.rendering.volume_textures import VolumeTextures
from provisioning.phantom import RECORDS, Phantom
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
_FEW = 5
"""Pictures of each kind in a quick run."""
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
        whole = whole_view(self.geometry.center_mm, self.geometry.size_mm, "a", aspect=1)
        towards = np.array([np.sin(np.deg2rad(35)), -np.cos(np.deg2rad(35)), np.tan(np.deg2rad(15))])
        eye = np.array(whole.look_at) + 1200 * towards / np.linalg.norm(towards)
        return replace(whole, position=tuple(eye.tolist()))


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    runs = _FEW if quick else 15
    renderer = Renderer()
    say(f"{renderer.info.renderer}, {renderer.info.version}")
    figures: dict[str, Any] = {"renderer": renderer.info.renderer, "version": renderer.info.version, "rows": []}
    for subject in _subjects(say, quick=quick):
        for side in (512,) if quick else (512, 256):
            figures["rows"] += list(_rows(renderer, subject, side, runs, say))
        if subject.name == "record C":
            figures["interactive"] = _interactive(renderer, subject, runs)
        subject.textures.free()
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
    for name, ms in figures["interactive"].items():
        print(f"record C   256 {name + ', moving':<16} {'ours':<10} {ms:8.1f}")


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
        "lung_512": of("lit lung"),
        "mip_512": of("maximum_ip"),
        "plane": of("plane"),
        "interactive_ms": round(max(figures["interactive"].values()), 1),
    }


def _subjects(say: Say, *, quick: bool) -> Iterator[Subject]:
    yield _subject("record C", _record_c(say), (0.75, 0.78, 0.78))
    if quick:
        return
    chest = series_of(_FOLDER.iterdir())
    yield _subject("chest", chest.values().astype(np.int16), chest.geometry.spacing_mm)


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


def _record_c(say: Say) -> NDArray[np.int16]:
    kept = Path(tempfile.gettempdir()) / "appliance-benchmarks" / "record-c.npy"
    if not kept.is_file():
        say("making record C, once; a minute or two")
        values = np.stack([pixels.astype(np.int16) - 1024 for pixels in Phantom(RECORDS["C"]).slices()])
        kept.parent.mkdir(exist_ok=True)
        begun = kept.with_suffix(".part.npy")
        np.save(begun, values)
        begun.replace(kept)
    loaded: NDArray[np.int16] = np.load(kept)
    return loaded


def _rows(renderer: Renderer, subject: Subject, side: int, runs: int, say: Say) -> Iterator[dict[str, Any]]:
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
    for preset in ("bone", "lung"):
        # Half a minute a picture with Mesa 22: its other preset would tell nothing new.
        peers = {"fixed": fast, "gpu on cpu": gl} if preset == "bone" and runs > _FEW else {"fixed": fast}
        yield from _lit(renderer, subject, VolumeView(_UID, camera, size, _PNG), preset, peers, runs=runs, row=row)
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


def _interactive(renderer: Renderer, subject: Subject, runs: int) -> dict[str, float]:
    """Milliseconds of each picture while the camera moves, by what it shows."""
    view = VolumeView(_UID, subject.camera(), (256, 256), _PNG, interactive=True)
    found = {
        preset: _median(_composite(renderer, subject, view, transfer_function(preset, "CT", None, _GREY)), runs)[0].ms
        for preset in ("bone", "vessels", "lung", "soft-tissue", "skin")
    }
    mip = replace(view, method=RenderingMethod.MAXIMUM_IP)
    return {**found, "maximum_ip": _median(_projection(renderer, subject, mip), runs)[0].ms}


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
