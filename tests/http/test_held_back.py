"""A study that waits for its patient, at the doors of its node: other institutions find nothing there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.domain.accounts import Role
from appliance.domain.changes import Release, ReleaseCursor, Releases
from appliance.storage import releases
from tests.http.node_doors import CLINIC, ELSEWHERE, ROOT, NodeDoors, node_doors, values
from tests.http.picture_doors import PictureDoors, picture_doors
from tests.services.node_parts import NodeParts, ct_slice, encoded

SERIES = "1.2.3/series/1.2.3.1"
INSTANCE = f"{SERIES}/instances/1.2.3.1.1"
DATA_PATHS = [
    "/api/studies/1.2.3",
    f"/api/studies/{SERIES}",
    "/dicom-web/studies/1.2.3",
    f"/dicom-web/studies/{SERIES}",
    f"/dicom-web/studies/{INSTANCE}",
    "/dicom-web/studies/1.2.3/metadata",
    f"/dicom-web/studies/{INSTANCE}/metadata",
    f"/dicom-web/studies/{INSTANCE}/frames/1",
    f"/dicom-web/studies/{INSTANCE}/bulkdata/7FE00010",
]
PICTURE_PATHS = [
    "1.2.3/rendered",
    f"{SERIES}/rendered",
    f"{INSTANCE}/rendered",
    f"{INSTANCE}/frames/1/rendered",
    "1.2.3/thumbnail",
    f"{SERIES}/thumbnail",
    f"{INSTANCE}/thumbnail",
    f"{INSTANCE}/frames/1/thumbnail",
    f"{SERIES}/renderedmpr",
    f"{SERIES}/rendered3d",
]


async def release(parts: NodeParts, study: str) -> None:
    told = Releases((Release(study, is_released=True),), ReleaseCursor(1, study), is_all=True)
    await parts.threads.run(lambda tx: releases.take(tx, told))


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[NodeDoors]:
    async with node_doors(tmp_path) as opened:
        for study in ("1.2.3", "1.2.4"):
            await opened.parts.put(encoded(ct_slice(study=study, series=f"{study}.1")))
        yield opened


@pytest.fixture
async def pictures(tmp_path: Path) -> AsyncIterator[PictureDoors]:
    async with picture_doors(tmp_path) as opened:
        for number in (1, 2, 3):
            await opened.parts.put(encoded(ct_slice(number, z=float(number))))
        yield opened


def anywhere(path: str, uid: str) -> str:
    """The same path of a study that nobody holds."""
    return path.replace("1.2.3", uid)


async def test_it_is_answered_as_what_is_not_held_at_all(doors: NodeDoors) -> None:
    stranger = doors.token(Role.PHYSICIAN, at=ELSEWHERE)

    for path in DATA_PATHS:
        answer = await doors.client.get(path, headers=stranger)
        unknown = await doors.client.get(anywhere(path, "9.9.9"), headers=stranger)

        assert answer.status_code == unknown.status_code == 404, path
        assert answer.text.replace("1.2.3", "9.9.9") == unknown.text


async def test_its_own_physicians_see_it_at_once(doors: NodeDoors) -> None:
    for path in DATA_PATHS:
        answer = await doors.client.get(path, headers=doors.token(Role.PHYSICIAN, at=CLINIC))
        assert answer.status_code == 200, path


async def test_what_is_released_is_seen_and_the_other_study_is_not(doors: NodeDoors) -> None:
    await release(doors.parts, "1.2.3")
    stranger = doors.token(Role.PHYSICIAN, at=ELSEWHERE)

    for path in DATA_PATHS:
        assert (await doors.client.get(path, headers=stranger)).status_code == 200, path
        assert (await doors.client.get(anywhere(path, "1.2.4"), headers=stranger)).status_code == 404, path


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
async def test_a_search_finds_what_is_released_and_all_of_it_at_home(doors: NodeDoors, level: str) -> None:
    await release(doors.parts, "1.2.4")

    abroad = await doors.client.get(f"{ROOT}/{level}", headers=doors.token(Role.PHYSICIAN, at=ELSEWHERE))
    at_home = await doors.client.get(f"{ROOT}/{level}", headers=doors.token(Role.PHYSICIAN, at=CLINIC))

    assert values(abroad.json(), "0020000D") == ["1.2.4"]
    assert values(at_home.json(), "0020000D") == ["1.2.3", "1.2.4"]


async def test_a_search_for_its_uid_finds_nothing(doors: NodeDoors) -> None:
    stranger = doors.token(Role.PHYSICIAN, at=ELSEWHERE)

    for path in ("studies?StudyInstanceUID=1.2.3", "studies/1.2.3/series", "studies/1.2.3/instances"):
        assert (await doors.client.get(f"{ROOT}/{path}", headers=stranger)).status_code == 204


async def test_no_picture_of_it_is_drawn_for_others_and_all_are_at_home(pictures: PictureDoors) -> None:
    stranger = pictures.token(at=ELSEWHERE)

    for path in PICTURE_PATHS:
        url = f"/dicom-web/studies/{path}"
        answer = await pictures.client.get(url, headers=stranger)
        unknown = await pictures.client.get(anywhere(url, "9.9.9"), headers=stranger)

        assert answer.status_code == 404, path
        assert answer.text.replace("1.2.3", "9.9.9") == unknown.text
        assert (await pictures.client.get(url)).status_code == 200, path

    await release(pictures.parts, "1.2.3")
    for path in PICTURE_PATHS:
        assert (await pictures.client.get(f"/dicom-web/studies/{path}", headers=stranger)).status_code == 200, path
