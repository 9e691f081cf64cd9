"""What browsers and the render road are told of what is held."""

import msgspec
import pytest
from pydicom import dcmread

from appliance.domain.changes import StudyGone, StudyHeld
from appliance.domain.errors import NotDrawable, NotFound
from appliance.storage.decoding import decode_frame
from tests.services.node_parts import SOMEBODY, ct_slice, encoded, node_parts


@pytest.fixture
async def node(tmp_path):
    async with node_parts(tmp_path) as parts:
        yield parts


async def test_a_study_tells_its_patient_and_its_series_by_number(node):
    for number, series in [(9, "1.2.3.9"), (2, "1.2.3.2")]:
        ds = ct_slice(series=series)
        ds.SeriesNumber = number
        await node.put(encoded(ds))

    study = await node.catalogue.study("1.2.3")

    assert (study.patient.name, study.patient.id, study.patient.birth_date) == ("Muster^Eva", "4711", "1970-01-31")
    assert (study.date, study.time, study.description) == ("2026-11-22", "10:54:00", "Chest")
    assert [series.number for series in study.series] == [2, 9]


async def test_slices_come_in_the_order_of_their_positions(node):
    for number, z in [(1, 5.0), (2, 1.0), (3, 3.0)]:
        await node.put(encoded(ct_slice(number, z=z)))

    series = await node.catalogue.series("1.2.3", "1.2.3.1")

    assert [one.position[2] for one in series.slices] == [1, 3, 5]
    assert [one.number for one in series.slices] == [2, 3, 1]
    assert series.volume.ok
    assert (series.rows, series.columns, series.value_unit) == (4, 6, "HU")
    assert series.slices[0].window == (35, 350)
    assert series.slices[0].pixel_spacing == (0.5, 0.25)


async def test_a_volume_comes_with_its_images_in_one_reading(node):
    for number in range(1, 5):
        await node.put(encoded(ct_slice(number, z=2.0 * number)))

    (volume,) = await node.catalogue.volumes("1.2.3", "1.2.3.1")

    assert len(volume.series.images) == 4
    assert (volume.geometry.center_mm, volume.geometry.size_mm) == ((0.625, 0.75, 5.0), (1.5, 2.0, 8.0))


async def test_each_volume_of_a_series_of_several_can_be_chosen(node):
    for number in range(8):
        await node.put(encoded(ct_slice(number + 1, z=2.0 * (number % 4))))

    volume = (await node.catalogue.series("1.2.3", "1.2.3.1")).volume
    first, second = await node.catalogue.volumes("1.2.3", "1.2.3.1")

    assert [(one.name, one.slice_count) for one in volume.choices] == [("1 of 2", 4), ("2 of 2", 4)]
    assert (first.number_of_view, second.number_of_view, volume.usual) == (None, 1, 0)
    assert not first.instance_uids & second.instance_uids


async def test_a_series_without_a_volume_says_why_it_has_none(node):
    await node.put(encoded(ct_slice()))

    with pytest.raises(NotDrawable) as caught:
        await node.catalogue.volumes("1.2.3", "1.2.3.1")

    assert caught.value.key == "not-a-volume"


async def test_presets_of_the_file_come_first(node):
    await node.put(encoded(ct_slice()))

    presets = (await node.catalogue.series("1.2.3", "1.2.3.1")).presets

    assert (presets[0].center, presets[0].width) == (35, 350)
    assert "Lung" in [preset.name for preset in presets[1:]]


async def test_the_windows_and_tables_of_a_real_file_are_listed_by_name(node, dicom_dir):
    await node.put((dicom_dir / "04-xray/MG-GH133.dcm").read_bytes())
    ds = dcmread(dicom_dir / "04-xray/MG-GH133.dcm", stop_before_pixels=True)

    series = await node.catalogue.series(ds.StudyInstanceUID, ds.SeriesInstanceUID)

    (choices,), (one,) = series.voi, series.slices
    names = ["NORMAL", "HARDER", "SOFTER"]
    assert [(choice.name, choice.voi) for choice in choices] == [
        *((name, f"window,{n}") for n, name in enumerate(names, 1)),
        *((name, f"lut,{n}") for n, name in enumerate(names, 1)),
    ]
    assert [choice.center for choice in choices] == [*ds.WindowCenter, None, None, None]
    assert [choice.function for choice in choices] == ["sigmoid"] * 3 + [None] * 3
    assert {preset.function for preset in series.presets} == {"sigmoid"}
    assert one.voi == 0


async def test_slices_with_the_same_choices_share_a_list(node):
    for number in range(1, 4):
        ds = ct_slice(number, z=float(number))
        ds.WindowCenter, ds.WindowWidth = [40, -600 if number == 3 else 50], [400, 500]
        await node.put(encoded(ds))
    await node.put(encoded(ct_slice(4, z=4.0)))

    series = await node.catalogue.series("1.2.3", "1.2.3.1")

    assert [one.voi for one in series.slices] == [0, 0, 1, None]
    assert [choice.center for choice in series.voi[1]] == [40, -600]


SERIES_MEMBERS = """
    series_uid number modality description body_part laterality instance_count frame_count drawable not_drawable_reason
    frame_of_reference_uid rows columns is_colour presets voi volume_presets value_unit slices volume rules
"""
SLICE_MEMBERS = (
    "instance_uid frame number rows columns position orientation pixel_spacing pixel_aspect_ratio window is_lossy lossy voi "
    "patient_orientation laterality"
)


async def test_a_series_is_json_as_the_contract_has_it(node):
    await node.put(encoded(ct_slice()))

    plain = msgspec.json.decode(msgspec.json.encode(await node.catalogue.series("1.2.3", "1.2.3.1")))

    assert set(plain) == set(SERIES_MEMBERS.split())
    assert set(plain["slices"][0]) == set(SLICE_MEMBERS.split())
    assert plain["volume"]["ok"] is False
    assert plain["volume"]["reason"]


async def test_a_new_instance_makes_a_new_version(node):
    await node.put(encoded(ct_slice(1)))
    before = await node.catalogue.stored_series("1.2.3", "1.2.3.1")
    same = await node.catalogue.stored_series("1.2.3", "1.2.3.1")

    await node.put(encoded(ct_slice(2)))
    after = await node.catalogue.stored_series("1.2.3", "1.2.3.1")

    assert same is before
    assert after.version != before.version
    assert len(after.images) == 2


async def test_uids_that_do_not_belong_together_are_not_found(node):
    await node.put(encoded(ct_slice()))
    await node.put(encoded(ct_slice(study="1.9", series="1.9.1")))

    with pytest.raises(NotFound):
        await node.catalogue.series("1.9", "1.2.3.1")
    with pytest.raises(NotFound):
        await node.catalogue.stored_image("1.9", "1.9.1", "1.2.3.1.1")
    with pytest.raises(NotFound):
        await node.catalogue.study("1.7")


async def test_the_middle_slice_stands_for_a_series(node):
    for number in range(1, 6):
        await node.put(encoded(ct_slice(number, z=-number)))

    representative = await node.catalogue.representative_frame("1.2.3", "1.2.3.1")

    assert representative.image.description.instance_number == 3
    assert representative.frame_index == 0


async def test_what_has_no_pixels_is_held_and_not_drawable(node):
    ds = ct_slice()
    del ds.PixelData
    await node.put(encoded(ds))

    series = await node.catalogue.series("1.2.3", "1.2.3.1")

    assert (series.drawable, series.not_drawable_reason) == (False, "the object has no pixels")
    assert (series.instance_count, series.slices) == (1, ())
    with pytest.raises(NotDrawable, match="no pixels"):
        await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")
    with pytest.raises(NotDrawable):
        await node.catalogue.representative_frame("1.2.3", "1.2.3.1")


async def test_a_held_image_is_decoded_from_the_store(node):
    await node.put(encoded(ct_slice(value=7)))
    image = await node.catalogue.stored_image("1.2.3", "1.2.3.1", "1.2.3.1.1")

    with node.store.open(image.key) as reader:
        assert decode_frame(image.description, 0, reader).tolist() == [[7] * 6] * 4


async def test_a_deleted_study_leaves_nothing_and_the_parent_hears(node):
    for number in (1, 2):
        await node.put(encoded(ct_slice(number)))

    await node.catalogue.delete_study("1.2.3", SOMEBODY)

    assert node.kept_files() == []
    with pytest.raises(NotFound):
        await node.catalogue.study("1.2.3")
    with pytest.raises(NotFound):
        await node.catalogue.delete_study("1.2.3", SOMEBODY)
    assert isinstance((await node.outbox.waiting(10))[-1].change, StudyGone)


async def test_deleting_instance_by_instance_ends_with_the_study(node):
    for number in (1, 2):
        await node.put(encoded(ct_slice(number)))

    await node.catalogue.delete_instance("1.2.3", "1.2.3.1", "1.2.3.1.1", SOMEBODY)
    series = await node.catalogue.series("1.2.3", "1.2.3.1")
    held = (await node.outbox.waiting(10))[-1].change
    await node.catalogue.delete_instance("1.2.3", "1.2.3.1", "1.2.3.1.2", SOMEBODY)

    assert (series.instance_count, series.frame_count, len(series.slices)) == (1, 1, 1)
    assert isinstance(held, StudyHeld)
    assert held.instance_count == 1
    assert isinstance((await node.outbox.waiting(10))[-1].change, StudyGone)
    assert node.kept_files() == []


async def test_deleting_a_series_leaves_the_others(node):
    await node.put(encoded(ct_slice()))
    await node.put(encoded(ct_slice(series="1.2.3.2")))

    await node.catalogue.delete_series("1.2.3", "1.2.3.1", SOMEBODY)

    assert [series.series_uid for series in (await node.catalogue.study("1.2.3")).series] == ["1.2.3.2"]
    assert len(node.kept_files()) == 1


async def test_a_deleted_study_can_be_stored_again(node):
    data = encoded(ct_slice())
    await node.put(data)
    before = await node.catalogue.stored_series("1.2.3", "1.2.3.1")
    await node.catalogue.delete_study("1.2.3", SOMEBODY)

    assert (await node.put(data)).outcome == "stored"

    assert (await node.catalogue.stored_series("1.2.3", "1.2.3.1")).version != before.version
