"""QIDO-RS, on both engines: what matches, what is returned, and what is said about the rest."""

from datetime import date, timedelta
from xml.etree import ElementTree

import pytest
import pytest_asyncio
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.domain.accounts import Role
from appliance.http import qido
from appliance.storage import queries
from appliance.storage.audit import AuditRow
from tests.http.node_doors import ROOT, node_doors, values
from tests.services.node_parts import SOMEBODY, ct_slice, encoded

STUDY, SERIES, INSTANCE, NAME = "0020000D", "0020000E", "00080018", "00100010"


def study(uid: str, **attributes: object) -> Dataset:
    ds = ct_slice(1, study=uid, series=f"{uid}.1")
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def requested(procedure: str, step: str) -> Sequence:
    item = Dataset()
    item.RequestedProcedureID, item.ScheduledProcedureStepID = procedure, step
    return Sequence([item])


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def _held(request, tmp_path_factory):
    """Three studies: a chest CT of Muster with two series, a knee MR of Müller, and one that says next to nothing."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgresql").new_database()
    async with node_doors(tmp_path_factory.mktemp("node"), database_url=url) as doors:
        instances = [
            study("1.1", StudyDate="20260301", StudyTime="091500.5", AccessionNumber="A_1", StudyID="S1"),
            ct_slice(2, study="1.1", series="1.1.1"),
            study("1.1", SeriesInstanceUID="1.1.2", SOPInstanceUID="1.1.2.1", Modality="SR", SeriesNumber=7),
            study(
                "1.2",
                PatientName="Müller^Anna Lena=X^Y",
                SpecificCharacterSet="ISO_IR 192",
                PatientID="M-%",
                StudyDate="20250615",
                StudyTime="2359",
                Modality="MR",
                BodyPartExamined="KNEE",
                ReferringPhysicianName="Šarić^Ivo",
                RequestAttributesSequence=requested("P9", "T9"),
                PerformedProcedureStepStartDate="20250614",
                BitsAllocated=16,
            ),
            study("1.3", PatientName="", PatientID="", StudyDate="", StudyTime="", StudyDescription=""),
        ]
        for ds in instances:
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            answer = await doors.store(encoded(ds))
            assert answer.status_code == 200, answer.text
        yield doors


@pytest.fixture
def held(_held):
    return _held


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def found(doors, resource: str, tag: str = STUDY, **parameters: str) -> list:
    answer = await doors.client.get(f"/dicom-web/{resource}", params=parameters)
    assert answer.status_code in (200, 204), answer.text
    return values(answer.json(), tag) if answer.status_code == 200 else []


async def test_without_anything_asked_all_studies_come_the_newest_first(held):
    assert await found(held, "studies") == ["1.1", "1.2", "1.3"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"PatientID": "4711"}, ["1.1"]),
        ({"00100020": "4711"}, ["1.1"]),
        ({"PatientID": "M-%"}, ["1.2"]),
        ({"PatientID": "M*"}, ["1.2"]),
        ({"PatientID": "m*"}, []),
        ({"PatientID": "?711"}, ["1.1"]),
        ({"PatientID": "%"}, []),
        ({"AccessionNumber": "A_1"}, ["1.1"]),
        ({"AccessionNumber": "A?1"}, ["1.1"]),
        ({"AccessionNumber": "A__"}, []),
        ({"PatientName": "MUSTER^eva"}, ["1.1"]),
        ({"PatientName": "muster"}, []),
        ({"PatientName": "muster*"}, ["1.1"]),
        ({"PatientName": "mu*"}, ["1.1", "1.2"]),
        ({"PatientName": "Müller^Anna Lena"}, ["1.2"]),
        ({"PatientName": "MULLER*"}, ["1.2"]),
        ({"PatientName": "X^Y"}, ["1.2"]),
        ({"PatientName": "X"}, []),
        ({"PatientName": "lena mül", "fuzzymatching": "true"}, ["1.2"]),
        ({"PatientName": "ler", "fuzzymatching": "true"}, []),
        ({"ReferringPhysicianName": "saric*"}, ["1.2"]),
        ({"PatientName": "*"}, ["1.1", "1.2", "1.3"]),
        ({"PatientName": ""}, ["1.1", "1.2", "1.3"]),
        ({"StudyDate": "20260301"}, ["1.1"]),
        ({"StudyDate": "20250101-20251231"}, ["1.2"]),
        ({"StudyDate": "20260101-"}, ["1.1"]),
        ({"StudyDate": "-20260101"}, ["1.2"]),
        ({"StudyTime": "0915"}, ["1.1"]),
        ({"StudyTime": "091500-100000"}, ["1.1"]),
        ({"StudyTime": "23-"}, ["1.2"]),
        ({"StudyInstanceUID": "1.1,1.3"}, ["1.1", "1.3"]),
        ({"StudyInstanceUID": "1.1\\1.2"}, ["1.1", "1.2"]),
        ({"ModalitiesInStudy": "SR"}, ["1.1"]),
        ({"ModalitiesInStudy": "MR\\SR"}, ["1.1", "1.2"]),
        ({"ModalitiesInStudy": "C*"}, ["1.1", "1.3"]),
        ({"Modality": "MR"}, ["1.2"]),
        ({"RequestedProcedureID": "P9"}, ["1.2"]),
        ({"RequestAttributesSequence.ScheduledProcedureStepID": "T9"}, ["1.2"]),
        ({"00400275.00401001": "P8"}, []),
        ({"PerformedProcedureStepStartDate": "20250614"}, ["1.2"]),
        ({"SOPInstanceUID": "1.1.2.1"}, ["1.1"]),
        ({"PatientID": "4711", "ModalitiesInStudy": "MR"}, []),
        ({"StudyDescription": "Ch?st", "PatientSex": "F"}, ["1.1", "1.2"]),
    ],
    ids=str,
)
async def test_studies_match(held, asked, expected):
    assert await found(held, "studies", **asked) == expected


@pytest.mark.parametrize(
    ("resource", "asked", "expected"),
    [
        ("series", {}, ["1.1.1", "1.1.2", "1.2.1", "1.3.1"]),
        ("series", {"SeriesNumber": "7"}, ["1.1.2"]),
        ("series", {"PatientID": "4711", "Modality": "CT"}, ["1.1.1"]),
        ("series", {"BodyPartExamined": "KNEE"}, ["1.2.1"]),
        ("studies/1.1/series", {}, ["1.1.1", "1.1.2"]),
        ("studies/1.9/series", {}, []),
        ("instances", {"PatientID": "4711"}, ["1.1.1.1", "1.1.1.2", "1.1.2.1"]),
        ("instances", {"Modality": "SR"}, ["1.1.2.1"]),
        ("instances", {"ModalitiesInStudy": "SR"}, ["1.1.1.1", "1.1.1.2", "1.1.2.1"]),
        ("studies/1.1/instances", {"InstanceNumber": "2"}, ["1.1.1.2"]),
        ("studies/1.1/series/1.1.1/instances", {}, ["1.1.1.1", "1.1.1.2"]),
        ("studies/1.1/series/1.2.1/instances", {}, []),
    ],
    ids=str,
)
async def test_series_and_instances_match(held, resource, asked, expected):
    assert await found(held, resource, INSTANCE if "instances" in resource else SERIES, **asked) == expected


async def test_a_study_is_described_by_what_the_standard_requires(held):
    (described,) = (await held.client.get("/dicom-web/studies", params={"PatientID": "M-%"})).json()

    plain = {tag: element.get("Value", [None])[0] for tag, element in described.items()}
    assert plain == {
        "00080005": "ISO_IR 192",
        "00080020": "20250615",
        "00080030": "235900",
        "00080050": None,
        "00080056": "ONLINE",
        "00080061": "MR",
        "00080080": None,
        "00080090": {"Alphabetic": "Šarić^Ivo"},
        "00080201": None,
        "00081030": "Chest",
        "00081190": f"{ROOT}/studies/1.2",
        "00100010": {"Alphabetic": "Müller^Anna Lena", "Ideographic": "X^Y"},
        "00100020": "M-%",
        "00100021": None,
        "00100030": "19700131",
        "00100040": "F",
        "0020000D": "1.2",
        "00200010": None,
        "00201206": 1,
        "00201208": 1,
    }


async def test_series_and_instances_carry_what_the_address_does_not_say(held):
    (series,) = (await held.client.get("/dicom-web/series", params={"SeriesInstanceUID": "1.2.1"})).json()
    assert series["00201209"] == {"vr": "IS", "Value": [1]}
    assert series["00400275"]["Value"][0]["00401001"] == {"vr": "SH", "Value": ["P9"]}
    assert series["00100020"]["Value"] == ["M-%"]

    (instance,) = (await held.client.get("/dicom-web/studies/1.2/series/1.2.1/instances")).json()
    assert instance["00280100"]["Value"] == [16]
    assert instance["00081190"]["Value"] == [f"{ROOT}/studies/1.2/series/1.2.1/instances/1.2.1.1"]
    assert "00100020" not in instance
    assert "00080060" not in instance


async def test_other_attributes_are_returned_when_they_are_asked_for(held):
    instance = (
        await held.client.get(
            "/dicom-web/studies/1.1/series/1.1.1/instances",
            params=[("includefield", "PixelSpacing,00180050"), ("includefield", "PatientID")],
        )
    ).json()[0]
    assert instance["00280030"] == {"vr": "DS", "Value": [0.5, 0.25]}
    assert instance["00180050"] == {"vr": "DS", "Value": [1.0]}
    assert instance["00100020"]["Value"] == ["4711"]

    (of_study,) = (await held.client.get("/dicom-web/studies?includefield=00280030&PatientID=M-%25")).json()
    assert of_study["00280030"]["Value"] == [0.5, 0.25]


async def test_all_attributes_of_an_instance_are_all_but_bulk_data(held):
    (instance,) = (await held.client.get("/dicom-web/instances?includefield=all&SOPInstanceUID=1.2.1.1")).json()

    assert instance["00281053"] == {"vr": "DS", "Value": [1.0]}
    assert instance["00201208"] == {"vr": "IS", "Value": [1]}
    assert "7FE00010" not in instance


async def test_pages_are_cut_and_the_rest_is_announced(held):
    first = await held.client.get("/dicom-web/instances?limit=3")
    rest = await held.client.get("/dicom-web/instances?limit=3&offset=3")

    assert values(first.json(), INSTANCE) + values(rest.json(), INSTANCE) == [
        "1.1.1.1", "1.1.1.2", "1.1.2.1", "1.2.1.1", "1.3.1.1",
    ]  # fmt: skip
    assert first.headers["warning"] == f'299 {ROOT}: "There are 2 additional results that can be requested"'
    assert "warning" not in rest.headers


async def test_the_server_has_a_limit_of_its_own(held, monkeypatch):
    monkeypatch.setattr(queries, "MOST_RESULTS", 2)

    answer = await held.client.get("/dicom-web/instances?limit=100")

    assert len(answer.json()) == 2
    assert "There are 3 additional results" in answer.headers["warning"]


async def test_results_behind_a_page_are_counted_so_far_and_no_farther(held, monkeypatch):
    for module in (queries, qido):
        monkeypatch.setattr(module, "MOST_COUNTED", 2)

    answers = [await held.client.get(f"/dicom-web/instances?limit=1&offset={offset}") for offset in (0, 1, 2)]

    assert [answer.headers["warning"].split('"')[1] for answer in answers] == [
        "There are more than 2 additional results that can be requested",
        "There are more than 2 additional results that can be requested",
        "There are 2 additional results that can be requested",
    ]


async def test_nothing_found_is_204(held):
    answer = await held.client.get("/dicom-web/studies?PatientID=nobody")

    assert (answer.status_code, answer.content) == (204, b"")


async def test_what_cannot_be_matched_is_passed_over_and_named(held):
    answer = await held.client.get("/dicom-web/studies?PatientAge=056Y&PatientID=4711")

    assert values(answer.json(), STUDY) == ["1.1"]
    assert "PatientAge" in answer.headers["warning"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("StudyDate=2026", "StudyDate"),
        ("StudyDate=20261340", "StudyDate"),
        ("StudyDate=-", "StudyDate"),
        ("StudyTime=25", "StudyTime"),
        ("StudyInstanceUID=1.2.x", "StudyInstanceUID"),
        ("SeriesNumber=seven", "SeriesNumber"),
        ("InstanceNumber=99999999999999999999", "InstanceNumber"),
        ("NoSuchThing=1", "NoSuchThing"),
        ("includefield=NoSuchThing", "NoSuchThing"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("offset=99999999999", "offset"),
        ("fuzzymatching=maybe", "fuzzymatching"),
        ("PatientID=" + "9" * 5000, "PatientID"),
    ],
)
async def test_what_cannot_be_understood_is_refused_by_name_and_never_quoted(held, query, parameter):
    answer = await held.client.get(f"/dicom-web/studies?{query}")

    assert (answer.status_code, answer.json()["parameter"]) == (400, parameter)
    value = query.partition("=")[2]
    assert len(value) < 4 or parameter == value or value not in answer.text


async def test_results_are_xml_documents_where_they_are_asked_for(held):
    answer = await held.client.get(
        "/dicom-web/studies", headers={"Accept": 'multipart/related; type="application/dicom+xml"'}
    )

    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    parts = answer.content.split(b"--" + boundary)[1:-1]
    assert len(parts) == 3
    document = ElementTree.fromstring(parts[1].split(b"\r\n\r\n", 1)[1].strip())
    name = document.find("{*}DicomAttribute[@keyword='PatientName']/{*}PersonName/{*}Alphabetic/{*}FamilyName")
    assert name is not None
    assert name.text == "Müller"


async def test_searching_needs_the_right_to_view(held):
    answer = await held.client.get("/dicom-web/studies", headers=held.token(Role.ADMINISTRATOR))
    assert answer.status_code == 403
    assert (await held.client.get("/dicom-web/studies", headers={"Authorization": ""})).status_code == 401


async def test_any_character_set_is_answered_in_utf_8(tmp_path, dicom_dir):
    names = {
        "chrArab.dcm": "قباني^لنزار",
        "chrRuss.dcm": "Люкceмбypг",
        "chrGreek.dcm": "Διονυσιος",
        "chrH31.dcm": "Yamada^Tarou",
    }
    files = {path.name: path for path in (dicom_dir / "12-charsets").rglob("*.dcm")}
    async with node_doors(tmp_path) as doors:
        for file, name in names.items():
            data = files[file].read_bytes()
            answer = await doors.store(data)
            assert answer.status_code == 200
            stored = answer.json()["00081199"]["Value"][0]["00081155"]["Value"][0]

            (instance,) = (await doors.client.get("/dicom-web/instances", params={"SOPInstanceUID": stored})).json()
            assert instance[NAME]["Value"][0]["Alphabetic"] == name
            found_by_name = await found(doors, "instances", INSTANCE, PatientName=name)
            assert stored in found_by_name


async def test_what_is_deleted_is_not_found(tmp_path):
    async with node_doors(tmp_path) as doors:
        await doors.store(encoded(ct_slice(1)), encoded(ct_slice(2)))
        await doors.parts.catalogue.delete_instance("1.2.3", "1.2.3.1", "1.2.3.1.1", SOMEBODY)

        assert await found(doors, "instances", INSTANCE) == ["1.2.3.1.2"]
        assert await found(doors, "instances", "00280030", includefield="00280030") == [0.5]


async def test_a_day_after_the_other_is_a_range(held):
    day = date(2026, 2, 28)
    asked = f"{day:%Y%m%d}-{day + timedelta(days=1):%Y%m%d}"

    assert await found(held, "studies", StudyDate=asked) == ["1.1"]


async def test_who_searches_is_on_record_once_without_what_was_searched(tmp_path):
    async with node_doors(tmp_path) as doors:
        await doors.store(encoded(ct_slice()))
        for name in ("Muster*", "M*"):
            await doors.client.get("/dicom-web/studies", params={"PatientName": name})
        await doors.client.get("/dicom-web/studies/1.2.3/series")

        rows = doors.parts.database.read(lambda tx: tx.rows(AuditRow.select()))

    assert [(row.action, row.subject_kind, row.subject_uid) for row in rows] == [
        ("search", "study", ""),
        ("open", "study", "1.2.3"),
    ]
