"""Real series drawn by us and by strangers that know nothing of us: VTK, SimpleITK with its own reading of DICOM, dcm2niix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  # its own documentation calls it so
from numpy.typing import NDArray

from appliance.domain.cameras import whole_view
from appliance.domain.geometry import plane_axes
from appliance.domain.grayscale import modality_values, windowed
from appliance.domain.identifiers import SeriesUid
from appliance.domain.image import Window
from appliance.domain.views import Camera, Encoding, PlaneView, RenderingMethod, VolumeView
from appliance.rendering.composites import CompositePainter
from appliance.rendering.context import Context
from appliance.rendering.gloo import Canvases
from appliance.rendering.projections import ProjectionPainter
from appliance.rendering.rays import camera_axes
from appliance.rendering.transfer_functions import transfer_function
from tests.rendering.series import Series, series_of
from tests.rendering.similarity import ssim
from tests.rendering.vtk_pictures import VtkPlanes, VtkVolumes, image_of

UID, PNG = SeriesUid("1.2"), Encoding("image/png")
SOFT = Window(40, 400, "linear-exact")
WIDE = Window(300, 1400, "linear-exact")
SIZE = (128, 128)


class Chest:
    """32 slices of a real chest on the card, and the same values for strangers."""

    def __init__(self, folder: Path) -> None:
        self.series = series_of(sorted(folder.iterdir())[40:72])
        self.textures, self.scale = self.series.on_card()
        self.geometry = self.series.geometry
        matrix = np.array(self.geometry.index_to_patient)
        self.image = image_of(
            self.series.values().astype(np.int16), self.geometry.spacing_mm, tuple(matrix[:3, 3].tolist())
        )

    def camera(self) -> Camera:
        whole = whole_view(self.geometry.center_mm, self.geometry.size_mm, "a", aspect=1)
        x, y, z = whole.look_at
        return replace(whole, position=(x + 500, y - 800, z + 300))


@pytest.fixture(scope="module")
def chest(dicom_dir: Path, context: Context) -> Chest:
    return Chest(dicom_dir / "01-volumes" / "ct-chest-lidc-0314")


@pytest.fixture(scope="module")
def projections(canvases: Canvases) -> ProjectionPainter:
    return ProjectionPainter(canvases)


def differences(one: NDArray[Any], other: NDArray[Any], *, beside: int = 2, least: float = 0.02) -> NDArray[np.float64]:
    """Grey levels of difference where both are pictures: not at the edge of the volume, which programs take differently."""
    is_seen = (one > 0) & (other > 0)
    for axis in (0, 1):
        for shift in range(-beside, beside + 1):
            is_seen &= np.roll(one > 0, shift, axis) & np.roll(other > 0, shift, axis)
    assert is_seen.mean() > least
    return np.asarray(np.abs(one.astype(float) - other)[is_seen])


def test_an_oblique_plane_is_that_of_vtk(chest: Chest, projections: ProjectionPainter) -> None:
    view = PlaneView(UID, replace(chest.camera(), field_of_view_mm=60.0), SIZE, PNG)

    ours = projections.draw_plane(chest.textures, chest.scale, view, SOFT)

    assert differences(ours, VtkPlanes(chest.image).draw(view, SOFT)).max() <= 1


@pytest.mark.parametrize("method", [RenderingMethod.AVERAGE_IP, RenderingMethod.MAXIMUM_IP, RenderingMethod.MINIMUM_IP])
def test_a_slab_is_that_of_vtk(chest: Chest, projections: ProjectionPainter, method: RenderingMethod) -> None:
    camera = replace(chest.camera(), field_of_view_mm=60.0)
    view = PlaneView(UID, camera, SIZE, PNG, slab_mm=10, method=method)
    samples = 2 * int(np.ceil(5 / chest.textures.layout.finest_mm)) + 1

    ours = projections.draw_plane(chest.textures, chest.scale, view, WIDE)

    assert differences(ours, VtkPlanes(chest.image).draw(view, WIDE, slab_samples=samples)).max() <= 1


@pytest.mark.parametrize("method", [RenderingMethod.MAXIMUM_IP, RenderingMethod.MINIMUM_IP])
def test_a_projection_is_that_of_vtk(chest: Chest, projections: ProjectionPainter, method: RenderingMethod) -> None:
    view = VolumeView(UID, chest.camera(), SIZE, PNG, method)
    # Not its fixed-point mapper, whose rays lie a part of a pixel beside: the two differ by 6 levels here.
    peer = VtkVolumes(chest.image, is_gpu=True)
    # Samples of the two lie at other places of the same rays: a fine step brings both to the same extreme.
    peer.look(method, WIDE, chest.textures.layout.finest_mm / 4)

    ours = projections.draw_projection(chest.textures, chest.scale, view, SIZE, WIDE, step_texels=0.25)
    theirs = peer.draw(view.camera, SIZE)[:, :, 0]
    peer.close()

    assert ours is not None
    assert differences(ours, theirs, beside=0, least=0.005).mean() < 4
    assert ssim(ours, theirs) > 0.98


@pytest.mark.parametrize("preset", ["bone", "skin"])
def test_a_lit_volume_resembles_that_of_vtk(chest: Chest, canvases: Canvases, preset: str) -> None:
    transfer = transfer_function(preset, "CT", None, WIDE)
    peer = VtkVolumes(chest.image, is_gpu=False)
    peer.look(RenderingMethod.VOLUME_RENDERED, transfer, chest.textures.layout.finest_mm / 2)

    ours = CompositePainter(canvases).draw(
        chest.textures, chest.scale, VolumeView(UID, chest.camera(), SIZE, PNG), SIZE, transfer
    )
    theirs = peer.draw(chest.camera(), SIZE)
    peer.close()

    # No two programs reckon light alike (VTK's normals are rounded to 16 bits and its light is one-sided); forms agree.
    assert ours is not None
    assert ssim(ours, theirs) > 0.8


SITK_SERIES = {"ct-chest-lidc-0314": "FFS", "mr-head-sag-decubitus-left": "HFDL", "mr-fruit-sag-3d": "HFS"}
"""How the patient lay: feet first and on the back, on the left side, head first and on the back."""


@pytest.mark.parametrize(("folder", "position"), SITK_SERIES.items())
def test_oblique_planes_lie_where_simpleitk_finds_them(
    dicom_dir: Path, projections: ProjectionPainter, context: Context, folder: str, position: str
) -> None:
    """SimpleITK reads the files itself: order, positions, orientation and spacing are its own."""
    paths = sorted((dicom_dir / "01-volumes" / folder).iterdir())[:40]
    assert pydicom.dcmread(paths[0], specific_tags=["PatientPosition"]).PatientPosition == position
    series = series_of(paths)
    textures, scale = series.on_card()
    low, high = np.percentile(series.values()[::4, ::4, ::4], (2, 99))
    window = Window(float(low + high) / 2, float(high - low), "linear-exact")
    x, y, z = series.geometry.center_mm
    view = PlaneView(UID, Camera((x - 300, y - 500, z + 200), (x, y, z), (0.1, 0, 1), 50.0), SIZE, PNG)

    ours = projections.draw_plane(textures, scale, view, window)
    textures.free()

    theirs = windowed(resampled(read_by_itk(paths), view), window) * 255
    # SimpleITK takes the distance of the first two slices for all of them; positions are rounded.
    assert np.percentile(differences(ours, theirs), 99) <= 1
    assert differences(ours, theirs).max() <= 4


def read_by_itk(paths: list[Path]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    folder = {str(path) for path in paths}
    names = [
        name for name in reader.GetGDCMSeriesFileNames(str(paths[0].parent)) if str(Path(name)) in folder
    ]  # sorted by position, by GDCM
    reader.SetFileNames(names)
    return reader.Execute()


def resampled(image: sitk.Image, view: PlaneView) -> NDArray[np.float64]:
    """The values of a plane, (rows, columns), linear between voxels."""
    axes, (width, height) = camera_axes(view.camera), view.size
    pixel_mm = view.camera.field_of_view_mm / height
    corner = (
        np.array(view.camera.look_at) - axes.right * (width - 1) / 2 * pixel_mm + axes.up * (height - 1) / 2 * pixel_mm
    )
    grid = sitk.ResampleImageFilter()
    grid.SetSize((width, height, 1))
    grid.SetOutputSpacing((pixel_mm, pixel_mm, 1))
    grid.SetOutputOrigin(corner.tolist())
    grid.SetOutputDirection(np.stack([axes.right, -axes.up, axes.ahead], axis=1).ravel().tolist())
    grid.SetInterpolator(sitk.sitkLinear)
    grid.SetOutputPixelType(sitk.sitkFloat64)
    grid.SetDefaultPixelValue(-1e5)
    return np.asarray(sitk.GetArrayFromImage(grid.Execute(image))[0])


NIFTI = [
    ("dcm-qa-enh-siemens.nii", "02-enhanced-multiframe/6_1.dcm", 0),
    ("dcm-qa-enh-siemens.nii", "02-enhanced-multiframe/6_3.dcm", 2),
    ("d2n-siemens-multiframe.nii.gz", "02-enhanced-multiframe/d2n-siemens-multiframe.dcm", 0),
    ("d2n-hyperfine.nii.gz", "02-enhanced-multiframe/d2n-hyperfine.dcm", 0),
]


@pytest.mark.parametrize(("reference", "file", "time"), NIFTI)
def test_every_voxel_lies_where_the_reference_volume_has_it(
    dicom_dir: Path, reference: str, file: str, time: int
) -> None:
    series = series_of([dicom_dir / file])
    image = sitk.ReadImage(str(dicom_dir / "reference" / reference))
    expected = sitk.GetArrayFromImage(image)
    expected = expected[time] if expected.ndim == 4 else expected
    direction = np.array(image.GetDirection()).reshape(image.GetDimension(), -1)[:3, :3]
    to_index = np.linalg.inv(direction * np.array(image.GetSpacing())[:3])

    geometry = series.geometry
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    places = index @ np.array(geometry.index_to_patient)[:3, :3].T + np.array(geometry.index_to_patient)[:3, 3]
    column, row, slice_ = np.moveaxis((places - np.array(image.GetOrigin())[:3]) @ to_index.T, -1, 0)

    found = np.rint(np.stack([slice_, row, column])).astype(int)
    assert np.abs(np.stack([slice_, row, column]) - found).max() < 0.05  # of a voxel
    assert np.abs(series.values() - expected[tuple(found)]).max() < 1e-3 * np.abs(expected).max()


def test_the_times_of_a_functional_series_are_volumes_of_their_own(dicom_dir: Path) -> None:
    series = series_of([dicom_dir / "02-enhanced-multiframe" / "d2n-philips-enhanced-fmri.dcm"])

    arrangement = series.arrangement

    assert [volume.name for volume in arrangement.volumes] == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    assert {volume.shape for volume in arrangement.volumes} == {(8, 64, 64)}
    frames = [[arrangement.slices[part.lower].frame_index for part in each.lattice] for each in arrangement.volumes]
    assert sorted(frame for each in frames for frame in each) == list(range(32))


def test_a_tilted_irregular_head_keeps_its_true_lengths(dicom_dir: Path) -> None:
    """Head CT, 18.5 degrees of tilt, slices of 4 mm at the base and of 7 mm above: 28 slices from 5.8 to 157.8 mm."""
    series = series_of((dicom_dir / "01-volumes" / "ct-head-variable-tilt-ge").iterdir())

    volume = series.geometry

    ends = [np.array(volume.index_to_patient) @ [k, 0, 0, 1] for k in (0, volume.shape[0] - 1)]
    assert [float(end[2]) for end in ends] == pytest.approx([5.836, 157.776], abs=0.01)
    assert [float(end[1]) for end in ends] == pytest.approx([-123.54, -123.54], abs=0.01)  # sheared, not turned
    assert not any(part.is_gap for part in volume.lattice)
    assert {part.lower for part in volume.lattice} | {part.upper for part in volume.lattice} == set(range(28))


@pytest.mark.parametrize(("number", "largest"), [(0, 1), (13, 4), (27, 1)])
def test_a_plane_in_a_slice_of_a_tilted_irregular_head_is_that_slice(
    dicom_dir: Path, projections: ProjectionPainter, number: int, largest: int
) -> None:
    """The first and the last lie on the lattice; in the place of number 13 is a fiftieth of its neighbour."""
    series = series_of((dicom_dir / "01-volumes" / "ct-head-variable-tilt-ge").iterdir())
    textures, scale = series.on_card()
    ref = series.arrangement.slices[number]
    image = series.images[ref.image_index]
    plane = image.frames[ref.frame_index].plane
    axes, spacing = plane_axes(plane), plane.pixel_spacing_mm
    assert axes is not None and spacing is not None and plane.position_mm is not None
    along_columns, along_rows, normal = axes
    rows, columns = image.pixel_format.rows, image.pixel_format.columns
    middle = (
        np.array(plane.position_mm)
        + along_columns * spacing[1] * (columns - 1) / 2
        + along_rows * spacing[0] * (rows - 1) / 2
    )
    camera = Camera(tuple(middle - 100 * normal), tuple(middle), tuple(-along_rows), rows * spacing[0])

    ours = projections.draw_plane(textures, scale, PlaneView(UID, camera, (columns, rows), PNG), SOFT)
    textures.free()

    values = modality_values(series.stored(number), image, ref.frame_index)
    theirs = windowed(values, SOFT) * 255
    assert np.percentile(differences(ours, theirs), 99) <= largest


def _series_without(series: Series, missing: int) -> Series:
    kept = [i for i in range(len(series.images)) if i != missing]
    return Series(tuple(series.images[i] for i in kept), tuple(series.files[i] for i in kept))


def test_a_slice_that_is_missing_of_a_real_chest_is_a_gap_there(dicom_dir: Path) -> None:
    whole = series_of(sorted((dicom_dir / "01-volumes" / "ct-chest-lidc-0314").iterdir())[:20])

    volume = _series_without(whole, 7).geometry

    assert [k for k, part in enumerate(volume.lattice) if part.is_gap] == [7]
    assert volume.index_to_patient == pytest.approx(np.array(whole.geometry.index_to_patient), abs=1e-6)
    assert volume.shape == whole.geometry.shape
