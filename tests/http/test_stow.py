"""STOW-RS: each instance has an outcome of its own, and what is wrong with a request is named."""

import gzip
import tracemalloc
from xml.etree import ElementTree

import httpx
import pytest
import pytest_asyncio

from appliance.domain.accounts import Role
from appliance.domain.errors import StoreFull
from appliance.storage.instances import InstanceStore
from tests.http.node_doors import ELSEWHERE, JSON, REQUEST_LIMIT_BYTES, ROOT, multipart, node_doors, related, values
from tests.services.node_parts import ct_slice, encoded

STORED, FAILED, OTHER, REASON = "00081199", "00081198", "0008119A", "00081197"


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


async def held(doors, study="1.2.3", series="1.2.3.1"):
    return (await doors.parts.catalogue.series(study, series)).instance_count


async def test_instances_are_stored_and_each_is_told_where_it_is(doors):
    answer = await doors.store(encoded(ct_slice(1)), encoded(ct_slice(2)))

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    module = answer.json()
    assert module["00081190"] == {"vr": "UR", "Value": [f"{ROOT}/studies/1.2.3"]}
    assert set(module) == {"00081190", STORED}
    assert values(module[STORED]["Value"], "00081155") == ["1.2.3.1.1", "1.2.3.1.2"]
    assert values(module[STORED]["Value"], "00081150") == ["1.2.840.10008.5.1.4.1.1.2"] * 2
    assert values(module[STORED]["Value"], "00081190")[0] == f"{ROOT}/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.1"
    assert await held(doors) == 2
    assert doors.parts.spooled_files() == []


async def test_the_answer_is_xml_where_xml_is_asked_for(doors):
    answer = await doors.store(encoded(ct_slice(1)), Accept="application/dicom+xml")

    assert answer.headers["content-type"] == "application/dicom+xml"
    names = {"n": "http://dicom.nema.org/PS3.19/models/NativeDICOM"}
    uids = ElementTree.fromstring(answer.content).findall(".//n:DicomAttribute[@tag='00081155']/n:Value", names)
    assert [one.text for one in uids] == ["1.2.3.1.1"]


async def test_some_refused_and_some_stored_is_202_with_the_reasons(doors):
    await doors.store(encoded(ct_slice(1, value=1)))

    answer = await doors.store(encoded(ct_slice(1, value=2)), b"no DICOM", encoded(ct_slice(2)))

    module = answer.json()
    assert answer.status_code == 202
    assert values(module[FAILED]["Value"], REASON) == [0x0111]
    assert values(module[FAILED]["Value"], "00081155") == ["1.2.3.1.1"]
    assert values(module[OTHER]["Value"], REASON) == [0xC000]
    assert values(module[STORED]["Value"], "00081155") == ["1.2.3.1.2"]


async def test_the_same_bytes_again_are_stored_once_and_accepted(doors):
    for _ in range(2):
        assert (await doors.store(encoded(ct_slice(1)))).status_code == 200

    assert await held(doors) == 1


async def test_instances_of_another_study_than_the_address_says_are_refused(doors):
    answer = await doors.store(encoded(ct_slice(1)), study="1.2.4")

    assert answer.status_code == 409
    assert values(answer.json()[FAILED]["Value"], REASON) == [0xA900]
    assert doors.parts.kept_files() == []


async def test_a_full_store_is_a700_for_each_instance(doors, monkeypatch):
    def full(self, coming_bytes=0):
        if coming_bytes == 0:
            raise StoreFull("the store is full")

    monkeypatch.setattr(InstanceStore, "check_floor", full)

    answer = await doors.store(encoded(ct_slice(1)), encoded(ct_slice(2)))

    assert answer.status_code == 409
    assert values(answer.json()[FAILED]["Value"], REASON) == [0xA700, 0xA700]


async def test_one_instance_may_be_the_whole_body(doors):
    answer = await doors.client.post(
        "/dicom-web/studies", content=encoded(ct_slice(1)), headers={"Content-Type": "application/dicom", **JSON}
    )

    assert answer.status_code == 200
    assert await held(doors) == 1


WHOLE = multipart([encoded(ct_slice(1))])


@pytest.mark.parametrize(
    ("content_type", "body", "status", "key"),
    [
        (related("application/dicom", "other"), WHOLE, 400, "wrong-boundary"),
        ('multipart/related; type="application/dicom"', WHOLE, 400, "no-boundary"),
        (related("application/dicom"), b"--end--", 400, "no-parts"),
        (related("application/dicom"), b"", 400, "wrong-boundary"),
        (related("application/dicom"), WHOLE[:-40], 400, "truncated-multipart"),
        (related("multipart/mixed"), WHOLE, 415, "nested-multipart"),
        (
            related("application/dicom"),
            b"--end\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\n\r\n\r\n--b--\r\n--end--",
            415,
            "nested-multipart",
        ),
        (related("application/dicom+json"), WHOLE, 415, "metadata-not-taken"),
        (related("application/dicom+xml"), WHOLE, 415, "metadata-not-taken"),
        ("application/dicom+json", b"[]", 415, "metadata-not-taken"),
        (related("image/jpeg"), WHOLE, 415, "part-not-dicom"),
        ("application/json", b"{}", 415, "unsupported-media"),
        ("", WHOLE, 415, "no-content-type"),
    ],
)
async def test_a_request_that_cannot_be_understood_is_refused_by_name(doors, content_type, body, status, key):
    answer = await doors.client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type, **JSON})

    assert (answer.status_code, answer.json()["type"]) == (status, key)
    assert doors.parts.kept_files() == []
    assert doors.parts.spooled_files() == []


async def test_a_body_that_breaks_off_reports_what_was_stored_before(doors):
    body = multipart([encoded(ct_slice(1)), encoded(ct_slice(2))])

    answer = await doors.client.post(
        "/dicom-web/studies", content=body[:-60], headers={"Content-Type": related("application/dicom"), **JSON}
    )

    assert answer.status_code == 202
    assert values(answer.json()[STORED]["Value"], "00081155") == ["1.2.3.1.1"]
    assert values(answer.json()[OTHER]["Value"], REASON) == [0xC000]
    assert await held(doors) == 1


async def test_a_part_of_another_kind_is_refused_alone(doors):
    other = b"--end\r\nContent-Type: image/jpeg\r\n\r\nx\r\n"

    answer = await doors.client.post(
        "/dicom-web/studies", content=other + WHOLE, headers={"Content-Type": related("application/dicom"), **JSON}
    )

    assert answer.status_code == 202
    assert values(answer.json()[OTHER]["Value"], REASON) == [0xC000]


async def test_a_gzip_bomb_is_refused_before_a_byte_of_it_is_unpacked(doors):
    bomb = gzip.compress(b"\0" * 50_000_000)

    answer = await doors.store(bomb, **{"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json()["type"]) == (415, "content-encoding")


@pytest.mark.parametrize("length", [str(REQUEST_LIMIT_BYTES + 1), "9" * 5000])
async def test_a_huge_content_length_is_refused_before_anything_is_read(doors, length):
    async def never():
        raise AssertionError("the body was read")
        yield b""

    answer = await doors.client.post(
        "/dicom-web/studies",
        content=never(),
        headers={"Content-Type": related("application/dicom"), "Content-Length": length},
    )

    assert (answer.status_code, answer.json()["type"]) == (413, "too-large")


async def test_a_body_without_a_length_is_cut_off_at_the_limit(doors):
    async def endless():
        yield multipart([encoded(ct_slice(1))])[:-9]
        yield b"\r\n--end\r\n\r\n"
        while True:
            yield b"\0" * 1_000_000

    answer = await doors.client.post(
        "/dicom-web/studies", content=endless(), headers={"Content-Type": related("application/dicom"), **JSON}
    )

    assert answer.status_code == 202
    assert values(answer.json()[OTHER]["Value"], REASON) == [0xA700]
    assert doors.parts.spooled_files() == []


async def test_more_than_the_disk_holds_is_507_at_once(doors, monkeypatch):
    monkeypatch.setattr(doors.parts.store, "_floor_bytes", 1 << 60)

    answer = await doors.store(encoded(ct_slice(1)))

    assert (answer.status_code, answer.json()["type"]) == (507, "store-full")


async def test_memory_does_not_grow_with_the_body(doors):
    slice_bytes = encoded(ct_slice(1))

    async def many():
        for _ in range(28):
            yield multipart([slice_bytes + b"\0" * 1_000_000])[: -len("--end--\r\n")]
        yield b"--end--"

    tracemalloc.start()
    answer = await doors.client.post(
        "/dicom-web/studies", content=many(), headers={"Content-Type": related("application/dicom"), **JSON}
    )
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status_code == 200
    assert peak_bytes < 16_000_000


async def test_storing_needs_a_bearer_token_and_the_right_at_the_institution(doors):
    async with httpx.AsyncClient(transport=doors.client._transport, base_url=str(doors.client.base_url)) as nobody:
        assert (await nobody.post("/dicom-web/studies", content=WHOLE)).status_code == 401
        stranger = doors.token(Role.PHYSICIAN, at=ELSEWHERE)
        assert (await nobody.post("/dicom-web/studies", content=WHOLE, headers=stranger)).status_code == 403


async def test_an_accept_that_cannot_be_met_is_406_and_stores_nothing(doors):
    assert (await doors.store(encoded(ct_slice(1)), Accept="text/html")).status_code == 406
    assert doors.parts.kept_files() == []
