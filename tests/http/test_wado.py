"""WADO-RS: what was stored comes back, whole or in parts, as it is or as it was asked for."""

import json
from io import BytesIO
from uuid import UUID

import numpy as np
import pydicom
import pytest
import pytest_asyncio
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRBigEndian, ImplicitVRLittleEndian

from appliance.domain.accounts import Role
from appliance.http.multipart import MultipartReader, PartBegins, PartData
from appliance.storage import index
from appliance.storage.audit import AuditRow
from tests.http.node_doors import BASE, ELSEWHERE, ROOT, node_doors
from tests.services.node_parts import ct_slice, encoded

ALL = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
FRAMES = {"Accept": 'multipart/related; type="application/octet-stream"'}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory):
    async with node_doors(tmp_path_factory.mktemp("node")) as doors:
        yield doors


@pytest_asyncio.fixture(loop_scope="module")
async def doors(opened):
    """A node that holds nothing."""
    yield opened
    await opened.empty()


def parts(answer) -> list[tuple[dict, bytes]]:
    assert answer.status_code == 200, answer.text
    reader = MultipartReader(answer.headers["content-type"].partition("boundary=")[2])
    found = []
    for event in reader.feed(answer.content):
        if isinstance(event, PartBegins):
            found.append((dict(event.headers), b""))
        elif isinstance(event, PartData):
            found[-1] = (found[-1][0], found[-1][1] + event.data)
    reader.end()
    return found


async def stored(doors, data: bytes) -> str:
    """The address of an instance that was stored just now, from the root."""
    answer = await doors.store(data)
    assert answer.status_code == 200, answer.text
    url = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    return url.removeprefix("https://box.test")


async def get(doors, url, **headers):
    return await doors.client.get(url, headers=headers)


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(data))


async def test_a_study_a_series_and_an_instance_come_back_bit_for_bit(doors):
    slices = [encoded(ct_slice(n)) for n in (1, 2, 3)]
    await doors.store(*slices)

    for url, expected in [
        ("studies/1.2.3", slices),
        ("studies/1.2.3/series/1.2.3.1", slices),
        ("studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2", slices[1:2]),
    ]:
        found = parts(await doors.client.get(f"/dicom-web/{url}", headers=ALL))
        assert [content for _, content in found] == expected
    headers = found[0][0]
    assert headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert headers["content-location"] == f"{ROOT}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.2"


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "expected"),
    [
        ("bytes=0-9", 206, "bytes 0-9/{}", slice(0, 10)),
        ("bytes=128-131", 206, "bytes 128-131/{}", slice(128, 132)),
        ("bytes=-4", 206, None, slice(-4, None)),
        ("bytes=100-", 206, None, slice(100, None)),
        ("bytes=0-1,4-5", 200, None, slice(None)),
        ("lines=1-2", 200, None, slice(None)),
        ("bytes=9999999-", 416, "bytes */{}", None),
    ],
)
async def test_one_instance_is_given_in_ranges(doors, asked, status, content_range, expected):
    data = encoded(ct_slice(1))
    url = await stored(doors, data)

    answer = await get(doors, url, Accept="application/dicom; transfer-syntax=*", Range=asked)

    assert answer.status_code == status
    if content_range:
        assert answer.headers["content-range"] == content_range.format(len(data))
    if expected:
        assert answer.content == data[expected]
        assert int(answer.headers["content-length"]) == len(data[expected])


async def test_an_unchanged_instance_is_not_sent_again(doors):
    url = await stored(doors, encoded(ct_slice(1)))
    first = await get(doors, url, Accept="application/dicom; transfer-syntax=*")

    again = await get(
        doors, url, Accept="application/dicom; transfer-syntax=*", **{"If-None-Match": first.headers["etag"]}
    )

    assert (again.status_code, again.content) == (304, b"")


async def test_a_preamble_that_is_a_program_is_recorded_and_leaves_as_zeroes(doors):
    program, picture = (start.ljust(128, b"\x90") + encoded(ct_slice(n))[128:]
                        for n, start in ((1, b"MZ\x90\x00"), (2, b"II*\x00")))  # fmt: skip
    program_url, picture_url = await stored(doors, program), await stored(doors, picture)

    whole = await get(doors, program_url, Accept="application/dicom; transfer-syntax=*")
    piece = await get(doors, program_url, Accept="application/dicom; transfer-syntax=*", Range="bytes=120-140")
    multi = parts(await get(doors, program_url, **ALL))

    assert whole.content == bytes(128) + program[128:]
    assert piece.content == (bytes(128) + program[128:])[120:141]
    assert multi[0][1] == whole.content
    assert (await get(doors, picture_url, Accept="application/dicom; transfer-syntax=*")).content == picture
    kinds = doors.parts.database.read(
        lambda tx: [row.preamble for row in tx.rows(index.InstanceRow.select().order_by(index.InstanceRow.number))]
    )
    assert kinds == ["windows-executable", "tiff"]


async def test_metadata_is_the_header_with_addresses_for_what_is_long(doors):
    ds = ct_slice(1)
    ds.PatientName = "Müller^Anna=X^Y"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.RedPaletteColorLookupTableData = bytes(range(256)) * 8
    url = await stored(doors, encoded(ds))

    for path in (url, url.partition("/instances")[0], url.partition("/series")[0]):
        answer = await get(doors, f"{path}/metadata", Accept="application/dicom+json")
        assert answer.headers["content-type"] == "application/dicom+json"
        (model,) = answer.json()
        assert model["00100010"]["Value"] == [{"Alphabetic": "Müller^Anna", "Ideographic": "X^Y"}]
        assert model["00280030"] == {"vr": "DS", "Value": [0.5, 0.25]}
        assert model["7FE00010"] == {"vr": "OW", "BulkDataURI": f"https://box.test{url}/bulkdata/7FE00010"}
        assert "00020010" not in model
    assert (await get(doors, model["00281201"]["BulkDataURI"])).content == ds.RedPaletteColorLookupTableData
    assert (await get(doors, model["7FE00010"]["BulkDataURI"], Range="bytes=2-3")).content == ds.PixelData[2:4]


async def test_metadata_that_is_not_kept_is_made_anew(doors):
    url = await stored(doors, encoded(ct_slice(1)))
    kept = (await get(doors, f"{url}/metadata")).json()

    doors.parts.database.run(lambda tx: tx.execute(index.MetadataRow.delete()))

    assert (await get(doors, f"{url}/metadata")).json() == kept


async def test_a_text_that_looks_like_an_address_stays_a_text(doors):
    ds = ct_slice(1)
    ds.StudyDescription = '","BulkDataURI":"bulkdata/1'
    url = await stored(doors, encoded(ds))

    (model,) = (await get(doors, f"{url}/metadata")).json()

    assert model["00081030"]["Value"] == ['","BulkDataURI":"bulkdata/1']


async def test_metadata_is_xml_where_it_is_asked_for(doors):
    url = await stored(doors, encoded(ct_slice(1)))

    ((headers, content),) = parts(
        await get(doors, f"{url}/metadata", Accept='multipart/related; type="application/dicom+xml"')
    )

    assert headers["content-type"] == "application/dicom+xml"
    assert b'keyword="PatientName"' in content


@pytest.mark.parametrize("accept", ["*/*", 'multipart/related; type="*/*"', "multipart/related", "multipart/*"])
async def test_ranges_of_media_types_mean_the_usual_one(doors, accept):
    url = await stored(doors, encoded(ct_slice(1)))

    assert parts(await get(doors, f"{url}/frames/1", Accept=accept))[0][0]["content-type"].startswith(
        "application/octet"
    )
    assert parts(await get(doors, url, Accept=accept))[0][0]["content-type"].startswith("application/dicom")


async def test_addresses_have_the_name_and_the_port_by_which_the_request_came(doors):
    url = await stored(doors, encoded(ct_slice(1)))

    for host, root in [
        ("box.test", "https://box.test"),
        ("10.0.0.7:8443", "https://10.0.0.7:8443"),
        ("[::1]:8443", "https://[::1]:8443"),
        ('evil"><script>', "https://box.test"),
    ]:
        (model,) = (await get(doors, f"{url}/metadata", Host=host)).json()
        assert model["7FE00010"]["BulkDataURI"] == f"{root}{url}/bulkdata/7FE00010"


async def test_frames_are_given_by_number(doors, dicom_dir):
    data = (dicom_dir / "04-xray" / "XA-rubo-96f.dcm").read_bytes()
    url = await stored(doors, data)
    ds = read(data)

    found = parts(await get(doors, f"{url}/frames/1,96", **FRAMES))

    pixels = ds.pixel_array
    assert [content for _, content in found] == [pixels[0].tobytes(), pixels[95].tobytes()]
    assert [headers["content-location"][-9:] for headers, _ in found] == ["/frames/1", "frames/96"]
    single = await get(doors, f"{url}/frames/2", Accept="application/octet-stream")
    assert single.content == pixels[1].tobytes()


async def test_a_compressed_frame_is_given_as_it_is_stored_or_decoded(doors, dicom_dir):
    data = (dicom_dir / "01-volumes" / "ct-chest-lidc-0314" / "000.dcm").read_bytes()
    url = await stored(doors, data)
    ds = read(data)

    ((headers, stream),) = parts(await get(doors, f"{url}/frames/1", Accept='multipart/related; type="image/jls"'))
    assert headers["content-type"] == "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"
    assert stream.startswith(b"\xff\xd8\xff")
    assert stream in data
    ((_, native),) = parts(await get(doors, f"{url}/frames/1", **FRAMES))
    assert native == ds.pixel_array.tobytes()
    refused = await get(doors, f"{url}/frames/1", Accept='multipart/related; type="image/jpeg"')
    assert (refused.status_code, refused.json()["type"]) == (406, "transfer-syntax")
    ((_, bulk),) = parts(await get(doors, f"{url}/bulkdata/7FE00010", **FRAMES))
    assert bulk == native


@pytest.mark.parametrize(
    ("frames", "status"), [("2", 404), ("0", 400), ("x", 400), ("1,", 400), ("1," * 10_000 + "1", 400)]
)
async def test_frames_that_are_not_there_are_refused(doors, frames, status):
    url = await stored(doors, encoded(ct_slice(1)))

    assert (await get(doors, f"{url}/frames/{frames}", **FRAMES)).status_code == status


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize(
    "file",
    [
        "10-transfer-syntaxes/nema-ct1/CT1.explicit-be.dcm",
        "10-transfer-syntaxes/nema-ct1/CT1.implicit-le.dcm",
        "10-transfer-syntaxes/nema-ct1/CT1_RLE.dcm",
        "01-volumes/ct-chest-lidc-0314/000.dcm",
        "08-seg-parametric/liver.dcm",
        "07-radiotherapy/rtdose_expb.dcm",
        "09-documents/dcmqi-tid1500-sr.dcm",
    ],
)
async def test_an_object_is_transcoded_to_what_is_asked_for(doors, dicom_dir, file, target):
    data = (dicom_dir / file).read_bytes()
    url = await stored(doors, data)

    accept = f'multipart/related; type="application/dicom"; transfer-syntax={target}'
    ((headers, content),) = parts(await get(doors, url, Accept=accept))

    before, after = read(data), read(content)
    assert headers["content-type"] == f"application/dicom; transfer-syntax={target}"
    if before.file_meta.TransferSyntaxUID == target:
        assert content == data
    assert after.file_meta.TransferSyntaxUID == target
    if "PixelData" in before:
        assert np.array_equal(after.pixel_array, before.pixel_array)
        assert len(after.PixelData) % 2 == 0
    for element in before:
        if element.tag not in (0x7FE00010, 0xFFFCFFFC, 0x7FE00001, 0x7FE00002) and element.VR not in ("SQ", "UN"):
            same = after.get(element.tag)
            assert same is not None or element.tag.element == 0, element.tag
            if element.tag.element != 0 and not element.tag.is_private and file.find("-be") < 0:
                assert same.value == element.value, element.tag


async def test_big_endian_words_are_turned(doors):
    ds = ct_slice(1, value=0x0102)
    ds.RedPaletteColorLookupTableData = b"\x12\x34" * 4
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = np.full((4, 6), 0x0102, ">u2").tobytes()
    buffer = BytesIO()
    ds.save_as(buffer, implicit_vr=False, little_endian=False, enforce_file_format=True)
    url = await stored(doors, buffer.getvalue())

    ((_, content),) = parts(
        await get(doors, url, Accept=f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}')
    )
    after = read(content)
    assert after.RedPaletteColorLookupTableData == b"\x34\x12" * 4
    assert (after.pixel_array == 0x0102).all()
    ((_, frame),) = parts(await get(doors, f"{url}/frames/1", **FRAMES))
    assert frame == np.full((4, 6), 0x0102, "<u2").tobytes()
    assert (await get(doors, f"{url}/bulkdata/7FE00010")).content == frame


async def test_without_a_transfer_syntax_explicit_little_endian_is_meant(doors):
    ds = ct_slice(1)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    url = await stored(doors, encoded(ds))

    ((headers, content),) = parts(await get(doors, url, Accept='multipart/related; type="application/dicom"'))

    assert headers["content-type"].endswith(f"={EXPLICIT}")
    assert read(content).PixelData == ds.PixelData


async def test_what_has_no_decoder_is_given_as_stored_or_refused_with_the_reason(doors):
    ds = ct_slice(1)
    data = encoded(ds).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    url = await stored(doors, data)

    assert parts(await get(doors, url, **ALL))[0][1] == data
    assert parts(await get(doors, url, Accept='multipart/related; type="application/dicom"'))[0][1] == data
    refused = await get(doors, url, Accept=f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}')
    assert (refused.status_code, refused.json()["type"]) == (406, "transfer-syntax")
    assert refused.json()["stored_in"] == "1.2.840.10008.9.9.9"
    other = await get(doors, url, Accept='multipart/related; type="application/dicom"; transfer-syntax=1.2.3')
    assert other.status_code == 406


async def test_an_object_without_pixels_has_its_document_as_bulk_data(doors):
    ds = ct_slice(1)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, keyword)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    ds.EncapsulatedDocument = b"%PDF-" + bytes(5000) + b"."
    url = await stored(doors, encoded(ds))

    (model,) = (await get(doors, f"{url}/metadata")).json()

    assert (await get(doors, model["00420011"]["BulkDataURI"])).content == ds.EncapsulatedDocument
    assert (await get(doors, f"{url}/frames/1", **FRAMES)).status_code == 422


async def test_bulk_data_in_a_sequence_is_found(doors):
    ds, item = ct_slice(1), Dataset()
    item.ICCProfile = bytes(range(250)) * 10
    ds.OpticalPathSequence = [Dataset(), item]
    url = await stored(doors, encoded(ds))

    (model,) = (await get(doors, f"{url}/metadata")).json()
    address = model["00480105"]["Value"][1]["00282000"]["BulkDataURI"]

    assert address.endswith("/bulkdata/00480105/2/00282000")
    assert (await get(doors, address)).content == item.ICCProfile
    for wrong in ("00480105/3/00282000", "00480105", "00480105/0/00282000", "x", "00100010", "00480105/2"):
        assert (await get(doors, f"{url}/bulkdata/{wrong}")).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["studies/1.9", "studies/1.2.3/series/1.9", "studies/1.2.3/series/1.2.3.1/instances/1.9", "studies/1.9/metadata"],
)
async def test_what_is_not_held_is_404(doors, path):
    await doors.store(encoded(ct_slice(1)))

    assert (await doors.client.get(f"/dicom-web/{path}")).status_code == 404


async def test_an_accept_that_cannot_be_met_is_406(doors):
    url = await stored(doors, encoded(ct_slice(1)))

    for path, accept in [
        (url, "text/html"),
        (url.partition("/instances")[0], "application/dicom"),
        (f"{url}/metadata", "text/html"),
        (f"{url}/bulkdata/7FE00010", "text/html"),
    ]:
        assert (await get(doors, path, Accept=accept)).status_code == 406


async def test_instance_series_and_study_are_deleted_by_those_who_may(doors):
    await doors.store(*(encoded(ct_slice(n, series=series)) for series in ("1.2.3.1", "1.2.3.2") for n in (1, 2)))
    series = "/dicom-web/studies/1.2.3/series"

    physician = doors.token(Role.PHYSICIAN)
    assert (await doors.client.delete("/dicom-web/studies/1.2.3", headers=physician)).status_code == 403
    assert (await doors.client.delete(f"{series}/1.2.3.1/instances/1.2.3.1.1")).status_code == 204
    assert (await doors.client.delete(f"{series}/1.2.3.1/instances/1.2.3.1.1")).status_code == 404
    assert len(doors.parts.kept_files()) == 3
    assert (await doors.client.delete(f"{series}/1.2.3.2")).status_code == 204
    assert len(doors.parts.kept_files()) == 1
    assert (await doors.client.delete("/dicom-web/studies/1.2.3")).status_code == 204
    assert doors.parts.kept_files() == []
    rows = doors.parts.database.read(lambda tx: tx.count(index.MetadataRow.select()))
    assert rows == 0


def on_record(doors, after=0):
    rows = doors.parts.database.read(lambda tx: tx.rows(AuditRow.select().where(AuditRow.sequence > after)))
    return [(row.actor_name, row.action, row.subject_uid, row.outcome, row.reason) for row in rows]


async def test_who_deletes_or_may_not_is_on_record(doors):
    await doors.store(encoded(ct_slice()))
    before = len(on_record(doors))

    await doors.client.delete("/dicom-web/studies/1.2.3", headers=doors.token(Role.PHYSICIAN))
    await doors.client.delete("/dicom-web/studies/1.2.3", headers=doors.token(Role.ADMINISTRATOR, at=ELSEWHERE))
    await doors.client.delete("/dicom-web/studies/1.2.3/series/1.2.3.1")

    assert on_record(doors, before) == [
        ("ana", "delete", "1.2.3", "refused", "missing-right"),
        ("ana", "delete", "1.2.3", "refused", "other-institution"),
        ("ana", "delete", "1.2.3.1", "done", ""),
    ]


async def test_who_retrieves_is_on_record_once_for_each_study(doors):
    study = "1.2.77"
    await doors.store(*(encoded(ct_slice(n, study=study, series="1.2.77.1")) for n in (1, 2)))
    before = len(on_record(doors))
    instance = f"/dicom-web/studies/{study}/series/1.2.77.1/instances/1.2.77.1"

    for path in (f"{instance}.1/metadata", f"{instance}.1", f"{instance}.2", f"{instance}.1/frames/1"):
        assert (await doors.client.get(path)).status_code == 200
    assert (await doors.client.get(f"{instance}.9")).status_code == 404

    assert on_record(doors, before) == [("ana", "open", study, "done", ""), ("ana", "retrieve", study, "done", "")]


async def test_giving_back_needs_the_right_to_view(doors):
    url = await stored(doors, encoded(ct_slice(1)))

    for path in (url, f"{url}/metadata", f"{url}/frames/1", f"{url}/bulkdata/7FE00010"):
        assert (await get(doors, path, **doors.token(Role.ADMINISTRATOR))).status_code == 403
        assert (await get(doors, path, Authorization="")).status_code == 401


async def test_metadata_of_every_sound_file_is_json_that_pydicom_reads(doors, dicom_dir):
    for folder in ("02-enhanced-multiframe", "07-radiotherapy", "09-documents", "12-charsets"):
        for file in sorted((dicom_dir / folder).rglob("*.dcm"))[:12]:
            answer = await doors.store(file.read_bytes())
            if answer.status_code == 409:  # another file of the folder has its UID
                continue
            url = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
            model = json.loads((await get(doors, f"{url}/metadata")).text)[0]
            ds = Dataset.from_json(model, bulk_data_uri_handler=lambda tag, vr, uri: b"")
            assert ds.SOPInstanceUID == url.rpartition("/")[2]


async def test_what_reports_point_to_is_deleted_only_by_who_says_so_and_is_told_which(doors):
    await doors.store(encoded(ct_slice()))
    doors.reports.append(UUID(int=77))

    refused = [
        await doors.client.delete(f"{ROOT}/studies/1.2.3{path}")
        for path in ("", "/series/1.2.3.1", "/series/1.2.3.1/instances/1.2.3.1.1")
    ]
    misspelt = await doors.client.delete(f"{ROOT}/studies/1.2.3", params={"even-if": "anything"})
    still_there = await doors.client.get(f"{BASE}/api/studies/1.2.3")
    meant = await doors.client.delete(f"{BASE}/api/studies/1.2.3", params={"even-if": "pointed-to"})
    doors.reports.clear()

    assert {(one.status_code, one.json()["type"], *one.json()["reports"]) for one in refused} == {
        (409, "pointed-to", str(UUID(int=77)))
    }
    assert (misspelt.status_code, still_there.status_code, meant.status_code) == (400, 200, 204)
