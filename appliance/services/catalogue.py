"""What a node holds, as browsers and the render road ask for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from appliance.domain.audit import Action, Actor, Event, dicom_subject
from appliance.domain.errors import NotDrawable, TooLarge
from appliance.domain.geometry import Arrangement, SliceRef, arranged, slice_count
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.domain.image import ImageDescription, LossyStep, StoredImage, StoredSeries, Window
from appliance.domain.presets import window_presets
from appliance.domain.voi import Voi, VoiChoice, choices_of
from appliance.rendering.transfer_functions import suitable_presets
from appliance.services import removals
from appliance.services.audit import AuditTrail, Recorded
from appliance.services.database_threads import DatabaseThreads
from appliance.services.drawing_rules import DRAWING_RULES
from appliance.services.travel import Place
from appliance.services.volume_inputs import StoredVolume, volumes_of
from appliance.storage import holdings, index
from appliance.storage.database import Database, Transaction
from appliance.storage.index import HeldSeries, HeldStudy
from appliance.storage.instances import InstanceStore

_CACHED_FRAMES = 50_000
"""Frames whose descriptions are kept in memory, about 1 kB each: some dozens of series that are being looked at."""


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    series_uid: SeriesUid
    number: int | None
    modality: str
    description: str
    body_part: str
    laterality: str
    instance_count: int
    frame_count: int
    drawable: bool
    not_drawable_reason: str | None


@dataclass(frozen=True, slots=True)
class PatientSummary:
    name: str
    """As in DICOM."""
    id: str
    birth_date: str | None
    sex: str | None


@dataclass(frozen=True, slots=True)
class StudyDetail:
    study_uid: StudyUid
    date: str | None
    time: str | None
    description: str
    patient: PatientSummary
    institution_name: str
    series: tuple[SeriesSummary, ...]


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    center: float
    width: float
    function: str


@dataclass(frozen=True, slots=True)
class VoiDetail:
    """One of the ways in which a file wants a frame to be seen."""

    name: str
    voi: str
    """As the parameter of that name asks for it."""
    center: float | None = None
    width: float | None = None
    function: str | None = None
    """None, as the other two, of a table."""


@dataclass(frozen=True, slots=True)
class SliceDetail:
    instance_uid: InstanceUid
    frame: int
    """Counts from 1."""
    number: int | None
    rows: int
    columns: int
    position: tuple[float, float, float] | None
    orientation: tuple[float, float, float, float, float, float] | None
    pixel_spacing: tuple[float, float] | None
    pixel_aspect_ratio: float
    """Height of a pixel over its width, as shown."""
    window: tuple[float, float] | None
    is_lossy: bool
    lossy: tuple[LossyStep, ...]
    """By which steps, as far as the file tells."""
    voi: int | None
    """Place of its choices among those of the series; None where there is nothing to choose."""
    patient_orientation: tuple[str, str] | None
    """Where rows go to the right and columns down, in letters, as the file says it."""
    laterality: str


@dataclass(frozen=True, slots=True)
class VolumeChoice:
    """One of the volumes of a series; its number is its place in ``VolumeDetail.choices``, counted from 0."""

    name: str
    """What tells it from the others, in plain words; empty for the only one."""
    slice_count: int
    center: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VolumeDetail:
    """What is shown first of the volumes of a series, and all of them."""

    center: tuple[float, float, float]
    size_mm: tuple[float, float, float]
    warnings: tuple[str, ...]
    choices: tuple[VolumeChoice, ...]
    usual: int
    """The number of the one that is shown first."""
    ok: bool = True


@dataclass(frozen=True, slots=True)
class NoVolume:
    reason: str
    ok: bool = False


@dataclass(frozen=True, slots=True)
class SeriesDetail(SeriesSummary):
    frame_of_reference_uid: str | None
    rows: int | None
    columns: int | None
    is_colour: bool
    presets: tuple[Preset, ...]
    voi: tuple[tuple[VoiDetail, ...], ...]
    """What slices may be seen through, as their files say; each list once."""
    volume_presets: tuple[str, ...]
    """Names of the transfer functions that suit it, the usual one first."""
    value_unit: str
    slices: tuple[SliceDetail, ...]
    volume: VolumeDetail | NoVolume
    rules: str = DRAWING_RULES
    """By which its pictures are drawn; part of addresses that are to be kept."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame of an image that is held."""

    series_uid: SeriesUid

    image: StoredImage
    frame_index: int
    """Counts from 0."""


@dataclass(frozen=True, slots=True)
class _Arranged:
    """A series at one version."""

    stored: StoredSeries
    arrangement: Arrangement
    volumes: tuple[StoredVolume, ...]
    detail: SeriesDetail
    positions: dict[tuple[InstanceUid, int], int]
    """Where each frame comes among the slices."""

    def at(self, position: int) -> tuple[StoredImage, int]:
        """The image and the index of the frame at a position."""
        ref = self.arrangement.slices[position]
        return self.stored.images[ref.image_index], ref.frame_index


class Catalogue:
    """Studies, series and images that are held."""

    def __init__(
        self,
        store: InstanceStore,
        database: DatabaseThreads,
        node_id: UUID,
        trail: AuditTrail,
        forget: removals.Forget = removals.nothing_else,
    ) -> None:
        """``forget`` removes what was made of an instance that is deleted; called on a thread of the database."""
        self._store = store
        self._trail = trail
        self._database = database
        self._node_id = node_id
        self._forget = forget
        self._arranged: OrderedDict[tuple[StudyUid, SeriesUid], _Arranged] = OrderedDict()

    async def study(self, study_uid: StudyUid) -> StudyDetail:
        """A study and its series. Raises NotFound."""
        return _study_detail(await self._database.read(lambda tx: index.study(tx, study_uid)))

    async def series(self, study_uid: StudyUid, series_uid: SeriesUid) -> SeriesDetail:
        """All that a viewer needs of a series. Raises NotFound, also where it is of another study."""
        return (await self._arranged_series(study_uid, series_uid)).detail

    async def stored_series(self, study_uid: StudyUid, series_uid: SeriesUid) -> StoredSeries:
        """The images of a series as they are held now; no file is read. Raises NotFound."""
        return (await self._arranged_series(study_uid, series_uid)).stored

    async def volumes(self, study_uid: StudyUid, series_uid: SeriesUid) -> tuple[StoredVolume, ...]:
        """The volumes of a series, of one reading. Raises NotFound, and NotDrawable with the reason where there is none."""
        series = await self._arranged_series(study_uid, series_uid)
        return series.volumes or volumes_of(series.stored, series.arrangement)

    async def drawable_series(self, study_uid: StudyUid) -> tuple[SeriesUid, ...]:
        """The series of a study that have pictures, by number. Raises NotFound; NotDrawable where there is none."""
        return tuple(one.series_uid for one in await self._drawable_series(study_uid))

    async def stored_image(self, study_uid: StudyUid, series_uid: SeriesUid, instance_uid: InstanceUid) -> StoredImage:
        """An image. Raises NotFound, and NotDrawable with the reason."""
        return await self._database.read(lambda tx: index.stored_image(tx, study_uid, series_uid, instance_uid))

    async def representative_frame(self, study_uid: StudyUid, series_uid: SeriesUid | None = None) -> StoredFrame:
        """The slice in the middle of a series, or of the longest of a study. Raises NotFound; NotDrawable without pictures."""
        if series_uid is None:
            series_uid = max((await self._drawable_series(study_uid)), key=lambda one: one.frame_count).series_uid
        frames = _frames(await self._arranged_series(study_uid, series_uid))
        return frames[len(frames) // 2]

    async def frames(
        self, study_uid: StudyUid, series_uid: SeriesUid | None = None, *, at_most: int
    ) -> tuple[StoredFrame, ...]:
        """The frames of a series in order of position, or of a study's series by number; what has no picture is left out.

        Raises NotFound, TooLarge where there are more than ``at_most``, and NotDrawable where there are none.
        """
        found: list[StoredFrame] = []
        if series_uid is None:
            every = await self._drawable_series(study_uid)
            _refuse_many(sum(one.frame_count for one in every), at_most)
            for one in every:
                found += _frames(await self._arranged_series(study_uid, one.series_uid))
        else:
            found += _frames(await self._arranged_series(study_uid, series_uid))
        _refuse_many(len(found), at_most)
        return tuple(found)

    async def _drawable_series(self, study_uid: StudyUid) -> tuple[SeriesSummary, ...]:
        found = tuple(one for one in (await self.study(study_uid)).series if one.drawable)
        if not found:
            raise NotDrawable("No series of the study has pictures", study_uid=study_uid)
        return found

    def place_of(self, instance_uid: InstanceUid, frame_index: int) -> Place | None:
        """Where a frame comes in its series, if somebody has asked for that lately; for whoever looks ahead."""
        for (_, series_uid), series in reversed(self._arranged.items()):
            position = series.positions.get((instance_uid, frame_index))
            if position is not None:
                return Place(series_uid, position, len(series.positions), series.at)
        return None

    async def delete_study(self, study_uid: StudyUid, by: Actor) -> None:
        """The study is gone, its bytes too; the outbox says so, and the audit trail by whom. Raises NotFound."""
        await self._delete(lambda tx: index.delete_study(tx, self._node_id, study_uid), by, study_uid)

    async def delete_series(self, study_uid: StudyUid, series_uid: SeriesUid, by: Actor) -> None:
        """Like ``delete_study``, for one series."""
        await self._delete(
            lambda tx: index.delete_series(tx, self._node_id, study_uid, series_uid), by, study_uid, series_uid
        )

    async def delete_instance(
        self, study_uid: StudyUid, series_uid: SeriesUid, instance_uid: InstanceUid, by: Actor
    ) -> None:
        """Like ``delete_study``, for one instance."""
        await self._delete(
            lambda tx: index.delete_instance(tx, self._node_id, study_uid, series_uid, instance_uid),
            by,
            study_uid,
            series_uid,
            instance_uid,
        )

    async def _delete(
        self,
        forget: Callable[[Transaction], tuple[str, ...]],
        by: Actor,
        study_uid: StudyUid,
        series_uid: SeriesUid | None = None,
        instance_uid: InstanceUid | None = None,
    ) -> None:
        """What ``forget`` takes from the index is gone, and on record in the same transaction."""
        subject = dicom_subject(study_uid, series_uid, instance_uid)

        def work(tx: Transaction) -> tuple[tuple[str, ...], Recorded]:
            count, size_bytes = holdings.amount(tx, study_uid, series_uid, instance_uid)
            keys = forget(tx)
            event = Event(by, Action.DELETE, subject, instances=count, size_bytes=size_bytes)
            return keys, self._trail.record(tx, event)

        def delete(database: Database) -> None:
            keys, recorded = database.run(work)
            self._trail.tell(recorded)
            removals.remove(self._store, database, keys, self._forget)

        await self._database.call(delete)

    async def _arranged_series(self, study_uid: StudyUid, series_uid: SeriesUid) -> _Arranged:
        name = (study_uid, series_uid)
        known = self._arranged.get(name)
        found = await self._database.read(lambda tx: _look(tx, study_uid, series_uid, known))
        self._arranged[name] = found
        self._arranged.move_to_end(name)
        while sum(_cost(one) for one in self._arranged.values()) > _CACHED_FRAMES and len(self._arranged) > 1:
            self._arranged.popitem(last=False)
        return found


def _look(tx: Transaction, study_uid: StudyUid, series_uid: SeriesUid, known: _Arranged | None) -> _Arranged:
    """The series as it is held now: ``known`` itself if nothing came or went since."""
    held = index.series(tx, study_uid, series_uid)
    if known is not None and known.stored.version == held.version:
        return known
    stored = index.stored_series(tx, study_uid, series_uid)
    arrangement = arranged([image.description for image in stored.images])
    volumes = volumes_of(stored, arrangement) if arrangement.volumes else ()
    positions = {
        (stored.images[ref.image_index].description.instance_uid, ref.frame_index): position
        for position, ref in enumerate(arrangement.slices)
    }
    return _Arranged(stored, arrangement, volumes, _series_detail(held, stored, arrangement), positions)


def _frames(series: _Arranged) -> list[StoredFrame]:
    images, slices = series.stored.images, series.arrangement.slices
    if not slices:
        raise NotDrawable(str(series.detail.not_drawable_reason), series_uid=series.stored.series_uid)
    uid = series.stored.series_uid
    return [StoredFrame(uid, images[one.image_index], one.frame_index) for one in slices]


def _refuse_many(count: int, at_most: int) -> None:
    if count > at_most:
        raise TooLarge(f"These are {count} pictures, more than {at_most}: ask for frames", key="too-many-pictures")


def _cost(one: _Arranged) -> int:
    return 1 + len(one.arrangement.slices)


def _study_detail(held: HeldStudy) -> StudyDetail:
    study, patient = held.attributes, held.patient
    return StudyDetail(
        study.study_uid,
        study.date,
        study.time,
        study.description,
        PatientSummary(patient.person_name, patient.patient_id, patient.birth_date, patient.sex),
        study.institution_name,
        tuple(SeriesSummary(*_summary(series)) for series in held.series),
    )


def _summary(
    held: HeldSeries,
) -> tuple[SeriesUid, int | None, str, str, str, str, int, int, bool, str | None]:
    """The fields of a SeriesSummary, in its order."""
    series = held.attributes
    return (
        series.series_uid,
        series.number,
        series.modality,
        series.description,
        series.body_part,
        series.laterality,
        held.instance_count,
        held.frame_count,
        held.drawable_count > 0,
        held.not_drawable_reason,
    )


def _series_detail(held: HeldSeries, stored: StoredSeries, arrangement: Arrangement) -> SeriesDetail:
    lists: dict[tuple[VoiDetail, ...], int] = {}
    slices = tuple(_slice_detail(stored, ref, lists) for ref in arrangement.slices)
    first = stored.images[arrangement.slices[0].image_index].description if slices else None
    windows = first.frames[arrangement.slices[0].frame_index].windows if first else ()
    attributes = held.attributes
    named = window_presets(attributes.modality, attributes.body_part, first.value_unit) if first else ()
    return SeriesDetail(
        *_summary(held),
        first.frame_of_reference_uid if first else None,
        first.pixel_format.rows if first else None,
        first.pixel_format.columns if first else None,
        first.is_colour if first else False,
        tuple(_presets(windows, named)),
        tuple(lists),
        suitable_presets(held.attributes.modality) if arrangement.volume else (),
        first.value_unit if first else "",
        slices,
        _volume_detail(arrangement),
    )


def _presets(of_file: Sequence[Window], of_modality: Sequence[Window]) -> Iterator[Preset]:
    """Those of the file first, each window once."""
    seen: set[Window] = set()
    for number, window in enumerate((*of_file, *of_modality), 1):
        if (bare := replace(window, explanation="")) not in seen:
            seen.add(bare)
            yield Preset(window.explanation or f"File {number}", window.center, window.width, window.function)


def _voi_details(image: ImageDescription, frame_index: int) -> tuple[VoiDetail, ...]:
    """What a frame may be seen through; none where a single window says it all."""
    choices = choices_of(image, frame_index)
    if len(choices) == 1 and isinstance(choices[0][1], Window):
        return ()
    return tuple(_voi_detail(choice, voi) for choice, voi in choices)


def _voi_detail(choice: VoiChoice, voi: Voi) -> VoiDetail:
    number = choice.index + 1
    asked = f"{choice.kind},{number}"
    if isinstance(voi, Window):
        return VoiDetail(voi.explanation or f"File {number}", asked, voi.center, voi.width, voi.function)
    return VoiDetail(voi.explanation or f"Table {number}", asked)


def _slice_detail(stored: StoredSeries, ref: SliceRef, lists: dict[tuple[VoiDetail, ...], int]) -> SliceDetail:
    """``lists`` are the places of choices that were met, and are told of new ones."""
    image = stored.images[ref.image_index].description
    frame = image.frames[ref.frame_index]
    window = frame.windows[0] if frame.windows else None
    choices = _voi_details(image, ref.frame_index)
    return SliceDetail(
        image.instance_uid,
        ref.frame_index + 1,
        image.instance_number,
        image.pixel_format.rows,
        image.pixel_format.columns,
        frame.plane.position_mm,
        frame.plane.orientation,
        frame.plane.pixel_spacing_mm,
        image.pixel_aspect_ratio,
        (window.center, window.width) if window else None,
        image.is_lossy,
        image.lossy_steps,
        lists.setdefault(choices, len(lists)) if choices else None,
        image.patient_orientation,
        image.laterality,
    )


def _volume_detail(arrangement: Arrangement) -> VolumeDetail | NoVolume:
    volume = arrangement.volume
    if volume is None:
        return NoVolume(arrangement.reason or "There is nothing to make a volume of")
    choices = tuple(
        VolumeChoice(each.name, slice_count(each), each.center_mm, each.size_mm, each.warnings)
        for each in arrangement.volumes
    )
    usual = arrangement.volumes.index(volume)
    return VolumeDetail(volume.center_mm, volume.size_mm, volume.warnings, choices, usual)
